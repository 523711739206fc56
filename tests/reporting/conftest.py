"""Run folders: one really trained, others written as the formats say."""

import json
import random
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from promptlift.records import Pair
from promptlift.reporting.run_report import write_report
from promptlift.runs import Run
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.run import score_pictures
from promptlift.scoring.scores import Score
from promptlift.statistics import mean_interval
from promptlift.tables import Row, read_rows, write_rows
from promptlift.training.config import TrainingConfig
from promptlift.training.train import train
from tests.conftest import ENDS, HEADS
from tests.scoring.clip_models import draw_run, make_clip, write_index

PAIRS = [Pair(source=head, target=end, mode="extend") for head in HEADS for end in ENDS] + [
    Pair(source=head, target=f"{head}, {end}") for head in HEADS for end in ENDS
]
CONFIG = TrainingConfig(
    vocab_size=330, d_model=16, d_ff=24, num_layers=1, num_decoder_layers=1, num_heads=2,
    dropout_rate=0.1, batch_size=8, warmup_steps=2, epochs=2.0, logging_steps=5,
    precision="fp32",
)  # fmt: skip
ODD = "</script><script>alert(1)</script> <b>two</b> \"signs\" & 'a' שלום"
PROMPTS, SEEDS = 5, (1, 2)
METRICS = (
    "meteor_target",
    "bertscore_precision_target",
    "bertscore_recall_target",
    "bertscore_f1_target",
)


class Tags(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def begin_run(folder: Path, *, state: str = "done", results: dict[str, Any] | None = None,
              **settings: Any) -> Path:  # fmt: skip
    """A run folder with nothing but its manifest."""
    run = Run.open(folder)
    run.begin("training", {"learning_rate": 0.002, "epochs": 2.0, **settings}, {"pairs": "ab" * 32})
    if state == "done":
        run.finish("training", results or {})
    elif state == "interrupted":
        run.interrupt("training")
    return folder


def write_log(folder: Path, rows: Sequence[str], header: str = "step,epoch,loss,eval_loss") -> None:
    """log.csv as it stands."""
    (folder / "log.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def score_of(metric: str, values: Sequence[float], **settings: Any) -> dict[str, Any]:
    """What scoring would write of values."""
    value, low, high = mean_interval(values)
    score = Score(metric=metric, value=value, low=low, high=high, n=len(values), settings=settings)
    return score.to_dict()


def write_evaluation(
    folder: Path,
    step: int,
    predictions: Sequence[str],
    *,
    pairs: Sequence[Pair] = PAIRS,
    seed: int = 0,
    settings: dict[str, Any] | None = None,
    metrics: Sequence[str] = METRICS,
) -> list[dict[str, Any]]:
    """An evaluation with drawn values, as docs/formats.md describes it; its rows."""
    draw = random.Random(seed)
    columns = {name: [draw.random() for _ in predictions] for name in metrics}
    scores = [score_of(name, values, **(settings or {})) for name, values in columns.items()]
    rows = [
        {"index": index, "source": pair.source, "target": pair.target, "mode": pair.mode,
         "prediction": text, **{name: values[index] for name, values in columns.items()}}
        for index, (pair, text) in enumerate(zip(pairs, predictions, strict=False))
    ]  # fmt: skip
    base = folder / "evaluations" / f"step-{step:06d}"
    base.parent.mkdir(exist_ok=True)
    found = {"schema_version": 1, "step": step, "epoch": step / 6, "scores": scores,
             "decoding": {"max_new_tokens": 64, "seed": seed}}  # fmt: skip
    base.with_suffix(".json").write_text(json.dumps(found), encoding="utf-8")
    write_rows(base.with_suffix(".jsonl"), rows, [*rows[0]])
    return rows


def write_scores(folder: Path, predictions: Mapping[str, Sequence[str]]) -> None:
    """scores/text.json and text.parquet with drawn values, by system."""
    draw = random.Random(0)
    names = ("meteor_target", "distinct_1", "added_painters")
    rows, systems = [], []
    for system, texts in predictions.items():
        columns = {name: [draw.random() for _ in texts] for name in names}
        systems.append({"name": system, "scores": [score_of(*item) for item in columns.items()]})
        rows += [
            {"index": index, "system": system, "source": pair.source, "target": pair.target,
             "mode": pair.mode, "prediction": text,
             **{name: values[index] for name, values in columns.items()}}
            for index, (pair, text) in enumerate(zip(PAIRS, texts, strict=False))
        ]  # fmt: skip
    (folder / "scores").mkdir()
    write_rows(folder / "scores" / "text.parquet", rows, [*rows[0]])
    doctor = [
        {"metric": "meteor_target", "of": "predictions", "real": 0.31, "shuffled": 0.11,
         "difference": 0.2, "low": 0.15, "high": 0.25, "p": 0.0001, "n": 10, "tells": True},
        {"metric": "distinct_1", "of": "all", "tells": False, "note": "does not change"},
    ]  # fmt: skip
    found = {
        "schema_version": 1, "model": "tiny@0123456789ab", "seed": 0, "versions": {},
        "pairs": {"file": "validation.jsonl", "sha256": "cd" * 32, "n": 10}, "decoding": {},
        "metrics": [{"name": "meteor_target", "title": "METEOR (target)"}],
        "systems": systems, "doctor": doctor,
    }  # fmt: skip
    (folder / "scores" / "text.json").write_text(json.dumps(found), encoding="utf-8")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that really trained, with two evaluations beside it."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    train(PAIRS, folder, CONFIG)
    for number, step in enumerate((6, 12)):
        written = [f"{PAIRS[i].source}, {ENDS[i % 5]}, {ENDS[number]}" for i in range(10)]
        write_evaluation(folder, step, written, seed=number)
    return folder


def begin(folder: Path, **more: Any) -> Path:
    """A run that has drawn, and done nothing else."""
    run = Run.open(folder)
    run.begin("illustrating", {}, {})
    run.finish("illustrating", {})
    return draw_run(folder, **more)


def table(path: Path) -> list[dict[str, Any]]:
    return [dict(row.value) for row in read_rows(path)
            if isinstance(row, Row) and isinstance(row.value, Mapping)]  # fmt: skip


def rewrite(run: Path, change: Mapping[str, str], which: int = 0) -> None:
    """Change fields of all rows of one prompt."""
    rows = table(run / "pictures" / "index.parquet")
    write_index(run, [{**row, **change} if row["prompt_index"] == which else row for row in rows])


@pytest.fixture(scope="session")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an odd prompt, scored by two models, and its page."""
    folder = tmp_path_factory.mktemp("scored")
    run = begin(folder / "run", prompts=PROMPTS, seeds=SEEDS)
    rewrite(run, {"source": ODD})
    clips = [make_clip(folder / f"clip{seed}", seed=seed) for seed in (0, 3)]
    config = PictureScoringConfig(
        clip=str(clips[0]), preference=str(clips[1]), metrics=("clip", "measures", "pickscore"),
        offline=True,
    )  # fmt: skip
    score_pictures(run, config)
    write_report(run)
    return run
