"""The texts of a run, scored and shown: half of `promptlift score`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlift.cli.door import say
from promptlift.cli.showing import aligned
from promptlift.errors import ConfigError, InputError
from promptlift.scoring.text.config import TextConfig

# The tables, by what a prompt is held against.
_TABLES = {
    "against the target": ("meteor_target", "bertscore_{}_target"),
    "against the target, rescaled": ("bertscore_{}_target_rescaled",),
    "the target under the model": ("bits_per_character",),
    "against the source": ("meteor_source", "bertscore_{}_source"),
    "against the source, rescaled": ("bertscore_{}_source_rescaled",),
    "kept and added": ("source_kept", "added_painters", "added_styles"),
    "variety of added words": ("distinct_1", "distinct_2", "self_bleu"),
    "by itself": ("words", "clip_tokens", "repetition"),
}


def score_texts(
    config: TextConfig,
    *,
    run: Path | None,
    model: str | None,
    pairs: Path | None,
    predictions: Path | None,
    output: Path | None,
    train_pairs: Path | None,
    batch_size: int | None,
    threads: int | None,
    doctor: bool,
    overwrite: bool,
) -> dict[str, Any]:
    """Improve what is to be scored, unless it is there, and score it; the fields of text.json."""
    from promptlift.improving.improver import Improver
    from promptlift.scoring.text.inputs import read_pairs, read_predictions
    from promptlift.scoring.text.run import score_run

    folder = _folder(run, model, pairs, predictions, output, doctor)
    file = predictions or pairs or Path(run or "") / "validation.jsonl"
    if not (predictions or pairs or file.is_file()):
        raise InputError(f"{run} has no validation.jsonl; name pairs to score on: --pairs FILE")
    asked = doctor and run is None and model is None
    improver = None
    if predictions is None and not asked:
        name = str(_model_of(run)) if run is not None and model is None else model
        improver = Improver.load(name, threads=threads)
    examples = (
        read_predictions(file, config.mode)
        if predictions is not None
        else read_pairs(file, config.mode, say)
    )
    training = train_pairs
    if training is None and run is not None and (run / "training.jsonl").is_file():
        training = run / "training.jsonl"
    if training is None:
        say("without --train-pairs the nearest training pair is left out")
    result = score_run(
        examples,
        folder,
        config,
        improver=improver,
        training=training,
        batch_size=batch_size,
        overwrite=overwrite,
        threads=threads,
        report=say,
    )
    if folder is not None:
        say(f"scores in {folder / 'scores' / 'text.json'} and text.parquet beside it")
    return result


def tables(result: Mapping[str, Any]) -> list[str]:
    """The scores as text: a table for what prompts are held against, a row a system."""
    from promptlift.scoring.text.shuffle_control import cannot_tell

    found = []
    titles = {metric["name"]: metric["title"] for metric in result["metrics"]}
    blind = cannot_tell([row for row in result["doctor"] if "real" in row])
    scores = {
        system["name"]: {item["metric"]: item for item in system["scores"]}
        for system in result["systems"]
    }
    for heading, patterns in _TABLES.items():
        names = [
            name
            for pattern in patterns
            for measure in (("precision", "recall", "f1") if "{}" in pattern else ("",))
            if (name := pattern.format(measure)) in titles
        ]
        if names:
            head = [titles[name].split(" (")[0] + (" *" if name in blind else "") for name in names]
            rows = [
                [system, *(_cell(own.get(name)) for name in names)]
                for system, own in scores.items()
                if any(name in own for name in names)
            ]
            title = f"{heading} (n = {result['pairs']['n']})"
            found.append(_table(title, [["system", *head], *rows]))
    legend = "mean and 95% bootstrap interval"
    if blind:
        legend += "; * cannot tell real from shuffled here (--doctor)"
    return [*found, legend]


def control_table(result: Mapping[str, Any]) -> str:
    """What the shuffle control found, as text."""
    rows = [["metric", "of", "real", "shuffled", "difference", "95% interval", "tells?"]]
    for row in result["doctor"]:
        if "real" not in row:
            rows.append([row["metric"], row["of"], "", "", "", "", "no: of all at once"])
            continue
        figures = [f"{row[key]:.3f}" for key in ("real", "shuffled", "difference")]
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        verdict = "yes" if row["tells"] else "CANNOT TELL"
        rows.append([row["metric"], row["of"], *figures, interval, verdict])
    return _table("shuffle control: real against shuffled", rows)


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "-"
    digits = 1 if abs(score["value"]) >= 10 else 3
    value, low, high = (f"{score[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    return "\n".join([title, *aligned(rows)])


def _folder(
    run: Path | None,
    model: str | None,
    pairs: Path | None,
    predictions: Path | None,
    output: Path | None,
    doctor: bool,
) -> Path | None:
    """Where scores go, once it is clear that the options fit each other."""
    if predictions is not None and (run is not None or model is not None or pairs is not None):
        raise ConfigError("--predictions are scored as they are: give no run, --model or --pairs")
    if run is None and pairs is None and predictions is None:
        raise ConfigError("nothing to score. Give a run folder, --pairs FILE or --predictions FILE")
    if output is None and run is None and (model is not None or not doctor):
        raise ConfigError("where to? Name a folder for the scores: --output FOLDER")
    return output or run


def _model_of(run: Path) -> Path:
    """A run's model: exported, or as trained."""
    from promptlift.improving.manifest import is_exported

    for path in (run / "exported", run / "model"):
        if is_exported(path) or (path / "config.json").is_file():
            return path
    raise InputError(f"{run} has no model yet: finish its training, or name one with --model")
