"""Rounds of improving, drawing, judging and learning, with tiny real models."""

import json
import shutil
import signal
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.illustrator import Illustrator
from promptlift.improving.improver import Improver
from promptlift.pairs.load import collect_pairs, write_pairs
from promptlift.picking.picks import IMPROVEMENTS, entries_of, pair_of, read_picks
from promptlift.pictures import read_index
from promptlift.records import Dropped, Pair
from promptlift.runs import Run
from promptlift.scoring.text.diversity import added_words
from promptlift.training.config import TrainingConfig
from promptlift.training.train import train
from promptlift.tuning.config import BEST_OF_N, PREFERENCES, TuneConfig, training_of
from promptlift.tuning.figures import kept_round
from promptlift.tuning.lessons import _drawn, lessons, with_old
from promptlift.tuning.pooling import Variants, pooled
from promptlift.tuning.preflight import preflight
from promptlift.tuning.tune import HELD_OUT, KEPT, ROUNDS, STAGE, Material, tune
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS

HEADS = ("red star", "two blue rings", "a green moon", "white heart", "orange bolt")
ENDS = ("sharp focus", "4k, crisp", "sunset", "centred, masterpiece", "sea, best quality")
PROMPTS = [
    f"{size}{head}"
    for size in ("", "small ", "large ", "the ", "a big ", "bold ")
    for head in HEADS
]
SOURCES = (*HEADS, *(f"tiny {head}" for head in HEADS))
OLD = [Pair(source=source, target=end, mode="extend") for source in SOURCES for end in ENDS]
SMALL: dict[str, Any] = {
    "reward": "tests.tuning.rewards:red", "rounds": 2, "prompts": 20, "n": 4, "held_out": 10,
    "mode": "extend", "temperature": 1.5, "old_share": 0.8,
}  # fmt: skip


@pytest.fixture(scope="module")
def illustrator() -> Illustrator:
    return Illustrator.load("pocket", num_inference_steps=1, seeds=1)


@pytest.fixture(scope="module")
def writes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small T5 that has learned to add some of `ENDS`."""
    sizes: dict[str, Any] = {
        "vocab_size": 330, "d_model": 32, "d_ff": 64, "num_layers": 1, "num_decoder_layers": 1,
        "num_heads": 2, "batch_size": 25, "warmup_steps": 5, "epochs": 60.0, "precision": "fp32",
        "learning_rate": 1e-2,
    }  # fmt: skip
    run = tmp_path_factory.mktemp("models") / "writes"
    found = train(OLD, run, TrainingConfig(**sizes), validation=OLD[:5], report=print)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def material(illustrator: Illustrator, writes: Path) -> Material:
    return Material(model=str(writes), prompts=PROMPTS, old=OLD, illustrator=illustrator)


def tuned(run: Path, material: Material, *, report: Any = print, **changed: Any) -> dict[str, Any]:
    training = training_of(material.model, {"precision": "fp32", "warmup_steps": 1})
    return tune(run, material, TuneConfig(**{**SMALL, **changed}), training, report=report)


@pytest.fixture(scope="module")
def whole(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `SMALL`; not to be written to."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    tuned(run, material)
    return run


def rows_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / ROUNDS).read_text().splitlines()]


def test_each_round_keeps_model_figures_and_samples(whole: Path) -> None:
    rows = rows_of(whole)
    assert [row["round"] for row in rows] == [0, 1, 2]
    for number in (1, 2):
        folder = whole / "rounds" / str(number)
        Improver.load(str(folder / "model")).improve(["red star"], seed=0)
        assert len(list(read_picks(folder))) == 20
        assert not (folder / "checkpoints").exists()
        assert rows[number]["gain"][1] <= rows[number]["gain"][0] <= rows[number]["gain"][2]
    assert rows[0]["more_than_base"] == [0, 0, 0] and rows[0]["gained"] == []
    for name in ("intent_kept", "uninvited", "unchanged", "ten_commonest"):
        assert all(0 <= row[name] <= 1 for row in rows)
    assert all(row["old_bits"] > 0 and row["base_bits"] > 0 for row in rows)
    assert Run.open(whole).stage(STAGE)["state"] == "done"


def test_nothing_is_measured_on_what_was_learned(whole: Path) -> None:
    held_out = whole / "rounds" / "0" / HELD_OUT
    measured = {one.source for one in read_index(held_out / "pictures")}
    seeds = {one.seed for one in read_index(held_out / "pictures")}
    learned: set[int] = set()
    for number in (1, 2):
        folder = whole / "rounds" / str(number)
        pictures = read_index(folder / "pictures")
        assert measured.isdisjoint(one.source for one in pictures)
        own = {one.seed for one in pictures}
        assert seeds.isdisjoint(own) and learned.isdisjoint(own)
        learned |= own
        again = read_index(folder / HELD_OUT / "pictures")
        assert {one.source for one in again} <= {
            entry.variants[0].source for entry in entries_of(held_out / IMPROVEMENTS)
        }
        for one in again:  # the same noise, so that rounds compare
            assert one.seed in seeds


def test_gains_are_those_of_the_pictures(whole: Path) -> None:
    from PIL import Image

    from tests.tuning.rewards import red

    folder = whole / "rounds" / "2" / HELD_OUT
    scores: dict[tuple[int, int], dict[str, float]] = {}
    for one in read_index(folder / "pictures"):
        [value] = red([one.source], [Image.open(one.path)])
        scores.setdefault((one.prompt_index, one.seed), {})[one.side] = value
    gains = [found["improved"] - found["original"] for found in scores.values()]
    row = rows_of(whole)[2]
    unchanged = row["unchanged"] * row["prompts"]  # left as they are, they gain nothing
    assert row["gain"][0] == pytest.approx(sum(gains) / (len(gains) + unchanged), abs=1e-6)


def test_lessons_are_what_leads_clearly(whole: Path) -> None:
    folder = whole / "rounds" / "1"
    both = {how: lessons([folder], how) for how in (BEST_OF_N, PREFERENCES)}
    assert both[PREFERENCES] and all(pair.rejected for pair in both[PREFERENCES])
    assert all(pair.rejected is None for pair in both[BEST_OF_N])
    drawn = [*_drawn(folder)]
    words = [[frozenset(added_words(one.source, one.prompt)) for one in each] for each, _ in drawn]
    gains = [gain for _, gain in drawn]
    estimates = pooled([Variants(*one) for one in zip(words, gains, strict=True)])
    clear, known = 0, {(pair.source, pair.target): pair for pair in both[PREFERENCES]}
    for (several, _), found in zip(drawn, estimates, strict=True):
        best, worst = int(found.gains.argmax()), int(found.gains.argmin())
        leads = found.gains[best] - found.gains[worst] > found.errors[best, worst]
        pair = known.get((several[0].source, ", ".join(several[best].additions)))
        assert leads or pair is None
        clear += pair is not None
    assert clear > 0


def test_what_the_checks_drop_is_taught_as_worse(whole: Path) -> None:
    [[one]] = Improver.load(str(whole / "rounds" / "1" / "model")).improve(["red star"], seed=0)
    better = replace(one, prompt="red star, 4k", additions=("4k",), settings={"form": "tags"})
    dropped = (Dropped("neon style", "style"), Dropped("sunset", "to be avoided"))
    nothing = replace(one, prompt="red star", additions=(), dropped=dropped, mode="extend")
    pair = pair_of(replace(better, mode="extend"), nothing)
    assert pair is not None and (pair.target, pair.rejected) == ("4k", "neon style, sunset")
    assert pair_of(nothing, better) is None
    assert pair_of(replace(better, mode="extend"), replace(nothing, dropped=())) is None


def test_every_round_learns_from_all_rounds_and_from_the_start(whole: Path) -> None:
    folders = [whole / "rounds" / str(number) for number in (1, 2)]
    taught = lessons(folders, PREFERENCES)
    learned = collect_pairs([folders[1] / "training.jsonl"])
    assert learned[: len(taught)] == taught
    old, held_out = learned[len(taught) :], whole / "rounds" / "0" / HELD_OUT / IMPROVEMENTS
    assert old and {*old} <= {*OLD}
    measured = {entry.variants[0].source for entry in entries_of(held_out)}
    assert measured & {*SOURCES}  # so that there is something to leave out
    assert measured.isdisjoint(pair.source for pair in learned)
    begun = [json.loads((one / "config.json").read_text())["training"]["model"] for one in folders]
    assert begun[0] == begun[1]


def test_a_round_that_shows_nothing_clear_leaves_the_model(
    material: Material, tmp_path: Path
) -> None:
    said: list[str] = []
    reward = "tests.tuning.rewards:alike"
    found = tuned(tmp_path / "run", material, reward=reward, rounds=1, report=said.append)
    assert any("too little to learn from" in line for line in said)
    assert found["kept"] == 0 and not (tmp_path / "run" / "model").exists()
    assert found["rounds"][1]["base_bits"] == found["rounds"][0]["base_bits"]


def test_the_other_way_to_learn(material: Material, tmp_path: Path) -> None:
    run = tmp_path / "best"
    tuned(run, material, learn=BEST_OF_N, rounds=1, old_share=0.9)
    learned = collect_pairs([run / "rounds" / "1" / "training.jsonl"])
    assert all(pair.rejected is None for pair in learned)


def test_a_stopped_run_ends_with_the_same_bytes(
    whole: Path, material: Material, tmp_path: Path
) -> None:
    run, stops = tmp_path / "parts", iter(("improving", "pairs to learn", "epoch 1.00", "round 1:"))
    waited = next(stops, None)

    def stop(line: str) -> None:
        nonlocal waited
        if waited is not None and waited in line:
            waited = next(stops, None)
            signal.raise_signal(signal.SIGINT)  # in this thread, at once

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            tuned(run, material, report=stop)
    tuned(run, material, report=stop)
    assert rows_of(run) == rows_of(whole)
    for number in (1, 2):
        file = Path("rounds") / str(number) / "model" / "model.safetensors"
        assert (run / file).read_bytes() == (whole / file).read_bytes()


def test_a_run_that_is_done_goes_on_with_more_rounds(
    whole: Path, material: Material, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "more"))
    said: list[str] = []
    found = tuned(run, material, rounds=3, report=said.append)
    assert [row["round"] for row in found["rounds"]] == [0, 1, 2, 3]
    assert not any("round 1 of" in line or "round 2 of" in line for line in said)
    with pytest.raises(ConfigError, match="begun with other settings"):
        tuned(run, material, rounds=3, n=5)


def _number(number: int, rows: Any, gains: Any) -> int:
    return number


def test_the_kept_model_is_that_of_the_round(
    whole: Path, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, file = Path(shutil.copytree(whole, tmp_path / "run")), Path("model") / "model.safetensors"
    for number in (1, 2, 0):
        chosen = partial(_number, number)
        monkeypatch.setattr("promptlift.tuning.tune.kept_round", chosen)
        assert tuned(run, material)["kept"] == number
        assert json.loads((run / KEPT).read_text())["round"] == number
        if number:
            own = (run / "rounds" / str(number) / file).read_bytes()
            assert (run / file).read_bytes() == own
    assert not (run / "model").exists()


def test_a_run_goes_on_only_with_the_same_pictures_and_reward(
    whole: Path, material: Material, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    other = Illustrator.load("pocket", num_inference_steps=2, seeds=1)
    with pytest.raises(ConfigError, match="begun with other settings"):
        tuned(run, replace(material, illustrator=other), rounds=3)
    more = material.illustrator.with_seeds(0, 2)
    with pytest.raises(ConfigError, match="begun with other settings"):
        tuned(run, replace(material, illustrator=more), rounds=3)
    with pytest.raises(ConfigError, match="begun with other settings"):
        tuned(run, replace(material, old=OLD[1:]), rounds=3)


def rounds(*gains: float, intent: float = 1.0) -> tuple[list[dict[str, float]], list[Any]]:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 400)
    rows = [{"intent_kept": 1.0}, *({"intent_kept": intent} for _ in gains[1:])]
    return rows, [gain + noise + rng.normal(0, 0.05, 400) for gain in gains]


@pytest.mark.parametrize(
    ("gains", "kept"),
    [((0.0, 0.0, 0.0), 0), ((0.0, 0.1, 0.2), 2), ((0.0, 0.2, 0.2), 1), ((0.0, 0.2, 0.1), 1),
     ((0.0, -0.1, -0.2), 0)],
)  # fmt: skip
def test_the_round_that_is_kept(gains: tuple[float, ...], kept: int) -> None:
    found = kept_round(*rounds(*gains))
    assert found == kept or gains[found] == gains[kept]  # rounds that are alike may change places


def test_a_round_that_loses_intent_is_not_kept() -> None:
    assert kept_round(*rounds(0.0, 0.5, 0.6, intent=0.9)) == 0


def test_old_pairs_have_their_share() -> None:
    pairs = [Pair(source="a", target=str(place), mode="extend") for place in range(30)]
    mixed = with_old(pairs, OLD, 0.25, "0")
    assert mixed[:30] == pairs and len(mixed) == 40
    assert with_old(pairs, OLD, 0.25, "0") == mixed != with_old(pairs, OLD, 0.25, "1")
    assert len(with_old(pairs, OLD[:3], 0.9, "0")) == 33
    assert with_old(pairs, [], 0.5, "0") == pairs


def test_pairs_have_no_weights_and_keep_their_form(writes: Path) -> None:
    [[one]] = Improver.load(str(writes)).improve(["(red star:1.2)"], seed=0, mode="extend")
    one = replace(one, additions=("soft light", "fog"), settings={"form": "tags"})
    assert pair_of(one) == Pair(source="red star", target="soft light, fog", mode="extend")
    assert pair_of(one, one) is None
    assert pair_of(replace(one, additions=())) is None
    prose = replace(one, additions=("It rains.", "It is cold."), settings={"form": "paragraph"})
    found = pair_of(prose)
    assert found is not None and (found.target, found.form) == (
        "It rains. It is cold.", "paragraph"
    )  # fmt: skip


def test_too_few_prompts_and_wrong_rewards_are_refused(material: Material, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are too few"):
        tuned(tmp_path / "few", replace(material, prompts=PROMPTS[:10]))
    for reward, why in (
        ("nothing", "is not known"),
        ("tests.tuning.rewards:blue", "cannot be loaded"),
        ("no.such.module:red", "cannot be loaded"),
        ("tests.tuning.rewards:one_number", "one number for each"),
    ):
        with pytest.raises(ConfigError, match=why):
            tuned(tmp_path / reward.replace(":", "-"), material, reward=reward)


def test_a_preflight_measures_and_leaves_nothing(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learning = training_of(material.model, {"precision": "fp32"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lines = preflight(material, TuneConfig(**SMALL), learning)
    assert lines[0].startswith("preflight: a round takes") and "110 pictures at" in lines[0]
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="are too few"):
        preflight(replace(material, prompts=PROMPTS[:2]), TuneConfig(**SMALL), learning)


def test_the_page_tells_of_every_round(whole: Path, tmp_path: Path) -> None:
    from promptlift.reporting.run_report import write_report

    text = write_report(whole, tmp_path / "page").read_text()
    assert "Tuning by pictures" in text and "What the model learned to say" in text
    assert (tmp_path / "page" / "tuning-gain.svg").exists()
    assert text.count("round 2") >= 5


def command(*words: str) -> Any:
    return CliRunner().invoke(app, ["tune", *words])


def test_the_command_tunes_and_goes_on(writes: Path, tmp_path: Path) -> None:
    prompts, pairs, run = tmp_path / "prompts.txt", tmp_path / "old.jsonl", tmp_path / "run"
    prompts.write_text("\n".join([*PROMPTS, "", PROMPTS[0]]))
    write_pairs(pairs, OLD)
    words = [
        "--model", str(writes), "-i", str(prompts), "--pairs", str(pairs), "-o", str(run),
        "--reward", "sharpness", "--rounds", "1", "--prompts", "20", "--held-out", "10",
        "--steps", "1", "--seeds", "1", "--temperature", "1.5", "--avoid", "sunset", "--offline",
    ]  # fmt: skip
    result = command(*words)
    assert result.exit_code == 0, result.stderr
    assert "round 1: sharpness" in result.stderr
    assert ("model in" in result.stderr) == (run / "model").exists()
    drawn = {one.prompt for one in read_index(run / "rounds" / "1" / "pictures")}
    assert len(drawn) > 20 and not any("sunset" in prompt.split(", ") for prompt in drawn)
    before = rows_of(run)
    again = command(*words)
    assert again.exit_code == 0 and rows_of(run) == before
    other = command(*words, "--learn", "best-of-n")
    assert other.exit_code == 2 and "was begun with other settings" in other.stderr


def test_wrong_commands_are_refused_in_a_line(writes: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("red star\n\n")
    known = ("--model", str(writes), "-i", str(prompts), "-o", str(tmp_path / "run"))
    for words, why in (
        (("-i", str(prompts)), "name the model with --model"),
        (("--model", str(writes)), "a file of prompts with --input"),
        (known[:4], "name the run folder with --output"),
        ((*known, "--reward", "beauty"), "metric 'beauty' is not known"),
        ((*known, "--rounds", "0"), "rounds is 0 and must be 1 or more"),
        (known, "1 prompts are too few: 100 are held out"),
        ((*known[:3], str(tmp_path / "none.txt"), *known[4:]), "none.txt does not exist"),
    ):
        result = command(*words)
        assert result.exit_code in (1, 2), result.stderr
        [line] = [one for one in result.stderr.splitlines() if "error" in one]
        assert why in line, line
    assert not (tmp_path / "run").exists()
