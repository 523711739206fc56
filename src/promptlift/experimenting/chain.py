"""The stages of an experiment, one after the other in one run folder, each from where it stopped.

Each stage calls the library function that its command calls, and keeps its state in the run folder.
A stage that is done does nothing, so a chain that was stopped goes on when it is run again.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import InputError
from promptlift.experimenting.config import ExperimentConfig
from promptlift.experimenting.reproduction import machine, write_reproduction
from promptlift.experimenting.stages import how_to_judge, stages_of
from promptlift.pairs.datasets import find_files
from promptlift.pairs.load import collect_pairs, write_pairs
from promptlift.reporting.arms_section import TUNED
from promptlift.runs import Run
from promptlift.tables import write_rows
from promptlift.threads import torch_threads
from promptlift.training.config import PAPER_DATA

if TYPE_CHECKING:
    from promptlift.training.job import AfterEpoch

STAGE = "experimenting"
Report = Callable[[str], None]


def run_experiment(
    config: ExperimentConfig, folder: Path, report: Report, after_epoch: "AfterEpoch | None" = None
) -> "Chain":
    """Run the whole chain, or go on with one that was stopped; it knows its page.

    Args:
        config: of the experiment.
        folder: the run folder.
        report: takes lines of progress.
        after_epoch: as `train` takes it.

    Raises:
        ConfigError: the run folder was begun with another config.
        PromptliftError: a stage cannot be done, or another process works in the folder.
        KeyboardInterrupt: a signal stopped it; the same call goes on.
    """
    run = Run.open(folder)
    begun = run.stage(STAGE).get("config")
    config = replace(config, improve=config.improve.as_begun(begun, "improve."))
    run.check(STAGE, config.settings(), {})
    with run.alone("set up"):
        kept = run.threads
        with torch_threads(config.threads, kept, STAGE, report):
            run.begin(STAGE, config.settings(), {})
    chain, titles = Chain(config, folder, report, after_epoch), stages_of(config)
    # Of all processes that worked in the run folder, by stage.
    seconds: dict[str, float] = run.stage(STAGE).get("seconds", {})
    machines: dict[str, Any] = run.stage(STAGE).get("machines", {})  # that began each stage
    with torch_threads(config.threads, kept, STAGE, lambda line: None):
        for number, (name, title) in enumerate(titles.items(), 1):
            if name == "report":  # which tells of the others that they are done
                run = Run.open(folder)  # they have written to its manifest
                if chain.waiting:
                    run.interrupt(STAGE)
                else:
                    run.finish(STAGE, {"seconds": seconds})
            begun, minutes = time.monotonic(), sum(seconds.values()) / 60
            so_far = f", {minutes:.1f} min so far" if seconds else ""
            report(f"stage {number} of {len(titles)}: {title}{so_far}")
            before = seconds.get(name, 0.0)
            machines.setdefault(name, machine())
            try:
                getattr(chain, name)()
            finally:
                seconds[name] = round(before + time.monotonic() - begun, 1)
                Run.open(folder).note(STAGE, seconds=seconds, machines=machines)
    report(f"{len(titles)} stages in {sum(seconds.values()) / 60:.1f} min")
    return chain


class Chain:
    """The stages, by the names that `stages_of` gives them.

    Heavy libraries are loaded by the stage that needs them.

    Args:
        config: of the experiment.
        folder: the run folder, in which the experiment was begun.
        report: takes lines of progress.
        after_epoch: as `train` takes it.

    Attributes:
        page: the report, once it is written.
        reproduction: the paper's figures with the run's, once they are written.
        waiting: the command that asks for votes and the raters' addresses; empty where there are
            votes or none are asked for.
    """

    def __init__(
        self, config: ExperimentConfig, folder: Path, report: Report,
        after_epoch: "AfterEpoch | None" = None,
    ) -> None:  # fmt: skip
        self.config, self.folder, self.say = config, folder, report
        self.after_epoch = after_epoch
        self.model = folder / "model"
        self.page: Path | None = None
        self.reproduction: Path | None = None
        self.waiting: list[str] = []

    def pairs(self) -> None:
        """Files of pairs; those of a world are made here."""
        for name, paths in self.files().items():
            self.say(f"to {name}: {', '.join(map(str, paths))}")

    def train(self) -> None:
        from promptlift.scoring.text.epochs import epoch_evaluator
        from promptlift.training.data import read_files
        from promptlift.training.train import train

        paths = self.files()
        drop = self.config.pairs.world is None
        files = read_files(
            paths["train"],
            paths.get("test", []),
            drop_faulty=drop,
            keep_unfit=self.config.pairs.data == PAPER_DATA,  # as it was published
            report=self.say,
        )
        evaluator, measuring = None, dict[str, str]()
        if self.config.train.evaluation_decoding != "none":
            evaluator, measuring = epoch_evaluator(self.config.encoder, self.say)
        if not train(
            files.learned, self.folder, self.config.train, validation=files.validation,
            inputs=files.hashes | measuring, evaluator=evaluator,
            after_epoch=self.after_epoch, report=self.say,
        ):  # fmt: skip
            raise KeyboardInterrupt

    def improve(self) -> None:
        from promptlift.illustrating.sources import improvements_of

        prompts = self.folder / "prompts.jsonl"
        if not prompts.exists():
            # Where a run learns both tasks, a prompt is measured in both.
            validation = collect_pairs([self.folder / "validation.jsonl"])
            sources = dict.fromkeys(pair.source for pair in validation)
            write_rows(prompts, ({"prompt": source} for source in sources), ())
        choice = self.config.improve
        choice = replace(choice, improver=choice.improver or str(self.model))
        run = Run.open(self.folder)
        with run.alone("improved"):
            improvements_of(run, prompts, choice, report=self.say)

    def draw(self) -> None:
        from promptlift.illustrating.illustrator import Illustrator
        from promptlift.illustrating.job import IllustrationJob
        from promptlift.illustrating.sources import FILE

        config = self.config.illustrate
        run = Run.open(self.folder)
        with run.alone("drawn"):
            illustrator = Illustrator.of(config, self.say)
            job = IllustrationJob(run, self.folder / FILE, illustrator, report=self.say)
            for line in job.outcome(job.draw()):
                self.say(line)

    def tune(self) -> None:
        """Tune the model that learned from pairs by pictures of other prompts than are tested."""
        from promptlift.illustrating.illustrator import Illustrator
        from promptlift.tuning.config import training_of
        from promptlift.tuning.tune import Material, tune

        config, choice = self.config, self.config.tune
        draw = config.illustrate
        drawing = replace(
            draw, seeds=choice.seeds, seed=draw.seed + draw.seeds,  # no noise of the test
            num_inference_steps=choice.num_inference_steps or draw.num_inference_steps,
            batch_size=choice.batch_size or draw.batch_size,
        )  # fmt: skip
        improve, seed = config.improve, config.tuning.tune_seed
        old = list(dict.fromkeys(collect_pairs([self.folder / "training.jsonl"])))
        tested = {pair.source for pair in collect_pairs([self.folder / "validation.jsonl"])}
        prompts = dict.fromkeys(pair.source for pair in old if pair.source not in tested)
        tune(
            self.folder / TUNED,
            Material(
                model=improve.improver or str(self.model), prompts=list(prompts), old=old,
                illustrator=Illustrator.of(drawing, self.say),
            ),
            replace(config.tuning, mode=config.tuning.mode or improve.mode,
                    improving=improve.options()),
            training_of(improve.improver or str(self.model), {}, seed),
            scoring=config.pictures,
            threads=config.threads,
            report=self.say,
        )  # fmt: skip

    def arms(self) -> None:
        from promptlift.experimenting.arms import compare_arms, draw_arms
        from promptlift.tuning.tune import STAGE as TUNING

        tuned = self.folder / TUNED
        kept = Run.open(tuned).stage(TUNING)["results"]["kept"]
        arms = draw_arms(self.folder, self.config, tuned / "model" if kept else None, self.say)
        compare_arms(self.folder, arms, self.config, kept)

    def texts(self) -> None:
        from promptlift.improving.improver import Improver
        from promptlift.scoring.text.inputs import read_pairs
        from promptlift.scoring.text.run import score_run

        config = self.config.texts
        score_run(
            read_pairs(self.folder / "validation.jsonl", config.mode, self.say),
            self.folder,
            config,
            improver=Improver.load(str(self.model)),
            training=self.folder / "training.jsonl",
            report=self.say,
        )

    def pictures(self) -> None:
        from promptlift.scoring.pictures.run import score_pictures

        score_pictures(self.folder, self.config.pictures, report=self.say)

    def judge(self) -> None:
        """Assign the pairs; stop where nobody has voted yet, otherwise count."""
        from promptlift.judging.collecting.study import Study
        from promptlift.judging.records import PERSON
        from promptlift.judging.results import FILE, read_results

        study = Study.open([self.folder], self.config.judge, self.say)
        votes = [vote for vote in study.store.votes() if vote.kind == PERSON]
        if not votes:
            self.waiting = how_to_judge(study, self.config)
            return
        read_results(study)
        self.say(f"{len(votes)} votes; statistics in {self.folder / FILE}")

    def report(self) -> None:
        from promptlift.reporting.run_report import write_report

        self.page = write_report(self.folder, report=self.say)
        self.reproduction = write_reproduction(self.folder, self.config)

    def files(self) -> dict[str, list[Path]]:
        """Files to learn from, and, where there are such, to measure on."""
        pairs = self.config.pairs
        if pairs.data is not None:
            found = {"train": find_files(pairs.data, "train")}
            try:
                test = find_files(pairs.data, "test", offline=True)  # it has just been loaded
            except InputError:
                return found
            return found if test == found["train"] else {**found, "test": test}
        from promptlift.world.pairs import world_pairs

        mode = self.config.improve.mode or "extend"
        sides: dict[str, dict[str, Any]] = {
            "train": {"count": pairs.count},
            "test": {"count": pairs.test, "test": True, "mode": mode},
        }
        files = {}
        for name, asked in sides.items():
            path = self.folder / "pairs" / f"{name}.jsonl"
            if not path.exists():
                write_pairs(path, world_pairs(**asked, control=pairs.world == "control"))
            files[name] = [path]
        return files
