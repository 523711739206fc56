"""Training decoder-only models: the loss is on the target, and runs go on where they stopped."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from promptlift.improving.engines.torch import load_torch
from promptlift.improving.engines.torch_llama import LlamaEngine
from promptlift.improving.improver import Improver
from promptlift.improving.manifest import CARD_FILE, PAPER_PREFIX, ModelCard
from promptlift.pairs.load import load_pairs, write_pairs
from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.scoring.text.bits import target_bits
from promptlift.training.checkpoints import complete_checkpoints
from promptlift.training.config import PRESETS, TrainingConfig
from promptlift.training.data import Sides
from promptlift.training.examples import IGNORED, collate, learned_tokens, source_of, tokenized
from promptlift.training.memory import cache_bytes
from promptlift.training.models import Start, base_card, start_model
from promptlift.training.train import measure_run, train
from promptlift.training.unknown import unknown_characters
from tests.conftest import CopyOf
from tests.training.test_train import PAIRS, weights

PROSE = [replace(pair, form="paragraph") for pair in PAIRS if pair.mode == "rewrite"]
SETTINGS = {
    "epochs": 2.0, "batch_size": 8, "optimizer": "adamw", "learning_rate": 1e-2,
    "warmup_steps": 1, "precision": "fp32", "save_steps": 4, "logging_steps": 2,
}  # fmt: skip


def settings(folder: Path, **changed: object) -> TrainingConfig:
    return TrainingConfig(**{"model": str(folder), **SETTINGS, **changed})  # type: ignore[arg-type]


def prefix(mode: str, form: str) -> str:
    return f"{form} {mode}: "


@pytest.fixture(scope="module")
def start(llama_folder: Path) -> Start:
    return start_model(settings(llama_folder), llama_folder)


@pytest.fixture(scope="module")
def whole(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(PAIRS + PROSE, run, settings(llama_folder, lora=True))
    return run


def test_a_row_is_source_start_and_target_and_only_the_target_is_learned(start: Start) -> None:
    config = TrainingConfig(max_source_tokens=6, max_target_tokens=5)
    pair = Pair(source="a cat", target="4k", mode="extend")
    long = replace(pair, source="a very long and winding source", target="with as long a target")
    row, cut = tokenized([pair, long], start, lambda mode, form: "", config)
    text = start.tokenizer.decode(row["input_ids"], skip_special_tokens=False)
    assert text == "a cat<|endoftext|>4k<|end|>"
    count = learned_tokens(row)
    assert row["labels"] == [IGNORED] * (len(row["input_ids"]) - count) + row["input_ids"][-count:]
    assert start.tokenizer.decode(source_of(row)) == "a cat"
    assert (len(source_of(cut)), learned_tokens(cut)) == (6, 5)
    assert cut["labels"][-1] != start.tokens["eos"]  # nobody stops in the middle


def test_the_loss_is_that_of_transformers_on_the_targets(start: Start, llama_folder: Path) -> None:
    rows = tokenized(PAIRS[:6] + PROSE[:2], start, prefix, TrainingConfig())
    batch = collate(start.tokens["pad"])(rows)
    model = LlamaForCausalLM.from_pretrained(llama_folder).eval()
    total, count = 0.0, 0
    with torch.no_grad():
        found = float(start.model.eval()(**batch).loss)
        for row in rows:
            labels = torch.tensor([row["labels"]])
            loss = model(input_ids=torch.tensor([row["input_ids"]]), labels=labels).loss
            total, count = total + float(loss) * learned_tokens(row), count + learned_tokens(row)
    assert found == pytest.approx(total / count, rel=1e-5)
    assert batch["logits_to_keep"] == batch["labels"].shape[1] < batch["input_ids"].shape[1]  # type: ignore[union-attr]


def test_the_loss_of_training_is_what_the_engine_says_of_the_targets(
    start: Start, llama_folder: Path
) -> None:
    improver = Improver.load(llama_folder)
    pairs = [pair for pair in PAIRS if pair.mode == "extend"][:4]
    rows = tokenized(pairs, start, improver.card.prefix, TrainingConfig())
    with torch.no_grad():
        loss = float(start.model.eval()(**collate(1)(rows)).loss)
    bits = target_bits(improver, pairs).sum() / sum(map(learned_tokens, rows))
    assert bits * torch.log(torch.tensor(2.0)).item() == pytest.approx(loss, rel=1e-4)


def test_lora_learns_and_is_merged(whole: Path, llama_folder: Path) -> None:
    found, base = weights(whole), load_file(llama_folder / "model.safetensors")
    assert found.keys() == base.keys()
    name = "model.embed_tokens.weight"
    assert torch.equal(found[name], base[name])
    assert not any(torch.equal(found[name], base[name]) for name in base if "proj" in name)
    card = ModelCard.read(whole / "model")
    assert card.forms == {"tags": "", "paragraph": "paragraph, "}
    assert card.modes == ModelCard.read(llama_folder).modes
    likely = [
        Improver.load(folder).log_probability(["a lighthouse"], ["highly detailed"])[0]
        for folder in (llama_folder, whole / "model")
    ]
    assert likely[1] > likely[0] + 1
    assert Improver.load(whole / "model").improve("a cat", seed=1)[0].source == "a cat"


def test_checkpoints_of_lora_hold_the_adapter_alone(whole: Path) -> None:
    for path in complete_checkpoints(whole):
        assert (path / "adapter_model.safetensors").exists()
        assert not (path / "model.safetensors").exists()


def stop_in_step_6(line: str) -> None:
    """Ctrl-C when the log has that step."""
    if line.startswith("step 6 of") and "loss" in line:
        os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_run_ends_with_the_same_bytes(
    whole: Path, llama_folder: Path, tmp_path: Path
) -> None:
    run, config = tmp_path / "parts", settings(llama_folder, lora=True)
    assert train(PAIRS + PROSE, run, config, report=stop_in_step_6) is None
    assert train(PAIRS + PROSE, run, config) == run / "model"
    file = Path("model") / "model.safetensors"
    assert (run / file).read_bytes() == (whole / file).read_bytes()


def test_all_weights_learn_and_an_update_of_several_batches_is_one_of_a_large_one(
    llama_folder: Path, tmp_path: Path
) -> None:
    found = []
    for size, batches in ((8, 1), (2, 4)):
        run = tmp_path / str(size)
        config = settings(
            llama_folder, batch_size=size, gradient_accumulation_steps=batches, epochs=1.0,
            group_by_length=False, save_steps=None, learning_rate=1e-4,
        )  # fmt: skip
        train(PAIRS, run, config)
        found.append(Run.open(run).stage("training")["results"]["training_loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_predictions_are_those_of_the_trained_model(llama_folder: Path, tmp_path: Path) -> None:
    config = settings(
        llama_folder, epochs=1.0, evaluation_decoding="model", evaluation_pairs=3, lora=True
    )
    model = train(PAIRS, tmp_path / "run", config)
    assert model is not None
    [file] = (tmp_path / "run" / "evaluations").glob("*.jsonl")
    rows = file.read_text().splitlines()
    assert len(rows) == 3 and '"form"' not in rows[0]


def test_a_preflight_measures_a_decoder_alone(llama_folder: Path) -> None:
    config = settings(llama_folder, epochs=1.0, evaluation_decoding="model", lora=True)
    found = measure_run(PAIRS, config)
    assert found.fits and found.seconds_per_update > 0 and found.evaluation_seconds > 0


def test_keys_and_values_are_those_of_a_cache(start: Start) -> None:
    config = start.unwrapped.config
    state = LlamaEngine(start.unwrapped, 0).start(*[np.ones((3, 7), dtype=np.int64)] * 2)
    for _ in range(5):
        state.step(np.zeros(3, dtype=np.int64))
    held = sum(4 * (one.keys.numel() + one.values.numel()) for one in state._cache.layers)
    assert cache_bytes(config, 3, 5 + 7) == held


def test_a_model_without_a_card_takes_the_prefixes_of_its_kind(
    llama_folder: Path, t5_folder: Path, copy_of: CopyOf
) -> None:
    for folder, expected in ((llama_folder, "rewrite: "), (t5_folder, PAPER_PREFIX)):
        copy = copy_of(folder)
        (copy / CARD_FILE).unlink()
        assert base_card(str(copy)).modes["rewrite"] == expected


def test_bytes_leave_no_character_unknown(start: Start) -> None:
    pairs = [Pair(source="a cat", target="{a} <b> ~ 😀 日本\n")]
    assert not unknown_characters(pairs, start).affected


def test_forms_are_kept_in_files_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_pairs(path, PAIRS + PROSE)
    assert list(load_pairs(path)) == PAIRS + PROSE
    write_pairs(path, PAIRS)
    assert "form" not in path.read_text()
    hashes = {Sides(pairs, None).hashes()["pairs"] for pairs in (PROSE, PAIRS[-len(PROSE) :])}
    assert len(hashes) == 2
    path.write_text('{"source": "a cat", "target": "a cat, 4k", "form": "verse"}\n')
    [fault] = load_pairs(path)
    assert "`form` is 'verse' and must be one of tags, paragraph" in str(fault)


def test_the_writers_settings_hold_together() -> None:
    assert TrainingConfig(**PRESETS["writer"]).lora
    config = TrainingConfig.resolve("writer", {"model": "mine", "lora_rank": 8})
    assert (config.model, config.lora_rank) == ("mine", 8)


def test_dropout_is_that_of_attention(llama_folder: Path) -> None:
    model = load_torch(str(llama_folder), dropout_rate=0.2).engine.model
    assert model.config.attention_dropout == 0.2
