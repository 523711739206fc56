"""Learning from preferences: the published loss, what it teaches, and going on after a stop."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, T5ForConditionalGeneration

from promptlift.pairs.load import load_pairs, write_pairs
from promptlift.records import Pair
from promptlift.training.config import TrainingConfig
from promptlift.training.data import Sides, with_both_tasks
from promptlift.training.examples import IGNORED, collate, tokenized
from promptlift.training.models import Start, start_model
from promptlift.training.preference import add_reference, log_likelihood, loss_of
from promptlift.training.train import measure_run, train
from tests.conftest import ENDS, HEADS
from tests.training.test_train import weights

BETTER, WORSE = ENDS[0], ENDS[1:]
PREFERENCES = [
    Pair(source=head, target=BETTER, mode="extend", rejected=end) for head in HEADS for end in WORSE
]
PLAIN = [Pair(source=head, target=end, mode="extend") for head in HEADS for end in ENDS]
SETTINGS = {
    "epochs": 3.0, "batch_size": 8, "optimizer": "adamw", "learning_rate": 3e-3, "warmup_steps": 1,
    "precision": "fp32", "save_steps": 3, "logging_steps": 2, "dropout_rate": 0.0,
}  # fmt: skip


def settings(folder: Path, **changed: object) -> TrainingConfig:
    return TrainingConfig(**{"model": str(folder), **SETTINGS, **changed})  # type: ignore[arg-type]


def prefix(mode: str, form: str) -> str:
    return f"{mode}: "


@pytest.fixture(params=["t5v11", "llama"])
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(f"{request.param}_folder")
    return found


def by_hand(start: Start, source: str, target: str, folder: Path) -> float:
    """The log-probability of a target, by transformers alone."""
    [row] = tokenized([Pair(source=source, target=target, mode="extend")], start, prefix,
                      TrainingConfig())  # fmt: skip
    kind = LlamaForCausalLM if start.decoder_only else T5ForConditionalGeneration
    model = kind.from_pretrained(folder).eval()
    ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
    with torch.no_grad():
        loss = model(input_ids=ids, labels=labels).loss
    return -float(loss) * int((labels != IGNORED).sum())


@pytest.mark.parametrize("likelihood", [0.0, 0.5])
def test_the_loss_is_the_published_one(
    folder: Path, t5_folder: Path, llama_folder: Path, likelihood: float
) -> None:
    start = start_model(settings(folder), folder)
    other_folder = llama_folder if start.decoder_only else t5_folder
    pairs = [PREFERENCES[0], PLAIN[3], replace(PREFERENCES[6], rejected=f"{ENDS[1]}, {ENDS[2]}")]
    join = collate(start.tokens["pad"])
    rows = tokenized(pairs, start, prefix, TrainingConfig())
    with torch.no_grad():
        for parameter in start.model.parameters():  # another model than the reference
            parameter.mul_(1.1)
    moved = start.model.eval()
    reference = start_model(settings(folder), folder).model
    add_reference(rows, reference, join, torch.device("cpu"), start.decoder_only)
    with torch.no_grad():
        found, _ = loss_of(
            moved, join(rows), beta=0.3, likelihood=likelihood, decoder_only=start.decoder_only
        )

    saved = other_folder.parent / f"moved-{folder.name}"
    moved.save_pretrained(saved)
    expected = []
    for pair in pairs:
        now = by_hand(start, pair.source, pair.target, saved)
        own = -now / len(start.encode_targets([pair.target])[0])
        if pair.rejected is None:
            expected.append(own)
            continue
        margin = now - by_hand(start, pair.source, pair.rejected, saved)
        margin -= by_hand(start, pair.source, pair.target, folder)
        margin += by_hand(start, pair.source, pair.rejected, folder)
        expected.append(likelihood * own - math.log(1 / (1 + math.exp(-0.3 * margin))))
    assert float(found) == pytest.approx(sum(expected) / len(expected), rel=1e-4)


def test_padding_changes_no_likelihood(folder: Path) -> None:
    start = start_model(settings(folder), folder)
    join, model = collate(start.tokens["pad"]), start.model.eval()
    pairs = [replace(PLAIN[0], target="x"), replace(PLAIN[7], target=", ".join(ENDS))]
    rows = tokenized(pairs, start, prefix, TrainingConfig())

    def likelihood(part: list[dict[str, list[int]]]) -> list[float]:
        batch = join(part)
        with torch.no_grad():
            logits = model(**batch).logits
        found, _ = log_likelihood(logits, batch["labels"], start.decoder_only)  # type: ignore[arg-type]
        return [float(one) for one in found]

    alone = [likelihood([row])[0] for row in rows]
    assert likelihood(rows) == pytest.approx(alone, rel=1e-4)


def margin(folder: Path, start: Start) -> float:
    return sum(
        by_hand(start, head, BETTER, folder) - by_hand(start, head, end, folder)
        for head in HEADS
        for end in WORSE
    )


def test_the_better_target_becomes_likelier_than_the_worse(folder: Path, tmp_path: Path) -> None:
    trained = train(PREFERENCES, tmp_path / "run", settings(folder), validation=PLAIN)
    assert trained is not None
    start = start_model(settings(folder), folder)
    assert margin(trained, start) > margin(folder, start) + 5


def test_a_large_beta_and_old_pairs_keep_it_near(llama_folder: Path, tmp_path: Path) -> None:
    start = start_model(settings(llama_folder), llama_folder)
    found = {}
    for name, beta in (("free", 0.1), ("near", 5.0)):
        config = settings(llama_folder, preference_beta=beta, epochs=8.0)
        trained = train(PREFERENCES, tmp_path / name, config, validation=PLAIN)
        assert trained is not None
        found[name] = margin(trained, start)
    assert found["near"] < found["free"]


def test_a_stopped_run_ends_with_the_same_weights(folder: Path, tmp_path: Path) -> None:
    mixed = PREFERENCES + PLAIN
    config = settings(folder, lora=True)
    train(mixed, tmp_path / "whole", config, validation=PLAIN)

    def stop(line: str) -> None:
        if line.startswith("step 4"):
            os.kill(os.getpid(), signal.SIGTERM)

    logging = replace(config, logging_steps=2)
    assert train(mixed, tmp_path / "halves", logging, validation=PLAIN, report=stop) is None
    assert train(mixed, tmp_path / "halves", logging, validation=PLAIN) is not None
    whole, halves = weights(tmp_path / "whole"), weights(tmp_path / "halves")
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_a_preflight_measures_them(llama_folder: Path) -> None:
    found = measure_run(PREFERENCES, settings(llama_folder), validation=PLAIN)
    assert found.updates == math.ceil(len(PREFERENCES) / 8) * 3


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_worse_targets_are_kept_in_files(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"pairs.{ending}"
    write_pairs(path, [PREFERENCES[0], PLAIN[0]])
    assert [*load_pairs(path)] == [PREFERENCES[0], PLAIN[0]]


@pytest.mark.slow  # trl takes seconds to import
@pytest.mark.filterwarnings("ignore")  # of trl and datasets
@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_loss_and_gradients_are_those_of_trl(
    llama_folder: Path, tmp_path: Path, beta: float
) -> None:
    from datasets import Dataset  # type: ignore[import-untyped]
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]

    model = LlamaForCausalLM.from_pretrained(llama_folder)
    reference = LlamaForCausalLM.from_pretrained(llama_folder)
    torch.manual_seed(0)
    with torch.no_grad():
        for part in model.parameters():
            part.add_(0.05 * torch.randn_like(part))
    rows = {
        "prompt": ["a cat", "a very old lighthouse"],
        "chosen": [", warm light, fog", ", rain"],
        "rejected": [", 8k", ", masterpiece, a best seller"],
    }
    config = DPOConfig(
        output_dir=str(tmp_path), beta=beta, per_device_train_batch_size=2, use_cpu=True,
        bf16=False, gradient_checkpointing=False, report_to=[],
    )  # fmt: skip
    trainer = DPOTrainer(
        model, reference, config, train_dataset=Dataset.from_dict(rows),
        processing_class=AutoTokenizer.from_pretrained(llama_folder),
    )  # fmt: skip
    [batch] = trainer.get_train_dataloader()
    theirs = trainer.compute_loss(model, dict(batch))  # type: ignore[no-untyped-call]
    theirs.backward()
    expected = {name: part.grad.clone() for name, part in model.named_parameters()}
    model.zero_grad()

    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, IGNORED)
    ours = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    with torch.no_grad():
        better, worse = log_likelihood(reference(**ours).logits, labels, True)[0].chunk(2)
    ours |= {"labels": labels, "paired": torch.arange(2), "reference": better - worse}
    loss, _ = loss_of(model, ours, beta=beta, likelihood=0.0, decoder_only=True)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == pytest.approx(float(theirs), rel=1e-6)
    for name, part in model.named_parameters():
        # Processors round differently: a small element was off by 1.1e-6 on one.
        torch.testing.assert_close(part.grad, expected[name], rtol=1e-4, atol=5e-6)


def test_votes_as_preferences_can_be_learned(tmp_path: Path) -> None:
    path = tmp_path / "preferences.jsonl"
    path.write_text('{"prompt": "a cat", "chosen": "a cat, 4k", "rejected": "cat", "votes": 3}\n')
    [pair] = load_pairs(path)
    assert pair == Pair(source="a cat", target="a cat, 4k", rejected="cat")


def test_hashes_tell_other_worse_targets_and_no_cut_is_made_of_a_preference() -> None:
    rewrite = replace(PREFERENCES[0], mode="rewrite", target="a cat, red hat, soft light, fog")
    assert with_both_tasks([rewrite]) == [rewrite]
    assert len(with_both_tasks([replace(rewrite, rejected=None)])) == 2
    others = [PREFERENCES[0], replace(PREFERENCES[0], rejected="else")]
    hashes = [Sides([pair], None).hashes()["pairs"] for pair in others]
    assert hashes[0] != hashes[1]
