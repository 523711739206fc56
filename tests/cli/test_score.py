"""`promptlift score` as a user meets it, with tiny models."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet
import pytest

from promptlift.improving.manifest import Manifest
from promptlift.runs import Run as RunFolder
from tests.cli.conftest import Run, command, error_line, objects
from tests.scoring.conftest import make_bert

PAIRS = [
    ("a cat in armor", "soft light, oil on canvas", "extend"),
    ("two dogs", "a misty morning, 4k", "extend"),
    ("old castle", "an old castle by night, painting", "rewrite"),
    ("bowl of fruit", "a bowl of fruit, highly detailed", "rewrite"),
]


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("cli-encoders") / "bert")


@pytest.fixture
def pairs_file(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"source": s, "target": t, "mode": m} for s, t, m in PAIRS]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def options(encoder: Path) -> list[str]:
    return ["--encoder", str(encoder), "--layer", "2", "--threads", "1", "--offline"]


def test_a_model_is_scored_into_a_run_folder(
    run: Run, exported: Path, pairs_file: Path, options: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "scored"
    line = ["score", "--model", exported, "--pairs", pairs_file, "-o", output, *options]
    done = run(*line, "--train-pairs", pairs_file, "--doctor")
    assert done.exit_code == 0, done.stderr
    assert "against the target (n = 4)" in done.stdout
    for system in ("model", "source itself", "fixed suffix", "nearest training pair", "shuffled"):
        assert f"\n{system}" in done.stdout
    heads = [line for line in done.stdout.splitlines() if "METEOR" in line and "BERT" in line]
    assert heads
    for head in heads:
        names = ("precision", "recall", "F1")
        assert [head.count(f"BERTScore {name}") for name in names] == [1, 1, 1]
    assert "shuffle control" in done.stdout
    assert "CANNOT TELL" in done.stdout
    assert "BERTScore with" in done.stderr
    found = json.loads((output / "scores" / "text.json").read_text())
    assert found["model"].startswith("talking@")
    assert found["pairs"]["n"] == 4
    assert found["decoding"]["top_k"] == 10
    assert {"promptlift", "torch", "transformers", "nltk"} <= set(found["versions"])
    metrics = {metric["name"] for metric in found["metrics"]}
    [model] = [system for system in found["systems"] if system["name"] == "model"]
    assert {score["metric"] for score in model["scores"]} == metrics
    assert "bits_per_character" in metrics
    rows = pyarrow.parquet.read_table(output / "scores" / "text.parquet").to_pylist()
    assert len(rows) == 4 * len(found["systems"])
    assert [row["source"] for row in rows[:4]] == [source for source, _, _ in PAIRS]
    receipts = objects((output / "scores" / "predictions.jsonl").read_text())
    assert sorted(row["index"] for row in receipts) == [0, 1, 2, 3]
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["stages"]["scoring-texts"]["state"] == "done"
    again = run(*line, "--train-pairs", pairs_file, "--json")
    assert "complete already" in again.stderr
    assert json.loads(again.stdout) == {"texts": found}


def test_prompts_may_be_shorter_than_the_model_has_them(
    run: Run, exported: Path, pairs_file: Path, tmp_path: Path
) -> None:
    line = ["score", "--model", exported, "--pairs", pairs_file, "--no-bertscore", "--threads", "1"]
    words = []
    for count in (2, 12):
        output = tmp_path / str(count)
        done = run(*line, "-o", output, "--max-new-tokens", str(count))
        assert done.exit_code == 0, done.stderr
        found = json.loads((output / "scores" / "text.json").read_text())
        assert found["decoding"]["max_new_tokens"] == count
        rows = objects((output / "scores" / "predictions.jsonl").read_text())
        words.append(sum(len(row["prompt"]) for row in rows))
    assert words[0] < words[1]


@pytest.mark.slow
def test_other_settings_are_refused_and_keep_the_prompts(
    run: Run, exported: Path, pairs_file: Path, options: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "scored"
    line = ["score", "--model", exported, "--pairs", pairs_file, "-o", output, *options]
    line.append("--no-bertscore")
    assert run(*line, "--no-meteor").exit_code == 0
    predictions = output / "scores" / "predictions.jsonl"
    before = predictions.stat().st_mtime_ns
    refused = run(*line)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert run(*line, "--overwrite").exit_code == 0
    assert predictions.stat().st_mtime_ns == before
    found = json.loads((output / "scores" / "text.json").read_text())
    assert "meteor_target" in {metric["name"] for metric in found["metrics"]}
    assert "model" in run(*line, "--overwrite", "--seed", "5").stdout
    assert predictions.stat().st_mtime_ns != before


def test_each_pair_keeps_its_form(
    run: Run, writer_folder: Path, pairs_file: Path, options: list[str], tmp_path: Path
) -> None:
    forms = ["paragraph", "tags", "paragraph", "tags"]
    pairs = objects(pairs_file.read_text())
    rows = [{**pair, "form": form} for pair, form in zip(pairs, forms, strict=True)]
    rows[0]["source"] += "\x85at sea"  # separates lines for Python, not for JSON
    pairs_file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output, scores = tmp_path / "run", tmp_path / "run" / "scores"
    line = ["score", "--model", writer_folder, "--pairs", pairs_file, "-o", output, *options]
    done = run(*line, "--no-bertscore")
    assert done.exit_code == 0, done.stderr
    predictions = (scores / "predictions.jsonl").read_bytes()
    receipts = objects(predictions.decode())
    assert [row["index"] for row in receipts] == [0, 1, 2, 3]
    assert [row["settings"]["form"] for row in receipts] == forms
    found = json.loads((scores / "text.json").read_text())
    assert {form: own["form"] for form, own in found["decoding"].items()} == {
        form: form for form in forms
    }
    table = pyarrow.parquet.read_table(scores / "text.parquet").to_pylist()
    assert [row["form"] for row in table[:4]] == forms
    # As a kill leaves the folder when one form is done.
    tags = [json.dumps(row) + "\n" for row in receipts if row["settings"]["form"] == "tags"]
    (scores / "predictions.tags.jsonl").write_text("".join(tags))
    for name in ("predictions.jsonl", "text.json"):
        (scores / name).unlink()
    again = run(*line, "--no-bertscore")
    assert again.exit_code == 0, again.stderr
    assert (scores / "predictions.jsonl").read_bytes() == predictions
    assert len(list(scores.glob("predictions.*"))) == 2


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_journal(
    run: Run, exported: Path, pairs_file: Path, options: list[str], tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    line = ["score", "--model", exported, "--pairs", pairs_file, "--no-bertscore", *options]
    assert run(*line, "-o", whole).exit_code == 0
    # As a kill in the middle of the third prompt leaves a folder.
    shutil.copytree(whole, cut)
    scores = cut / "scores"
    made = json.loads((scores / "predictions.json").read_text())
    rows = (scores / "predictions.jsonl").read_text().splitlines(keepends=True)
    resolved = json.loads(rows[0])["settings"]
    header = {
        **{name: made[name] for name in ("input", "model", "seed")},
        **{name: value for name, value in resolved.items() if name != "versions"},
        "prefixes": Manifest.read(exported).card.modes,
        "n": 1,
        "negative": None,
        "schema_version": 4,
    }
    journal = json.dumps(header) + "\n" + rows[0] + rows[1] + rows[2][:40]
    (scores / "predictions.jsonl.part").write_text(journal)
    for name in ("predictions.jsonl", "text.json", "text.parquet"):
        (scores / name).unlink()
    manifest = json.loads((cut / "manifest.json").read_text())
    manifest["stages"]["scoring-texts"]["state"] = "running"
    (cut / "manifest.json").write_text(json.dumps(manifest))
    done = run(*line, "-o", cut)
    assert done.exit_code == 0, done.stderr
    assert (scores / "predictions.jsonl").read_text() == "".join(rows)
    assert (scores / "text.json").read_text() == (whole / "scores" / "text.json").read_text()


def test_ctrl_c_is_noted_and_the_same_command_goes_on(
    run: Run,
    exported: Path,
    pairs_file: Path,
    options: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "scored"
    line = ["score", "--model", exported, "--pairs", pairs_file, "-o", output, *options]
    line += ["--no-bertscore", "--no-meteor"]

    def interrupted(*given: object, **options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("promptlift.scoring.text.measuring.score_text", interrupted)
        stopped = run(*line)
    assert stopped.exit_code == 130
    assert "interrupted; the same command goes on" in stopped.stderr
    stage = RunFolder.open(output).stage("scoring-texts")
    assert stage["state"] == "interrupted"
    assert run(*line).exit_code == 0
    assert RunFolder.open(output).stage("scoring-texts")["state"] == "done"


def test_prompts_made_elsewhere_are_scored(run: Run, options: list[str], tmp_path: Path) -> None:
    path, output = tmp_path / "improved.jsonl", tmp_path / "scored"
    rows = [{"source": s, "prompt": f"{s}, soft light", "model": "m@1"} for s, _, _ in PAIRS]
    rows.append({"error": "empty", "index": 4})  # type: ignore[dict-item]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run("score", "--predictions", path, "-o", output, *options)
    assert done.exit_code == 0, done.stderr
    found = json.loads((output / "scores" / "text.json").read_text())
    assert found["model"] == "m@1"
    names = {metric["name"] for metric in found["metrics"]}
    assert "meteor_source" in names
    assert not {name for name in names if "target" in name}
    assert "against the target" not in done.stdout


def test_a_run_is_scored_on_the_pairs_it_set_apart(
    run: Run, t5v11_folder: Path, pairs_file: Path, options: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(t5v11_folder, folder / "model")
    shutil.copy(pairs_file, folder / "validation.jsonl")
    (folder / "manifest.json").write_text(json.dumps({"schema_version": 1, "stages": {}}))
    done = run("score", folder, "--limit", "2", "--preset", "paper", *options, "--batch-size", "2")
    assert done.exit_code == 0, done.stderr
    found = json.loads((folder / "scores" / "text.json").read_text())
    assert found["pairs"] == {**found["pairs"], "file": "validation.jsonl", "n": 2}
    assert found["model"].startswith("t5v11@")
    assert found["decoding"]["preset"] == "paper"


def test_the_shuffle_control_needs_no_model(run: Run, pairs_file: Path, options: list[str]) -> None:
    done = run("score", "--doctor", "--pairs", pairs_file, *options)
    assert done.exit_code == 0, done.stderr
    assert "targets themselves" in done.stdout
    assert "\nmodel" not in done.stdout
    assert "shuffle control" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "nothing to score"),
        (["--pairs", "FILE"], "Name a folder for the scores"),
        (["--predictions", "FILE", "--pairs", "FILE"], "scored as they are"),
        (["--doctor", "--pairs", "FILE", "--limit", "1"], "limit is 1"),
        (["--doctor", "--pairs", "FILE", "--mode", "both"], "mode is 'both'"),
        (["--doctor", "--pairs", "nowhere.jsonl"], "nowhere.jsonl does not exist"),
        (["--doctor", "--pairs", "FILE", "--encoder", "nowhere"], "name it"),
        (["nowhere"], "nowhere does not exist; name a run folder"),
        (["nowhere", "--only", "pictures"], "nowhere does not exist; name a run folder"),
        (["FILE"], "is no folder; name a run folder"),
    ],
)
def test_what_cannot_be_scored_is_said_in_a_line(
    arguments: list[str], expected: str, run: Run, pairs_file: Path
) -> None:
    given = [str(pairs_file) if item == "FILE" else item for item in arguments]
    done = run("score", *given)
    assert done.exit_code != 0
    assert expected in [line for line in done.stderr.splitlines() if "error: " in line][-1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"source": "a cat"}], "line 1: `prediction` is missing"),
        ([{"source": " ", "prompt": "x"}], "line 1: `source` is missing"),
        ([{"source": "a", "prompt": "b", "mode": "x"}], "line 1: `mode` is 'x'"),
        ([{"source": "a", "prompt": "b"}], "has 1 rows to score"),
        (
            [{"source": "a", "prompt": "b", "target": "c"}, {"source": "a", "prompt": "b"}],
            "row 2 has no `target`",
        ),
    ],
)
def test_faulty_predictions_are_pointed_at(
    rows: list[dict[str, str]], expected: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run("score", "--predictions", path, "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert expected in error_line(done)


def test_help_loads_nothing_heavy() -> None:
    import subprocess

    code = "import sys, atexit; atexit.register(lambda: print('HEAVY', *sys.modules))"
    done = subprocess.run(command("score", "--help", before=code), capture_output=True, text=True)
    loaded = set(done.stdout.split("HEAVY")[-1].split())
    assert not loaded & {"torch", "transformers", "nltk", "numpy", "pyarrow", "onnxruntime"}
    assert "--bertscore-batch-size" in done.stdout
