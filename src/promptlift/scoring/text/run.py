"""Scoring as a stage of a run folder: predictions are made or read, scores and rows written."""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import ConfigError, InputError
from promptlift.files import sha256_of_file, write_json
from promptlift.pairs.load import load_pairs, pair_columns
from promptlift.progress import progress
from promptlift.records import Pair
from promptlift.runs import Run, versions_of
from promptlift.scoring.text.config import TextConfig
from promptlift.scoring.text.inputs import TextInputs
from promptlift.tables import write_rows
from promptlift.threads import torch_threads

if TYPE_CHECKING:
    from promptlift.improving.improver import Improver
    from promptlift.scoring.text.measuring import TextScorer, TextScores

STAGE = "scoring-texts"
SCHEMA_VERSION = 1
_VERSIONED = ("promptlift", "torch", "transformers", "nltk", "numpy", "onnxruntime")

Report = Callable[[str], None]


def score_run(
    examples: TextInputs,
    folder: Path | None,
    config: TextConfig,
    *,
    improver: "Improver | None" = None,
    training: Path | None = None,
    batch_size: int | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    report: Report = lambda line: None,
) -> dict[str, Any]:
    """Score, and write `FOLDER/scores/text.json` and `text.parquet`; what text.json holds.

    Args:
        examples: pairs, with predictions or without.
        folder: run folder, made where it is new; None writes nothing.
        config: see `TextConfig`.
        improver: makes the predictions that `examples` lacks; None controls the metrics alone.
        training: pairs for the baseline of the nearest training pair.
        batch_size: prompts decoded together; it does not change them.
        overwrite: replace scores of other settings.
        threads: of the processor, as `torch_threads` takes them.
        report: takes lines of progress.

    Raises:
        ConfigError: the folder holds scores of other settings.
        InputError: a file is at fault.
        MissingExtraError: the extra `score` is not installed.
        PromptliftError: another process works in the folder.
    """
    run = None if folder is None else Run.open(folder)
    with (
        nullcontext() if run is None else run.alone("scored"),
        torch_threads(threads, {} if run is None else run.threads, STAGE, report),
    ):
        return _score(
            examples, run, config, improver, training, batch_size, overwrite=overwrite,
            report=report,
        )  # fmt: skip


def _score(
    examples: TextInputs,
    run: Run | None,
    config: TextConfig,
    improver: "Improver | None",
    training: Path | None,
    batch_size: int | None,
    *,
    overwrite: bool,
    report: Report,
) -> dict[str, Any]:
    from promptlift.scoring.text.measuring import score_text

    examples = examples.chosen(config.limit, config.seed)
    model = examples.model if improver is None else improver.model_id
    inputs = examples.identity() | {"model": str(model)}
    if training is not None:
        inputs[f"training pairs: {training.name}"] = sha256_of_file(training)
    if run is not None:
        _begin(run, config, inputs, overwrite)
        if (earlier := _complete(run)) is not None:
            report(f"{run.folder / 'scores' / 'text.json'} is complete already")
            return earlier
    scorer = load_scorer(config, report)
    predictions = examples.predictions
    if improver is not None and predictions is None:
        if run is None:
            raise ConfigError("a model's prompts need a folder to be written to: --output FOLDER")
        predictions = predict(
            improver, examples, run.folder / "scores", config,
            batch_size=batch_size, overwrite=overwrite, report=report,
        )  # fmt: skip
    found = score_text(
        examples.pairs,
        predictions,
        scorer,
        training=None if training is None else _training_pairs(training, examples, config.mode),
        improver=improver,
        targets=examples.targets,
        seed=config.seed,
        report=report,
    )
    file = {"file": examples.file.name, "sha256": sha256_of_file(examples.file)}
    result = {
        "schema_version": SCHEMA_VERSION,
        "model": model,
        "pairs": {**file, "n": len(examples.pairs)},
        "decoding": {} if improver is None else _decoding(improver, config, examples.forms),
        "seed": config.seed,
        "versions": versions_of(_VERSIONED),
        **found.to_dict(),
    }
    if run is not None:
        _write(run, examples, found, result)
    return result


def predict(
    improver: "Improver",
    examples: TextInputs,
    folder: Path,
    config: TextConfig,
    *,
    batch_size: int | None = None,
    overwrite: bool = False,
    report: Report = lambda line: None,
) -> list[str]:
    """Improve the sources into `FOLDER/predictions.jsonl`; what is there already is kept.

    The file holds receipts, as `improve --output` writes them, and `predictions.json` what they
    rest on. A stopped job goes on where it was.

    Raises:
        ConfigError: the file is of another model, other pairs or settings, or the model has not
            learned the mode or form of a pair.
        InputError: a source cannot be improved.
    """
    output, note = folder / "predictions.jsonl", folder / "predictions.json"
    header = {
        "options": {"n": 1, **_decoding(improver, config, examples.forms)},
        "seed": config.seed,
        "model": improver.model_id,
        "input": examples.identity(),
    }
    header = json.loads(json.dumps(header))  # as the file has it, lists for tuples
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) != header:
        if not overwrite:
            raise ConfigError(
                f"{output} is of another model, other pairs or settings. Pass --overwrite to "
                "improve anew, or name another folder."
            )
        for path in folder.glob(f"{output.stem}.*"):
            if path.name.endswith((".json", ".jsonl", ".part")):
                path.unlink()
    if not output.exists():
        for mode, form in sorted({(pair.mode, pair.form) for pair in examples.pairs}):
            improver.card.prefix(mode, form)
        write_json(note, header)
        with progress("prompts improved", report=report) as show:
            _improve(improver, examples, output, config, batch_size, show)
    found: dict[int, str] = {}
    with output.open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            if "error" in row:
                raise InputError(f"{examples.file} row {row['index'] + 1}: {row['error']}")
            found[row["index"]] = row["prompt"]
    return [found[index] for index in range(len(examples.pairs))]


def _improve(
    improver: "Improver",
    examples: TextInputs,
    output: Path,
    config: TextConfig,
    batch_size: int | None,
    show: Callable[[int, int], None],
) -> None:
    """Improve the sources, each in its pair's form; pairs of each form have a journal."""
    from promptlift.improving.batch import Item
    from promptlift.improving.improver import BATCH_SIZE
    from promptlift.improving.journal import improve_to_file

    pairs, forms, before = examples.pairs, examples.forms, 0

    def shown(before: int, done: int) -> None:
        show(before + done, len(pairs))

    parts = [output if len(forms) == 1 else output.with_suffix(f".{form}.jsonl") for form in forms]
    for form, part in zip(forms, parts, strict=True):
        items = [
            Item(index=index, prompt=pair.source, mode=pair.mode)
            for index, pair in enumerate(pairs)
            if pair.form == form
        ]
        if not part.exists():
            improve_to_file(
                improver.session(
                    preset=config.preset,
                    batch_size=batch_size or BATCH_SIZE,
                    form=form,
                    **config.improving(),
                ),
                items,
                part,
                source=examples.identity(),
                seed=config.seed,
                resume=True,
                progress=partial(shown, before),
            )
        before += len(items)
    if len(parts) > 1:
        # Not splitlines: a prompt may hold other separators of lines than "\n".
        lines = (line for part in parts for line in part.read_text("utf-8").split("\n") if line)
        write_rows(output, sorted(map(json.loads, lines), key=lambda row: row["index"]), ())
        for part in parts:
            part.unlink()


def load_scorer(config: TextConfig, report: Report) -> "TextScorer":
    """METEOR and BERTScore as settings name them; `report` receives what is not the paper's.

    Raises:
        MissingExtraError: the extra `score` is not installed.
        ModelError: the encoder cannot be loaded.
    """
    from promptlift.scoring.text.bertscore import BertScorer
    from promptlift.scoring.text.measuring import TextScorer
    from promptlift.scoring.text.meteor import HOW_TO_GET, Meteor

    bertscore = None
    if config.bertscore:
        bertscore = BertScorer(
            config.encoder,
            layer=config.layer,
            batch_size=config.bertscore_batch_size,
            baseline=None if config.baseline is None else Path(config.baseline),
            offline=config.offline,
        )
        note = bertscore.settings.get("note")
        report(
            f"BERTScore with {bertscore.name}, layer {bertscore.layer}"
            + (f" ({note})" if note else "")
            + ("" if bertscore.baseline else "; no baseline is known, so it is not rescaled")
        )
    meteor = Meteor() if config.meteor else None
    if meteor is not None and not meteor.settings["wordnet"]:
        report(HOW_TO_GET)
    return TextScorer(meteor, bertscore)


def _write(run: Run, examples: TextInputs, found: "TextScores", result: dict[str, Any]) -> None:
    scores = run.folder / "scores"
    columns = list(dict.fromkeys(name for each in found.columns.values() for name in each))
    names = ["index", "system", *pair_columns(examples.pairs), "prediction", *columns]
    write_rows(scores / "text.parquet", found.rows(examples.pairs), names)
    write_json(scores / "text.json", result)
    first = result["systems"][0]
    figures = {score["metric"]: score["value"] for score in first["scores"]}
    run.finish(STAGE, {"pairs": len(examples.pairs), "system": first["name"], "scores": figures})


def _begin(run: Run, config: TextConfig, inputs: dict[str, str], overwrite: bool) -> None:
    try:
        run.check(STAGE, asdict(config), inputs)
    except ConfigError as error:
        if not overwrite:
            raise ConfigError(f"{error} Or pass --overwrite to score anew.") from error
        run.forget(STAGE)
    if _complete(run) is None:
        run.begin(STAGE, asdict(config), inputs)


def _complete(run: Run) -> dict[str, Any] | None:
    """The scores of a run whose scoring was done."""
    path = run.folder / "scores" / "text.json"
    if run.stage(STAGE).get("state") != "done" or not path.is_file():
        return None
    return dict(json.loads(path.read_text(encoding="utf-8")))


def _training_pairs(path: Path, examples: TextInputs, mode: str) -> list[Pair]:
    """Training pairs without those that are scored, cut to extend where training cuts them."""
    from promptlift.training.data import with_both_tasks

    pairs = [item for item in load_pairs(path, mode=mode) if isinstance(item, Pair)]
    if any(pair.mode == "extend" for pair in examples.pairs):
        pairs = with_both_tasks(pairs)
    scored = set(examples.pairs)
    return [pair for pair in pairs if pair not in scored]


def _decoding(improver: "Improver", config: TextConfig, forms: Sequence[str]) -> dict[str, Any]:
    """All options of improving, the model's own defaults included; by form if they are several."""
    from promptlift.improving.config import resolve_options

    found = {}
    for form in forms:
        asked = {"form": form, **config.improving()}
        decoding, control = resolve_options(improver.card, config.preset, asked)
        found[form] = {"preset": config.preset, **asdict(decoding), **asdict(control)}
    return found if len(forms) > 1 else found[forms[0]]
