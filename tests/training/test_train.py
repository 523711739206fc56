"""Training for real, on a tiny model: it learns, it stops, it goes on to the same weights."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import T5ForConditionalGeneration

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.improver import Improver
from promptlift.improving.manifest import ModelCard
from promptlift.pairs.load import write_pairs
from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.training.callbacks import LOG_COLUMNS
from promptlift.training.checkpoints import complete_checkpoints
from promptlift.training.config import TrainingConfig
from promptlift.training.data import hash_inputs, set_apart, with_both_tasks
from promptlift.training.examples import EpochSampler
from promptlift.training.models import use_bf16
from promptlift.training.train import train
from tests.conftest import ENDS, HEADS
from tests.waiting import Said

PAIRS = [Pair(source=head, target=end, mode="extend") for head in HEADS for end in ENDS] + [
    Pair(source=head, target=f"{head}, {end}") for head in HEADS for end in ENDS
]
SIZES = {
    "vocab_size": 330, "d_model": 16, "d_ff": 24, "num_layers": 1, "num_decoder_layers": 1,
    "num_heads": 2, "dropout_rate": 0.1, "batch_size": 8, "warmup_steps": 2, "epochs": 2.0,
    "precision": "fp32", "save_steps": 4, "logging_steps": 2,
}  # fmt: skip
FLAGS = [
    part for name, value in SIZES.items() for part in (f"--{name.replace('_', '-')}", str(value))
]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(PAIRS, run, TrainingConfig(**SIZES))  # type: ignore[arg-type]
    return run


def test_a_run_leaves_what_the_formats_promise(whole: Path) -> None:
    stage = Run.open(whole).stage("training")
    assert stage["state"] == "done"
    assert stage["results"]["pairs"] == {"extend": 25, "rewrite": 25}
    assert stage["config"]["d_model"] == 16
    assert stage["versions"]["torch"] == version("torch")
    assert (whole / "config.json").exists()
    header, *rows = (whole / "log.csv").read_text().splitlines()
    assert header == ",".join(LOG_COLUMNS)
    assert sum(bool(row.split(",")[3]) for row in rows) == 2  # validation after each epoch
    assert ModelCard.read(whole / "model").modes == {"extend": "extend: ", "rewrite": "rewrite: "}
    assert Improver.load(whole / "model").improve("a cat", seed=1)[0].source == "a cat"


def test_a_stopped_run_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    lines: list[str] = []

    def stop(line: str) -> None:
        if "epoch 1.00" in line and not lines:  # a second Ctrl-C would not wait for the step
            lines.append(line)
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "parts"
    config = TrainingConfig(**SIZES)  # type: ignore[arg-type]
    assert train(PAIRS, run, config, report=stop) is None
    assert Run.open(run).stage("training")["state"] == "interrupted"
    # A checkpoint that a kill left half written is not taken.
    (run / "checkpoints" / "checkpoint-999").mkdir()
    assert train(PAIRS, run, config) == run / "model"
    expected, found = weights(whole), weights(run)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_stop_within_an_epoch_leaves_no_figures_of_its_own(whole: Path, tmp_path: Path) -> None:
    config = TrainingConfig(**SIZES)  # type: ignore[arg-type]

    def stop(line: str) -> None:
        if line.startswith("step 2 of"):
            os.kill(os.getpid(), signal.SIGINT)

    assert train(PAIRS, tmp_path / "parts", config, report=stop) is None
    train(PAIRS, tmp_path / "parts", config)
    assert (tmp_path / "parts" / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()


@pytest.mark.slow
def test_a_killed_command_ends_with_the_same_weights(whole: Path, tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    run = tmp_path / "killed"
    command = [
        sys.executable, "-m", "promptlift", "train", "--pairs", str(tmp_path / "pairs.jsonl"),
        "--output", str(run), *FLAGS,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        Said(process.stderr).until("step 6 of")  # the checkpoint of step 4 is whole
        process.kill()
    assert complete_checkpoints(run)
    assert not (run / "model").exists()
    subprocess.run(command, env=environment, check=True)
    expected, found = weights(whole), weights(run)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_run_may_be_stopped_by_its_losses_and_goes_on(whole: Path, tmp_path: Path) -> None:
    seen: list[list[float]] = []

    def stop(losses: Sequence[float]) -> bool:
        seen.append(list(losses))
        return len(seen) != 2  # at its end there is nothing to stop

    config = TrainingConfig(**SIZES)  # type: ignore[arg-type]
    assert train(PAIRS, tmp_path / "run", config, after_epoch=stop) is None
    assert Run.open(tmp_path / "run").stage("training")["state"] == "interrupted"
    assert train(PAIRS, tmp_path / "run", config, after_epoch=stop) is not None
    logged = [line.split(",")[3] for line in (whole / "log.csv").read_text().splitlines()[1:]]
    losses = [float(cell) for cell in logged if cell]
    assert seen == [losses[:1], losses[:1], losses]  # it went on from before the epoch's end
    assert (tmp_path / "run" / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()


def test_a_checkpoint_at_the_end_of_an_epoch_holds_its_validation(tmp_path: Path) -> None:
    config = TrainingConfig(**{**SIZES, "save_steps": 6, "epochs": 1.0})  # type: ignore[arg-type]
    train(PAIRS, tmp_path, config)
    [checkpoint] = complete_checkpoints(tmp_path)
    state = json.loads((checkpoint / "trainer_state.json").read_text())
    assert state["global_step"] == state["max_steps"] == 6
    assert [row["step"] for row in state["log_history"] if "eval_loss" in row] == [6]


def test_a_complete_run_is_not_done_again(whole: Path) -> None:
    lines: list[str] = []
    train(PAIRS, whole, TrainingConfig(**SIZES), report=lines.append)  # type: ignore[arg-type]
    assert lines == [f"{whole} is complete already"]


def test_other_pairs_in_the_same_folder_are_refused(whole: Path) -> None:
    with pytest.raises(ConfigError, match="pairs was"):
        train(PAIRS[1:], whole, TrainingConfig(**SIZES))  # type: ignore[arg-type]


def test_half_precision_weights_are_trained_in_full(t5_folder: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    shutil.copytree(t5_folder, half)
    model = T5ForConditionalGeneration.from_pretrained(half, dtype=torch.float16)
    model.save_pretrained(str(half))
    config = TrainingConfig(model=str(half), epochs=1, batch_size=8, precision="fp32")
    trained = train(PAIRS, tmp_path / "run", config)
    assert trained is not None
    assert {item.dtype for item in load_file(trained / "model.safetensors").values()} == {
        torch.float32
    }
    card, base = ModelCard.read(trained), ModelCard.read(half)
    assert (card.name, card.modes, card.decoding) == (base.name, base.modes, base.decoding)


def test_other_settings_in_the_same_folder_are_refused(whole: Path) -> None:
    config = TrainingConfig(**{**SIZES, "learning_rate": 0.5})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"learning_rate was 0.002, now 0.5"):
        train(PAIRS, whole, config)


@pytest.mark.parametrize("kind", ["t5_folder", "t5v11_folder"])
def test_fine_tunes_either_kind_of_t5(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(kind)
    config = TrainingConfig(
        model=str(folder), epochs=3, batch_size=8, learning_rate=1e-2, warmup_steps=1,
        precision="fp32",
    )  # fmt: skip
    before = Improver.load(folder).log_probability(["a lighthouse"], ["highly detailed"])
    model = train(PAIRS, tmp_path / "run", config)
    assert model is not None
    assert Improver.load(model).log_probability(["a lighthouse"], ["highly detailed"]) > before + 1


def test_pairs_to_rewrite_alone_also_teach_extending() -> None:
    learned = with_both_tasks([Pair(source="a cat", target="a cat, 4k, oil")])
    assert learned[1:] == [Pair(source="a cat", target="4k, oil", mode="extend")]
    assert with_both_tasks(PAIRS) == PAIRS


def test_epochs_have_their_own_order_and_batches_of_like_length() -> None:
    lengths = [index % 50 for index in range(1000)]
    sampler = EpochSampler(lengths, 10, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(1000))
    assert first != second
    again = EpochSampler(lengths, 10, seed=1)
    assert list(again) == first
    spread = [
        max(lengths[i] for i in first[at : at + 10]) - min(lengths[i] for i in first[at : at + 10])
        for at in range(0, 1000, 10)
    ]
    assert sum(spread) / len(spread) < 5


def test_faults_are_said_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="too few"):
        train(PAIRS[:3], tmp_path / "run", TrainingConfig())
    with pytest.raises(ConfigError, match=r"precision is 'fp16'"):
        TrainingConfig(precision="fp16")
    with pytest.raises(ConfigError, match=r"epochs is 0 .*; batch_size is 0"):
        TrainingConfig(epochs=0, batch_size=0)
    with pytest.raises(ConfigError, match="there is: pocket"):
        TrainingConfig.resolve("paper-ish", {})
    with pytest.raises(ModelError, match="is no folder"):
        train(PAIRS, tmp_path / "run", TrainingConfig(model=str(tmp_path / "none")))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("")
    with pytest.raises(InputError, match="not a run folder"):
        train(PAIRS, tmp_path / "mine", TrainingConfig())


def test_precision_is_taken_as_asked() -> None:
    assert use_bf16("bf16")
    assert not use_bf16("fp32")


def test_dropout_is_the_models_own_unless_given(whole: Path) -> None:
    folder = str(whole / "model")
    for given, rate in ((None, 0.1), (0.3, 0.3)):
        model = load_torch(folder, dropout_rate=given).engine.model
        found = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
        assert found == {rate}
    with pytest.raises(ConfigError, match="dropout_rate is"):
        TrainingConfig(dropout_rate=1.0)


def test_pairs_for_validation_are_related_to_none_that_is_learned_from() -> None:
    pairs = [
        Pair(source=f"a small {thing} in a garden", target=target, mode="extend")
        for thing in ("cat", "dog", "fox", "hen", "owl", "rat", "toad", "crow", "deer", "bear")
        for target in ("soft light", "wide angle", "oil painting")
    ]
    validation, training = set_apart(pairs, 7, seed=0)
    assert len(validation) == 6
    assert sorted(map(str, validation + training)) == sorted(map(str, pairs))
    assert not {pair.source for pair in validation} & {pair.source for pair in training}
    assert set_apart(pairs, 7, seed=0) == (validation, training)
    assert set_apart(pairs, 7, seed=1)[0] != validation


def test_where_all_pairs_are_related_single_ones_are_set_apart() -> None:
    pairs = [Pair(source="a small cat in a garden", target=f"view {n}") for n in range(30)]
    pairs = [replace(pair, mode="extend") for pair in pairs]
    validation, training = set_apart(pairs, 3, seed=0)
    assert (len(validation), len(training)) == (3, 27)


# Torch's own code for its compiler uses what torch deprecates.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.slow
def test_a_compiled_step_gives_the_loss_of_a_plain_one(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graphs of forward and backward, which run here as they are: to make C++ of them is torch's
    # own work, and takes two minutes of a processor.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    settings = TrainingConfig(**{**SIZES, "dropout_rate": 0.0, "epochs": 1.0})  # type: ignore[arg-type]
    losses = []
    for compiled in (False, True):
        run = tmp_path / str(compiled)
        train(PAIRS, run, replace(settings, compile=compiled))
        losses.append(Run.open(run).stage("training")["results"]["validation_loss"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-3)


def test_inputs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder, text in (("one", "a"), ("two", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "pairs.csv").write_text(text)
    (tmp_path / "more.csv").write_text("c")
    paths = [tmp_path / name for name in ("one/pairs.csv", "two/pairs.csv", "more.csv")]
    assert list(hash_inputs(paths)) == ["one/pairs.csv", "two/pairs.csv", "more.csv"]


def test_a_long_silence_is_broken_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlift.progress.QUIET_S", 0.0)
    lines: list[str] = []
    changed = {"logging_steps": 1000, "evaluation_decoding": "model", "evaluation_pairs": 2}
    config = TrainingConfig(**{**SIZES, **changed})  # type: ignore[arg-type]
    train(PAIRS, tmp_path / "run", config, report=lines.append)
    text = "\n".join(lines)
    assert re.search(r"^step 2 of \d+, 0 min left$", text, re.MULTILINE)
    assert ": measuring the loss" in text and "generating predictions for 2 pairs" in text
