"""Sweeps for real: grids and proposals, stopped, killed, shared, and what they leave."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from promptlift.errors import ConfigError, InputError, MissingExtraError, PromptliftError
from promptlift.runs import Run
from promptlift.sweeping import journal as journals
from promptlift.sweeping.config import Sweep, load_sweep
from promptlift.sweeping.journal import FILE, Journal
from promptlift.sweeping.results import results_of
from promptlift.sweeping.run import Left, run_sweep
from promptlift.sweeping.trial import value_of
from tests.cli.conftest import command
from tests.illustrating.models import DIFFUSERS_WARNS
from tests.sweeping.conftest import Files
from tests.waiting import Said

GRID = "train.epochs = [1.0, 2.0]"
RANGE = "train.learning_rate = { low = 1e-4, high = 1e-1, log = true }"
BOTH = f"{RANGE}\ntrain.batch_size = [10, 20]"


def silent(line: str) -> None:
    pass


def journal_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grid of two settings with two seeds, done."""
    root = tmp_path_factory.mktemp("swept")
    sweep = load_sweep(str(Files(root)("seeds = [1, 2]", GRID)))
    assert run_sweep(sweep, root / "sweep", silent).others == []
    return root / "sweep"


def test_a_grid_is_complete_and_each_trial_is_a_run_folder(swept: Path) -> None:
    found = json.loads((swept / "results.json").read_text())
    assert [(one["setting"]["train.epochs"], one["seed"]) for one in found["trials"]] == [
        (1.0, 1), (1.0, 2), (2.0, 1), (2.0, 2),
    ]  # fmt: skip
    for one in found["trials"]:
        folder = swept / "trials" / f"{one['number']:03d}"
        stage = Run.open(folder).stage("training")
        assert stage["state"] == "done" and stage["config"]["seed"] == one["seed"]
        assert stage["config"]["epochs"] == one["setting"]["train.epochs"]
        assert one["value"] == value_of(folder, "loss") == stage["results"]["validation_loss"]
        assert one["losses"][-1] == one["value"] and len(one["losses"]) == stage["config"]["epochs"]
        assert (folder / "model").is_dir() and not (folder / "checkpoints").exists()
    assert Run.open(swept).stage("sweeping")["state"] == "done"


def test_the_best_has_an_interval_over_seeds(swept: Path) -> None:
    found = results_of(swept)
    values = [one["value"] for one in found["trials"]]
    best, other = found["settings"]
    assert best == found["best"] and best["setting"] == {"train.epochs": 2.0}
    middle = (values[2] + values[3]) / 2
    # Of two values the standard error is half their distance; t of 0.975 with 1 degree is 12.706.
    reach = 12.7062 * abs(values[2] - values[3]) / 2
    assert best["value"] == pytest.approx(middle)
    assert (best["low"], best["high"]) == pytest.approx((middle - reach, middle + reach), rel=1e-4)
    gaps = [values[0] - values[2], values[1] - values[3]]
    assert other["less_best"]["difference"] == pytest.approx(sum(gaps) / 2)
    assert other["less_best"]["n"] == 2 and found["importance"] is None


def test_a_finished_sweep_trains_nothing_and_another_file_is_refused(
    swept: Path, tmp_path: Path
) -> None:
    before = (swept / FILE).read_bytes()
    files = Files(tmp_path)
    lines: list[str] = []
    run_sweep(load_sweep(str(files("seeds = [1, 2]", GRID))), swept, lines.append)
    assert lines == [] and b'"op_code":4' not in (swept / FILE).read_bytes()[len(before) :]
    other = load_sweep(str(files("seeds = [1, 2]", "train.epochs = [1.0, 3.0]")))
    with pytest.raises(ConfigError, match=r"space train.epochs was \[1.0, 2.0\], now \[1.0, 3.0\]"):
        run_sweep(other, swept, silent)


def test_proposals_are_the_same_whoever_asks(sweep_file: Files, tmp_path: Path) -> None:
    sweep = load_sweep(str(sweep_file("settings = 12\nseeds = [1, 2]\nprune = false", BOTH)))
    settings = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for number in range(sweep.trials):
            if name == "one" or number in (0, 9):  # one process, and several
                journal = Journal(tmp_path / name)
            with journal.claimed(sweep) as trial:
                assert trial is not None and trial.number == number
                journal.tell(trial, "complete", trial.setting["train.learning_rate"])
        with journal.claimed(sweep) as trial:
            assert trial is None
        settings.append([trial.setting for trial in journal.trials()])
    assert settings[0] == settings[1]
    assert settings[0][::2] == settings[0][1::2]  # a setting with each seed
    rates = [setting["train.learning_rate"] for setting in settings[0]]
    assert all(1e-4 <= rate <= 1e-1 for rate in rates)
    # What TPE proposes after ten settings is lower than what it draws before.
    assert max(rates[20:]) < sorted(rates[:20])[10]
    assert max(found := journal.importance(), key=lambda name: found[name]) == "train.learning_rate"
    assert sum(found.values()) == pytest.approx(1)


def test_a_trial_is_claimed_once_and_goes_to_who_finds_it_free(
    sweep_file: Files, tmp_path: Path
) -> None:
    sweep = load_sweep(str(sweep_file("", GRID)))
    one, two = Journal(tmp_path), Journal(tmp_path)
    with one.claimed(sweep) as first, two.claimed(sweep) as second:
        assert first is not None and second is not None
        assert (first.number, second.number) == (0, 1)
        with one.claimed(sweep) as none:
            assert none is None
    with two.claimed(sweep) as again:  # left open, as by a kill
        assert again is not None and again.number == 0
        with one.claimed(sweep, skip=[1]) as none:
            assert none is None
        two.note(again, [3.0, 2.0])
        two.note(again, [3.0, 2.0, 1.0])
        two.tell(again, "complete", 1.0)
    assert one.trials()[0].losses == (3.0, 2.0, 1.0)
    assert (one.trials()[0].state, one.trials()[1].state) == ("complete", "open")


def test_half_a_line_that_a_kill_left_is_taken_off(sweep_file: Files, tmp_path: Path) -> None:
    sweep = load_sweep(str(sweep_file("", GRID)))
    living = Journal(tmp_path)
    with living.claimed(sweep) as trial:
        assert trial is not None
        with (tmp_path / FILE).open("a") as file:
            file.write('{"op_code":8,"worker_id":"x","tri')
        living.tell(trial, "complete", 2.0)
    assert [trial.value for trial in Journal(tmp_path).trials()] == [2.0]
    assert all(journal_of(tmp_path))


def test_a_trial_above_the_median_is_ended(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_STARTUP", 1)
    # The first learns, the second hardly.
    path = sweep_file("prune = true", "train.learning_rate = [1e-2, 1e-7]", "warmup_steps = 0\n")
    path.write_text(path.read_text().replace("warmup_steps = 2\n", ""))
    lines: list[str] = []
    run_sweep(load_sweep(str(path)), tmp_path / "sweep", lines.append)
    found = results_of(tmp_path / "sweep")
    assert [one["state"] for one in found["trials"]] == ["complete", "pruned"]
    assert [len(one["losses"]) for one in found["trials"]] == [2, 1]
    assert "trial 1 is ended: its loss is above the median" in lines
    stage = Run.open(tmp_path / "sweep" / "trials" / "001").stage("training")
    assert stage["state"] == "interrupted"
    assert Run.open(tmp_path / "sweep").stage("sweeping")["state"] == "done"


def test_a_trial_is_compared_by_its_last_loss_with_the_complete_ones(
    sweep_file: Files, tmp_path: Path
) -> None:
    sweep = load_sweep(str(sweep_file("seeds = [0, 1, 2, 3, 4, 5]", GRID)))
    journal = Journal(tmp_path)
    with journal.claimed(sweep) as trial:  # what is pruned does not count
        assert trial is not None
        journal.note(trial, [0.1, 0.1, 0.1])
        journal.tell(trial, "pruned")
    for number in range(1, 6):
        with journal.claimed(sweep) as trial:
            assert trial is not None
            journal.note(trial, [5.0, 9.0, float(number)])
            assert not journal.is_worse(trial)  # fewer than five are complete
            journal.tell(trial, "complete", float(number))
    # After the third epoch the median of 1 to 5 is 3.
    for losses, worse in (
        ([5.0, 9.0, 3.0], False), ([6.0, 9.0, 3.1], True), ([0.9, 0.9, 9.0], True),
        ([0.9, 0.9, float("nan")], True), ([9.0, 9.0, 9.0, 9.0], False),
    ):  # fmt: skip
        with journal.claimed(sweep) as trial:
            assert trial is not None
            journal.note(trial, losses)
            assert journal.is_worse(trial) is worse
            journal.tell(trial, "failed")


def test_the_lucky_seed_of_a_pruned_setting_does_not_count(
    sweep_file: Files, tmp_path: Path
) -> None:
    sweep = load_sweep(str(sweep_file("settings = 11\nseeds = [1, 2]", BOTH)))

    def proposed(lucky: float, end: str) -> dict[str, object]:
        """The setting after ten, of which the first has one seed with this value."""
        folder = tmp_path / f"{lucky} {end}"
        folder.mkdir()
        journal = Journal(folder)
        for number in range(20):
            with journal.claimed(sweep) as trial:
                assert trial is not None and trial.number == number
                value = lucky if number == 0 else 1.0 + number // 2
                state = end if number == 1 else "complete"
                journal.tell(trial, state, value if state == "complete" else None)
        with journal.claimed(sweep) as trial:
            assert trial is not None
            return trial.setting

    assert proposed(0.1, "pruned") == proposed(40.0, "pruned")
    assert proposed(0.1, "complete") != proposed(40.0, "complete")


def test_what_failed_here_and_was_done_elsewhere_leaves_nothing_undone(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(str(sweep_file("", GRID)))
    folder = tmp_path / "sweep"
    tried: list[str] = []
    elsewhere: list[Left] = []

    def once_without_memory(sweep: Sweep, config: object, trial: Path, *rest: object) -> float:
        tried.append(trial.name)
        if tried == ["000"]:
            raise PromptliftError("no memory")
        if trial.name == "001":  # while it lasts, another process does the one that failed
            elsewhere.append(run_sweep(sweep, folder, silent))
        return 1.0

    monkeypatch.setattr("promptlift.sweeping.run.run_trial", once_without_memory)
    assert run_sweep(sweep, folder, silent) == Left({}, [])
    assert elsewhere == [Left({}, [1])] and tried == ["000", "001", "000"]
    assert Run.open(folder).stage("sweeping")["state"] == "done"


def test_a_trial_that_cannot_be_done_keeps_no_other_back(sweep_file: Files, tmp_path: Path) -> None:
    path = sweep_file("", f"train.model = [{str(tmp_path / 'none')!r}, {str(tmp_path / 'gone')!r}]")
    sweep = load_sweep(str(path))
    left = run_sweep(sweep, tmp_path / "sweep", silent)
    assert left.errors.keys() == {0, 1} and "is no folder" in left.errors[0]
    errors = [one["error"] for one in results_of(tmp_path / "sweep")["trials"]]
    assert errors == [*left.errors.values()]
    again = run_sweep(sweep, tmp_path / "sweep", silent)  # the same two are tried again
    assert again.errors == left.errors


def test_a_loss_that_is_no_number_is_noted(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = load_sweep(str(sweep_file("", GRID)))

    def diverges(*rest: object) -> float:
        return float("nan")

    monkeypatch.setattr("promptlift.sweeping.run.run_trial", diverges)
    assert run_sweep(sweep, tmp_path / "sweep", silent).errors == {}
    found = results_of(tmp_path / "sweep")
    assert {one["state"] for one in found["trials"]} == {"failed"} and found["best"] is None


def test_other_pairs_than_the_sweep_began_with_are_refused(
    sweep_file: Files, swept: Path, tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    world = next(swept.glob("worlds/*/pairs/train.jsonl"))
    pairs.write_bytes(world.read_bytes())
    path = sweep_file("", GRID)
    path.write_text(
        path.read_text().replace("count = 40\ntest = 8", f"data = {str(pairs)!r}")
        .replace('base = "pocket"\n', '').replace("[train]", '[train]\npreset = "pocket-world"')
    )  # fmt: skip
    sweep = load_sweep(str(path))
    run_sweep(sweep, tmp_path / "sweep", silent)
    assert not (tmp_path / "sweep" / "worlds").exists()
    pairs.write_bytes(world.read_bytes().splitlines(keepends=True)[0] + world.read_bytes())
    with pytest.raises(ConfigError, match=r"pairs.jsonl was '"):
        run_sweep(sweep, tmp_path / "sweep", silent)


def test_what_is_missing_is_one_line(
    sweep_file: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sweep_file('until = "texts"\ntrained = "nowhere"\nmetric = "meteor_target"',
                      "texts.max_new_tokens = [4, 8]")  # fmt: skip
    with pytest.raises(InputError, match=r"nowhere/model does not exist; train first"):
        run_sweep(load_sweep(str(path)), tmp_path / "sweep", silent)
    monkeypatch.setattr(journals, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"promptlift\[sweep\]"):
        run_sweep(load_sweep(str(sweep_file("", GRID))), tmp_path / "sweep", silent)
    monkeypatch.undo()
    path.write_text("gpu = true\n" + sweep_file("", GRID).read_text())
    monkeypatch.setattr("promptlift.sweeping.run.find_device", lambda asked: "cpu")
    with pytest.raises(PromptliftError, match="needs a GPU"):
        run_sweep(load_sweep(str(path)), tmp_path / "sweep", silent)
    assert not (tmp_path / "sweep").exists()


def test_new_tokens_are_a_question_to_a_trained_model(
    sweep_file: Files, swept: Path, tmp_path: Path
) -> None:
    path = sweep_file(
        f'until = "texts"\nmetric = "meteor_target"\ntrained = {str(swept / "trials" / "003")!r}',
        "texts.max_new_tokens = [2, 6]",
    )
    path.write_text(path.read_text() + "[texts]\nlimit = 4\nbertscore = false\n")
    run_sweep(load_sweep(str(path)), tmp_path / "sweep", silent)
    for number, count in ((0, 2), (1, 6)):
        folder = tmp_path / "sweep" / "trials" / f"{number:03d}"
        scores = json.loads((folder / "scores" / "text.json").read_text())
        assert scores["decoding"]["max_new_tokens"] == count
        assert not (folder / "model").exists()
    found = results_of(tmp_path / "sweep")
    assert found["metric"]["higher_is_better"]
    values = [one["value"] for one in found["settings"]]
    assert values == sorted(values, reverse=True)


@pytest.mark.slow
@DIFFUSERS_WARNS
def test_whole_experiments_are_swept_by_their_pictures(sweep_file: Files, tmp_path: Path) -> None:
    path = sweep_file('until = "all"\nmetric = "clipscore_original_prompt"',
                      "illustrate.num_inference_steps = [1, 4]")  # fmt: skip
    path.write_text(
        path.read_text()
        + '[improve]\nsample = 2\n[illustrate]\nrefiner = "none"\n[texts]\nlimit = 2\n'
        "bertscore = false\n[tune]\nenabled = false\n"
    )
    run_sweep(load_sweep(str(path)), tmp_path / "sweep", silent)
    found = results_of(tmp_path / "sweep")
    assert [one["state"] for one in found["trials"]] == ["complete"] * 2
    for one in found["trials"]:
        folder = tmp_path / "sweep" / "trials" / f"{one['number']:03d}"
        assert (folder / "report" / "index.html").exists()
        assert one["value"] == value_of(folder, "clipscore_original_prompt") >= 0


@pytest.mark.slow
def test_killed_twice_and_shared_by_two_it_is_complete_and_each_trial_is_done_once(
    sweep_file: Files, tmp_path: Path
) -> None:
    """A process is killed while it trains, and again; two others share what is left."""
    path = sweep_file("settings = 6\nseeds = [1, 2]\nprune = false", BOTH)
    folder = tmp_path / "sweep"
    line = command("sweep", path, "-o", folder)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)

    killed = []
    for number in (1, 4):  # within a trial: its first epoch is measured, its second is not
        with start() as process:
            said = Said(process.stderr)
            said.until(f"trial {number}, {number + 1} of 12")
            said.until("epoch 1.00", times=1 + sum("epoch 1.00" in one for one in said.lines))
            process.kill()
        killed.append(len(list(folder.glob("trials/[0-9]*"))))
    assert killed[0] < killed[1] < 12
    with start() as one, start() as two:
        saids = [Said(process.stderr) for process in (one, two)]
        texts = [said.to_the_end() for said in saids]
        assert (one.wait(), two.wait()) == (0, 0), texts
    begun = [sum(f"{number} of 12: " in text for text in texts) for number in range(1, 13)]
    assert all(count <= 1 for count in begun) and all(sum(" of 12: " in line
               for line in text.splitlines()) > 0 for text in texts)  # fmt: skip
    found = results_of(folder)
    assert [one["number"] for one in found["trials"]] == list(range(12))
    assert {one["state"] for one in found["trials"]} == {"complete"} and found["planned"] == 12
    ends = Counter(entry["trial_id"] for entry in journal_of(folder) if entry["op_code"] == 6)
    assert ends == Counter(range(12))
    for one in found["trials"]:
        trial = folder / "trials" / f"{one['number']:03d}"
        assert Run.open(trial).stage("training")["state"] == "done"
        assert one["value"] == value_of(trial, "loss") and len(one["losses"]) == 2
    assert Run.open(folder).stage("sweeping")["state"] == "done"
    assert not list(folder.glob("trials/.*.lock"))
    assert (folder / "report" / "index.html").exists()
