"""`promptlift score`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.errors import ConfigError, InputError
from promptlift.scoring.config import TextConfig

_HELP = {item.name: item.metadata["help"] for item in fields(TextConfig)}
_BUNDLED = "pocket"
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


def _opt(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, show_default=False)


def _setting(name: str) -> Any:
    return typer.Option(help=_HELP[name], show_default=False)


def score(
    run: Annotated[
        Path | None, typer.Argument(help="Run folder of `train`.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        _opt("--model", "-m", help="Instead of a run: a model's folder or name [pocket]."),
    ] = None,
    pairs: Annotated[
        Path | None, _opt("--pairs", help="Pairs to improve and compare with [the run's].")
    ] = None,
    predictions: Annotated[
        Path | None, _opt("--predictions", help="Prompts made already: source, prediction, target.")
    ] = None,
    output: Annotated[
        Path | None, _opt("--output", "-o", help="Folder for the scores [the run].")
    ] = None,
    train_pairs: Annotated[
        Path | None, _opt("--train-pairs", help="Training pairs, for the nearest one's target.")
    ] = None,
    limit: Annotated[int | None, _setting("limit")] = None,
    mode: Annotated[str | None, _setting("mode")] = None,
    seed: Annotated[int | None, _setting("seed")] = None,
    preset: Annotated[str | None, _setting("preset")] = None,
    encoder: Annotated[str | None, _setting("encoder")] = None,
    layer: Annotated[int | None, _setting("layer")] = None,
    baseline: Annotated[str | None, _setting("baseline")] = None,
    bertscore_batch_size: Annotated[int | None, _setting("bertscore_batch_size")] = None,
    bertscore: Annotated[bool | None, typer.Option("--bertscore/--no-bertscore", help="")] = None,
    meteor: Annotated[bool | None, typer.Option("--meteor/--no-meteor", help="")] = None,
    offline: Annotated[bool | None, typer.Option("--offline", help=_HELP["offline"])] = None,
    batch_size: Annotated[
        int | None, _opt("--batch-size", help="Prompts decoded together.")
    ] = None,
    threads: Annotated[int | None, _opt("--threads", help="Processor threads [all cores].")] = None,
    doctor: Annotated[
        bool, typer.Option("--doctor", help="Show which metrics can tell real from shuffled.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace scores of other settings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print scores/text.json.")] = False,
) -> None:
    """Score improved prompts as texts, beside baselines, with intervals.

    Examples:

      promptlift score runs/pocket

      promptlift score --model pocket --pairs pairs.jsonl --output runs/scored

      promptlift score --predictions improved.jsonl --output runs/other

      promptlift score --doctor --pairs pairs.jsonl
    """
    settings = {name: value for name, value in locals().items() if name in _HELP}
    with guarded("interrupted; the same command goes on"):
        from promptlift.improving.improver import Improver
        from promptlift.scoring.examples import read_pairs, read_predictions
        from promptlift.scoring.text_run import score_run

        config = TextConfig(**{k: value for k, value in settings.items() if value is not None})
        folder = _folder(run, model, pairs, predictions, output, doctor)
        file = predictions or pairs or _own(run)
        asked = doctor and run is None and model is None
        improver = None
        if predictions is None and not asked:
            name = str(_model_of(run)) if run is not None and model is None else model
            improver = Improver.load(None if name == _BUNDLED else name, threads=threads)
        examples = (
            read_predictions(file, config.mode)
            if predictions is not None
            else read_pairs(file, config.mode, say)
        )
        training = train_pairs or _training_of(run)
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
            report=say,
        )
        if as_json:
            typer.echo(json.dumps(result, ensure_ascii=False))
        else:
            typer.echo("\n\n".join(tables(result) + (doctor_table(result) if doctor else [])))
        if folder is not None:
            say(f"scores in {folder / 'scores' / 'text.json'} and text.parquet beside it")


def tables(result: Mapping[str, Any]) -> list[str]:
    """The scores as text: a table for what prompts are held against, a row a system."""
    found = []
    titles = {metric["name"]: metric["title"] for metric in result["metrics"]}
    blind = _blind(result)
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
            count = result["pairs"]["n"]
            found.append(_aligned(f"{heading} (n = {count})", ["system", *head], rows))
    legend = "mean and 95% bootstrap interval"
    if blind:
        legend += "; * cannot tell real from shuffled here (--doctor)"
    return [*found, legend]


def doctor_table(result: Mapping[str, Any]) -> list[str]:
    """What the metric doctor found, as text."""
    rows = []
    for row in result["doctor"]:
        if "real" not in row:
            rows.append([row["metric"], row["of"], "", "", "", "", "no: of all at once"])
            continue
        figures = [f"{row[key]:.3f}" for key in ("real", "shuffled", "difference")]
        interval = f"{row['low']:.3f} to {row['high']:.3f}"
        verdict = "yes" if row["tells"] else "CANNOT TELL"
        rows.append([row["metric"], row["of"], *figures, interval, verdict])
    heads = ["metric", "of", "real", "shuffled", "difference", "95% interval", "tells?"]
    return [_aligned("metric doctor: real against shuffled", heads, rows)]


def _blind(result: Mapping[str, Any]) -> set[str]:
    from promptlift.scoring.doctor import cannot_tell

    return cannot_tell([row for row in result["doctor"] if "real" in row])


def _cell(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return "-"
    digits = 1 if abs(score["value"]) >= 10 else 3
    value, low, high = (f"{score[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _aligned(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    lines = [title]
    for row in [heads, *rows]:
        cells = zip(row, widths, strict=True)
        lines.append("  ".join(cell.ljust(width) for cell, width in cells).rstrip())
    return "\n".join(lines)


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


def _own(run: Path | None) -> Path:
    """The pairs that a run set apart."""
    path = Path(run or "") / "validation.jsonl"
    if not path.is_file():
        raise InputError(f"{run} has no validation.jsonl; name pairs to score on: --pairs FILE")
    return path


def _model_of(run: Path) -> Path:
    """A run's model: exported, or as trained."""
    from promptlift.improving.manifest import is_exported

    for path in (run / "exported", run / "model"):
        if is_exported(path) or (path / "config.json").is_file():
            return path
    raise InputError(f"{run} has no model yet: finish its training, or name one with --model")


def _training_of(run: Path | None) -> Path | None:
    path = None if run is None else run / "training.jsonl"
    return path if path is not None and path.is_file() else None
