"""Improve, draw, score, and keep the prompt that draws best: the paper's loop as a tool.

Each part leaves its files in the run folder and goes on from them, so that the same command after
a kill ends with the same picks. Of the prompts, one at a time is held with its scores.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError
from promptlift.files import atomic_path, sha256_of_file, write_text
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.inputs import read_entries
from promptlift.illustrating.job import STAGE as ILLUSTRATING
from promptlift.illustrating.job import IllustrationJob
from promptlift.improving.batch import PromptSource
from promptlift.improving.improver import Improver
from promptlift.improving.journal import improve_to_file
from promptlift.improving.session import Session
from promptlift.picking.config import PickConfig
from promptlift.picking.picks import (
    FILE,
    IMPROVEMENTS,
    candidates,
    entries_of,
    pick_row,
    read_picks,
    with_confirmation,
)
from promptlift.picking.scores import check_metric, load_metric, matched, stream_scores
from promptlift.picture_files import PictureReader
from promptlift.progress import progress
from promptlift.runs import Run
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import CACHE, FeatureCache
from promptlift.scoring.pictures.preference_models import (
    PictureScorer,
    ScorerContext,
)
from promptlift.tables import Fault, write_rows
from promptlift.threads import torch_threads

STAGE, IMPROVING = "picking", "improving"
CONFIRMATION = "confirmation"

Report = Callable[[str], None]


def pick(
    run_folder: Path,
    given: PromptSource,
    *,
    improver: Improver,
    illustrator: Illustrator,
    config: PickConfig | None = None,
    scoring: PictureScoringConfig | None = None,
    drawn: Path | None = None,
    threads: int | None = None,
    report: Report = lambda line: None,
) -> dict[str, Any]:
    """Improve prompts, draw originals and variants from the same noise, and keep the best.

    Writes `RUN/improvements.jsonl`, `RUN/pictures`, `RUN/picks.jsonl`, which
    `picks.read_picks` reads, and with `confirm_seeds` `RUN/confirmation`, itself a run folder.

    Args:
        run_folder: made, or gone on from. Another metric or rule needs no new pictures there.
        given: the prompts; not of standard input, which a stopped run could not read again.
        improver: the model that improves them.
        illustrator: the picture model; its config has the seeds.
        config: how many variants, and how the best is picked.
        scoring: models of the metric, and what counts as a tie.
        drawn: another picking run of the same prompts and picture model, whose pictures of the
            originals need not be drawn again.
        threads: of the processor, as `torch_threads` takes them.
        report: takes lines of progress and of trouble.

    Returns:
        Counts: `prompts`, `improved`, `original`, `failed`, with `confirm_seeds` `confirmed`
        (chosen prompts whose gain is clear there too), and where a server refused a picture
        `refused`, the prompts and seeds of such pictures.

    Raises:
        ConfigError: an option cannot be used, or the folder was begun with others.
        InputError: there is no prompt, or a picture cannot be read.
        ModelError: the metric's weights are missing or damaged.
        PromptliftError: another process works in the folder.
    """
    config, scoring = config or PickConfig(), scoring or PictureScoringConfig()
    scoring = scoring.resolved(illustrator.backend.name)
    check_metric(config.metric)
    # Report wrong options at once.
    session = improver.session(preset=config.preset, **config.improving)
    config = replace(config, mode=improver.card.mode(config.mode))
    given = replace(given, mode=config.mode)
    inputs = _inputs(given)
    run = Run.open(run_folder)
    with run.alone("picked"), torch_threads(threads, run.threads, IMPROVING, report):
        if (run_folder / IMPROVEMENTS).exists() and not run.stage(IMPROVING):
            raise ConfigError(
                f"{run_folder / IMPROVEMENTS} is of another command; name another folder"
            )
        settings = {**config.improve_options(), "model": improver.model_id}
        run.begin(IMPROVING, json.loads(json.dumps(settings)), inputs)
        cache = FeatureCache(run_folder / "scores" / CACHE)
        try:
            reader = PictureReader(scoring.batch_size)
            context = ScorerContext(config=scoring, cache=cache, reader=reader)
            scorer = load_metric(config.metric, context)  # refuse missing weights before the work
            improvements = _improve(run, given, session, config, report)
            if drawn is not None:
                take_over(drawn / "pictures", run_folder / "pictures")
            picking = _Picking(run, improvements, illustrator, config, context, scorer, report)
            return picking.work()
        finally:
            cache.close()


def _inputs(given: PromptSource) -> dict[str, str]:
    """Hashes of what is read, by name."""
    if not given.files and not given.prompts:
        raise InputError("there is no prompt to pick for")
    text = json.dumps(given.identity(resume=True), sort_keys=True)
    return {"prompts": hashlib.sha256(text.encode()).hexdigest()}


def _improve(
    run: Run, given: PromptSource, session: Session, config: PickConfig, report: Report
) -> Path:
    """`RUN/improvements.jsonl`, made where it is not there yet; a stopped making goes on."""
    output = run.folder / IMPROVEMENTS
    if not output.exists():
        report(f"improving with {session.model.model_id}, {config.n} variants of each prompt")
        source = given.identity(resume=True)
        with progress("prompts improved", report=report) as show:
            improve_to_file(
                session,
                given.items(),
                output,
                source=source,
                n=config.n,
                seed=config.seed,
                resume=True,
                progress=show,
            )
    if run.stage(IMPROVING).get("state") != "done":
        run.finish(IMPROVING, {})
    return output


def take_over(source: Path, target: Path) -> None:
    """Copy pictures of originals, which are the same whatever they are compared with."""
    target.mkdir(parents=True, exist_ok=True)
    for path in [*source.glob("*-original.png"), *source.glob("model_hashes.json")]:
        if not (target / path.name).exists():
            with atomic_path(target / path.name) as temporary:
                shutil.copyfile(path, temporary)


@dataclass(frozen=True)
class _Picking:
    """Drawing, scoring and choosing, once the improvements are there."""

    run: Run
    improvements: Path
    illustrator: Illustrator
    config: PickConfig
    context: ScorerContext
    scorer: PictureScorer
    report: Report

    def work(self) -> dict[str, Any]:
        """Go through all parts, and return the counts."""
        run = self.run
        if self.improvements.stat().st_size == 0:
            raise InputError("there is no prompt to pick for: the input is empty")
        entries = entries_of(self.improvements, self.report)
        # Only numbers are held: which prompts have something to draw.
        drawn = {place for place, entry in enumerate(entries) if candidates(entry)}
        model = ""
        if drawn:
            job = IllustrationJob(
                run, self.improvements, self.illustrator, chosen=drawn, report=self.report
            )
            job.draw()
            model = job.model_id
        settings = {**self.config.to_dict(), "scoring": self.context.config.to_dict()}
        inputs = {IMPROVEMENTS: sha256_of_file(self.improvements)}
        run.begin(STAGE, json.loads(json.dumps(settings)), inputs, anew=True)
        write_rows(run.folder / FILE, self._rows(model), ())
        counts = self._counts()
        if self.config.confirm_seeds and counts["improved"]:
            self._confirm()
            counts = self._counts()
        run.finish(STAGE, counts)
        return counts

    def _rows(self, picture_model: str) -> Iterator[dict[str, Any]]:
        folder = self.run.folder / "pictures"
        drawn = bool(picture_model)  # otherwise there is no index
        stream = stream_scores(folder, self.scorer, self.context) if drawn else iter(())
        metric = {
            "name": self.scorer.metric.name,
            "model": self.scorer.model,
            "tie": self.context.config.tie,
        }
        indices = (entry.index for entry in entries_of(self.improvements))
        both = zip(entries_of(self.improvements), matched(stream, indices), strict=True)
        for entry, scores in both:
            yield pick_row(
                entry,
                scores,
                always=self.config.always,
                metric=metric,
                picture_model=picture_model,
            )

    def _confirm(self) -> None:
        """Draw what was chosen and its original from fresh seeds, and add the gain to the picks."""
        inner = Run.open(self.run.folder / CONFIRMATION)
        with inner.alone("picked"):
            self._draw_chosen(inner)
        stream = stream_scores(inner.folder / "pictures", self.scorer, self.context)
        indices = (row["index"] for row in read_picks(self.run.folder))
        both = zip(read_picks(self.run.folder), matched(stream, indices), strict=True)
        write_rows(
            self.run.folder / FILE,
            (row if scores is None else with_confirmation(row, scores) for row, scores in both),
            (),
        )

    def _draw_chosen(self, inner: Run) -> None:
        inputs = {FILE: sha256_of_file(self.run.folder / FILE)}
        inner.begin(IMPROVING, {"confirms": FILE}, inputs, anew=True)
        path = inner.folder / IMPROVEMENTS
        write_rows(path, self._chosen(), ())
        inner.finish(IMPROVING, {})
        # Under another metric other prompts are chosen; a picture that is still asked for stays.
        inner.forget(ILLUSTRATING)
        known = self.run.folder / "pictures" / "model_hashes.json"
        if known.exists():  # gigabytes need not be read again
            write_text(inner.folder / "pictures" / known.name, known.read_text("utf-8"))
        own = self.illustrator.config
        fresh = self.illustrator.with_seeds(own.seed + own.seeds, self.config.confirm_seeds)
        IllustrationJob(inner, path, fresh, report=self.report).draw()

    def _chosen(self) -> Iterator[dict[str, Any]]:
        """The improvements that were chosen, as `promptlift improve` writes them."""
        rows = read_picks(self.run.folder)
        for entry, row in zip(entries_of(self.improvements), rows, strict=True):
            yield from entry.to_rows(
                [one for one in entry.variants if one.variant == row["variant"]]
            )

    def _counts(self) -> dict[str, Any]:
        found: Counter[str] = Counter()
        for row in read_picks(self.run.folder):
            is_confirmed = row["confirmation"] is not None and row["confirmation"]["confirmed"]
            found.update({"prompts": 1, row["choice"]: 1, "confirmed": int(is_confirmed)})
        found["failed"] = sum(isinstance(one, Fault) for one in read_entries(self.improvements))
        names = ["prompts", "improved", "original", "failed"]
        names += ["confirmed"] if self.config.confirm_seeds else []
        counts = {name: found[name] for name in names}
        refused = self.run.stage(ILLUSTRATING).get("results", {}).get("refused", 0)
        return {**counts, "refused": refused} if refused else counts
