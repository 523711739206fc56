"""What a run folder holds, read as far as it goes: a run may be going on, cut short or older."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.pairs.split import whole_prompt
from promptlift.records import Pair
from promptlift.reporting.run_files import Row, finite, json_of, number, rows_of
from promptlift.runs import Run, check_folder
from promptlift.scoring.text.metrics import TEXT_METRICS
from promptlift.scoring.text.shuffle_control import cannot_tell

_TEXTS = ("source", "prediction")
CANNOT_TELL = "cannot tell real from shuffled"
ROW_FIELDS = ("index", "system", "source", "target", "mode", "prediction")
# The names of the log, which are the paper's, and those of scores.
LOG_METRICS = {
    "meteor": "meteor_target",
    "bertscore_precision": "bertscore_precision_target",
    "bertscore_recall": "bertscore_recall_target",
    "bertscore_f1": "bertscore_f1_target",
}


@dataclass(frozen=True, kw_only=True)
class EvaluatedStep:
    """The scores at one step.

    Attributes:
        step: updates done.
        epoch: passes over the pairs.
        scores: `Score.to_dict()` by name of the metric.
        decoding: how predictions were made.
        file: where it comes from, within the run.
    """

    step: int
    epoch: float
    scores: Mapping[str, Row]
    decoding: Row
    file: str


@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a run folder holds.

    Attributes:
        folder: the run.
        stages: the manifest's, by name.
        log: rows of log.csv in the order of steps, without empty cells; NaN stays.
        evaluations: in the order of steps.
        predictions: rows of the final evaluation: `ROW_FIELDS`, where predictions are whole
            prompts and targets may be missing, and a column a metric.
        text: scores/text.json; None where there is none.
        text_rows: scores/text.parquet, alike, of all systems.
        improvements: objects of improvements.jsonl.
        missing: what is not there or could not be read, a line each, with what to do.
    """

    folder: Path
    stages: Mapping[str, Row]
    log: Sequence[Mapping[str, float]] = ()
    evaluations: Sequence[EvaluatedStep] = ()
    predictions: Sequence[Row] = ()
    text: Row | None = None
    text_rows: Sequence[Row] = ()
    improvements: Sequence[Row] = ()
    missing: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    @property
    def training(self) -> Row:
        """What the manifest says of training; empty where nothing was trained."""
        return self.stages.get("training", {})

    @property
    def titles(self) -> dict[str, str]:
        """How people write a metric of text, by its name; with a mark if it says nothing here."""
        known = {name: metric.title for name, metric in TEXT_METRICS.items()}
        own = {item["name"]: item["title"] for item in (self.text or {}).get("metrics", [])
               if isinstance(item, dict) and "name" in item and "title" in item}  # fmt: skip
        return {name: title + (f" ({CANNOT_TELL})" if name in self.blind else "")
                for name, title in (known | own).items()}  # fmt: skip

    @property
    def blind(self) -> set[str]:
        """Metrics of text that by the shuffle control do not tell real from shuffled."""
        return cannot_tell([row for row in (self.text or {}).get("doctor") or [] if "real" in row])

    def final_evaluation(self) -> EvaluatedStep | None:
        """The evaluation of the weights that the run kept: the best, otherwise the last."""
        best = (self.training.get("results") or {}).get("best_step")
        found = [item for item in self.evaluations if item.step == best] or self.evaluations
        return found[-1] if found else None

    def model_rows(self) -> tuple[Sequence[Row], str]:
        """The model's predictions, and the file that they come from.

        Those that were scored, otherwise those of the final evaluation; none where neither is.
        """
        rows = [row for row in self.text_rows if row.get("system", "model") == "model"]
        if rows:
            return rows, "scores/text.parquet"
        final = self.final_evaluation()
        return self.predictions, final.file + "l" if final else ""

    def final_scores(self) -> tuple[Mapping[str, Row], str]:
        """The model's last scores by metric, and the file that they come from."""
        for system in (self.text or {}).get("systems", []):
            if system.get("name") == "model":
                return _by_metric(system.get("scores", [])), "scores/text.json"
        final = self.final_evaluation()
        return (final.scores, final.file) if final else ({}, "")

    def column(self, name: str) -> tuple[list[float], list[float]]:
        """Steps and values of a column of the log, of the rows that have it."""
        rows = [(row["step"], row[name]) for row in self.log if name in row and "step" in row]
        return [step for step, _ in rows], [value for _, value in rows]


def read_run(folder: Path) -> RunData:
    """Read a run folder.

    A file that is damaged is left out and named in `missing`, like one that is not there.

    Raises:
        InputError: it is no run folder, or of another version.
    """
    check_folder(folder)
    if not (folder / "manifest.json").exists():
        raise InputError(
            f"{folder} holds no manifest.json, so it is no run folder; promptlift train makes one."
        )
    stages = Run.open(folder).stages  # says what is wrong with the manifest
    missing: list[str] = []
    # Who trained nothing, and only draws and scores, misses no log.
    untrained = missing if "training" in stages else []
    log = _read_log(folder, untrained)
    evaluations = _read_evaluations(folder, untrained)
    text = json_of(folder, "scores/text.json", missing)
    if not (folder / "scores/text.json").exists():
        missing.append(f"no scores yet: promptlift score {folder}")
    run = RunData(
        folder=folder,
        stages=stages,
        log=log,
        evaluations=evaluations,
        text=text,
        improvements=rows_of(
            folder,
            "improvements.jsonl",
            ("source", "prompt"),
            missing,
            absent="no improvements yet: promptlift improve --input PROMPTS --model MODEL "
            f"--output {folder / 'improvements.jsonl'}",
        ),
        text_rows=rows_of(folder, "scores/text.parquet", _TEXTS, missing) if text else [],
    )
    final = run.final_evaluation()
    predictions = rows_of(folder, final.file + "l", _TEXTS, missing) if final else []
    return replace(run, predictions=predictions, missing=missing)


def whole_target(row: Row) -> str | None:
    """The whole prompt that a row's target stands for; None where it has no target."""
    if not row.get("target"):
        return None
    mode, form = row.get("mode") or "rewrite", row.get("form") or "tags"
    return whole_prompt(Pair(source=row["source"], target=row["target"], mode=mode, form=form))


def _read_log(folder: Path, missing: list[str]) -> list[dict[str, float]]:
    absent = "no log yet: training writes its first row after some steps"
    rows = [
        {name: value for name, cell in row.items() if (value := number(cell)) is not None}
        for row in rows_of(folder, "log.csv", ("step",), missing, absent=absent)
        if finite(row["step"]) is not None
    ]
    return sorted(rows, key=lambda row: row["step"])


def _read_evaluations(folder: Path, missing: list[str]) -> list[EvaluatedStep]:
    found = []
    for path in sorted((folder / "evaluations").glob("step-*.json")):
        file = f"evaluations/{path.name}"
        value = json_of(folder, file, missing)
        if value is None:
            continue
        step = number(value.get("step"))
        if step is None or not isinstance(value.get("scores"), list):
            missing.append(f"{file} has no step or no scores and was left out")
            continue
        found.append(
            EvaluatedStep(
                step=int(step),
                epoch=number(value.get("epoch")) or 0.0,
                scores=_by_metric(value["scores"]),
                decoding=value.get("decoding") or {},
                file=file,
            )
        )
    if not found:
        missing.append("no evaluations: training writes one after each epoch")
    return sorted(found, key=lambda item: item.step)


def _by_metric(scores: Sequence[Any]) -> dict[str, Row]:
    """Scores by metric; what has no value that is a number is left out."""
    return {
        str(score["metric"]): score
        for score in scores
        if isinstance(score, dict) and "metric" in score and finite(score.get("value")) is not None
    }
