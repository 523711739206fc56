"""Which prompts draw best: those of test prompts alone, and of every way to improve them.

Each way is an arm with the same prompts, noise and settings. The pocket world's oracle judges its
pictures by what the original prompt asks for, and no rewriter learned from it; the reward stands
beside it. Of other pictures there is the reward alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.experimenting.config import ExperimentConfig
from promptlift.files import write_json
from promptlift.illustrating.inputs import Entry, read_entries
from promptlift.illustrating.sources import FILE
from promptlift.picture_files import PictureReader
from promptlift.pictures import IMPROVED, ORIGINAL, Picture, read_index
from promptlift.reporting.arms_section import ARMS, RESULTS
from promptlift.scoring.scores import Metric
from promptlift.statistics import mean_interval, paired_test
from promptlift.tables import write_rows
from promptlift.world.bundle import ORACLE, is_pocket

Report = Callable[[str], None]
Values = npt.NDArray[np.float64]
SCHEMA_VERSION = 1
_ORACLE = Metric(
    name="oracle", title="oracle's score", range=(0.0, 1.0), higher_is_better=True,
    source="promptlift.world.oracle", compares="source",
)  # fmt: skip


def draw_arms(
    run_folder: Path, config: ExperimentConfig, tuned: Path | None, report: Report
) -> dict[str, Path]:
    """Draw what is missing of the arms; originals are not drawn again.

    Args:
        run_folder: of the experiment, whose test prompts were drawn.
        config: of the experiment.
        tuned: the model that a tuning kept; None where it kept the model as it came.
        report: takes lines of progress.

    Returns:
        Folders of pictures by arm: `original`, `pairs`, `suffix` where there is one, `tuned`.
    """
    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.illustrating.job import IllustrationJob
    from promptlift.illustrating.sources import improvements_of
    from promptlift.picking.pick import take_over
    from promptlift.runs import Run

    own = run_folder / "pictures"
    arms = {ORIGINAL: own, "pairs": own}
    if config.tune.suffix:
        arms["suffix"] = run_folder / ARMS / "suffix" / "pictures"
    arms["tuned"] = own if tuned is None else run_folder / ARMS / "tuned" / "pictures"
    illustrator = None
    for name, pictures in arms.items():
        if pictures == own:
            continue
        run = Run.open(pictures.parent)
        with run.alone("drawn"):
            if name == "tuned":
                choice = replace(config.improve, improver=str(tuned), n=1)
                improvements_of(run, run_folder / "prompts.jsonl", choice, report=report)
            else:
                _write_suffixed(run_folder / FILE, str(config.tune.suffix), run.folder / FILE)
            take_over(own, pictures)
            illustrator = illustrator or Illustrator.of(config.illustrate, report)
            job = IllustrationJob(run, run.folder / FILE, illustrator, report=report)
            for line in job.outcome(job.draw()):
                report(line)
    return arms


def compare_arms(
    run_folder: Path, arms: Mapping[str, Path], config: ExperimentConfig, kept: int
) -> dict[str, Any]:
    """What the judges say of each arm, written to `RUN/arms.json`; docs/formats.md has its fields.

    Args:
        run_folder: of the experiment.
        arms: as `draw_arms` gives them.
        config: of the experiment.
        kept: number of the round whose model a tuning kept.
    """
    chosen = {name: _pictures_of(name, folder) for name, folder in arms.items()}
    # A server may have refused some.
    keys = sorted(set.intersection(*map(set, chosen.values())))
    pictures = {name: [found[key] for key in keys] for name, found in chosen.items()}
    prompts = [prompt for prompt, _ in keys]
    judged = _judged(run_folder, pictures, config)
    found = {
        "schema_version": SCHEMA_VERSION,
        "prompts": len(set(prompts)),
        "seeds": len({seed for _, seed in keys}),
        "suffix": config.tune.suffix,
        "kept": kept,
        "metrics": [
            {"name": metric.name, "title": metric.title, "arms": _compared(values, prompts)}
            for metric, values in judged
        ],
    }
    write_json(run_folder / RESULTS, found)
    return found


def _write_suffixed(improvements: Path, suffix: str, output: Path) -> None:
    """The prompts of a file of improvements with a suffix instead."""
    if not output.exists():
        rows = (
            {"index": entry.index, "source": source, "prompt": f"{source}, {suffix}",
             "additions": [suffix]}
            for entry in read_entries(improvements) if isinstance(entry, Entry)
            for source in [entry.variants[0].source]
        )  # fmt: skip
        write_rows(output, rows, ())


def _pictures_of(arm: str, folder: Path) -> dict[tuple[str, int], Picture]:
    """An arm's pictures by prompt and seed; of several variants the first."""
    side = ORIGINAL if arm == ORIGINAL else IMPROVED
    return {
        (one.source, one.seed): one
        for one in read_index(folder)
        if one.side == side and one.variant == 0
    }


def _judged(
    run_folder: Path, arms: Mapping[str, Sequence[Picture]], config: ExperimentConfig
) -> list[tuple[Metric, dict[str, Values]]]:
    """Values of all pictures by each judge, and arm."""
    from promptlift.picking.scores import load_metric
    from promptlift.scoring.pictures.feature_cache import CACHE, FeatureCache
    from promptlift.scoring.pictures.picture_features import caption
    from promptlift.scoring.pictures.preference_models import ScorerContext

    drawn_by = arms[ORIGINAL][0].model_name
    scoring = config.pictures.resolved(drawn_by)
    reader = PictureReader(scoring.batch_size)
    cache = FeatureCache(run_folder / "scores" / CACHE)
    try:
        scorer = load_metric(
            config.tuning.reward, ScorerContext(config=scoring, cache=cache, reader=reader)
        )
        sign = 1.0 if scorer.metric.higher_is_better else -1.0
        rewards = {
            name: sign
            * scorer.score(prompts=[caption(one.source) for one in pictures], pictures=pictures)
            for name, pictures in arms.items()
        }
    finally:
        cache.close()
    found = [(scorer.metric, rewards)]
    if is_pocket(drawn_by):
        found.insert(0, (_ORACLE, {name: _by_oracle(one, reader) for name, one in arms.items()}))
    return found


def _by_oracle(pictures: Sequence[Picture], reader: PictureReader) -> Values:
    from promptlift.world.oracle import judge, load_oracle, score
    from promptlift.world.wanted import wanted_of

    shown = np.stack([np.asarray(reader.image(one).convert("RGB")) for one in pictures])
    readings = load_oracle(ORACLE).read(shown)
    return np.array(
        [
            score(judge(wanted_of(one.source), reading), reading.clean)
            for one, reading in zip(pictures, readings, strict=True)
        ]
    )


def _compared(values: Mapping[str, Values], prompts: Sequence[str]) -> dict[str, Any]:
    """Mean of each arm, and by how much it is better than each other one, over prompts."""
    # A prompt that asks for nothing has no value by some rewards.
    known = np.all(np.isfinite(np.stack([*values.values()])), axis=0).tolist()
    groups = [prompt for prompt, is_known in zip(prompts, known, strict=True) if is_known]
    if not groups:
        return {}
    found: dict[str, Any] = {}
    for name, own in values.items():
        mean, low, high = mean_interval(own[known], groups)
        less = {
            other: paired_test(theirs[known], own[known], groups)
            for other, theirs in values.items()
            if other != name
        }
        found[name] = {"value": mean, "low": low, "high": high, "less": less}
    return found
