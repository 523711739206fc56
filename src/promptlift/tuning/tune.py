"""Tune a model by the pictures that its prompts draw, in rounds.

A round improves prompts in several ways, draws them and their originals from the same noise,
judges the pictures and learns from that; then it is measured on prompts that nothing was learned
from. Each part is a run folder of its own that goes on where it stopped, so the whole does too.
"""

import json
import logging
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from promptlift.errors import InputError
from promptlift.illustrating.illustrator import Illustrator
from promptlift.improving.batch import PromptSource
from promptlift.improving.improver import Improver
from promptlift.pairs.load import collect_pairs, write_pairs
from promptlift.picking.config import PickConfig
from promptlift.picking.pick import pick
from promptlift.picking.picks import IMPROVEMENTS, entries_of, pair_of
from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.picture_features import caption
from promptlift.tables import write_rows
from promptlift.training.config import TrainingConfig
from promptlift.training.data import FEWEST
from promptlift.training.models import place_of_base, restore_base
from promptlift.training.train import train
from promptlift.tuning.config import TuneConfig
from promptlift.tuning.figures import figures_of, kept_round, language_of, read_measured
from promptlift.tuning.lessons import lessons, with_old

STAGE, ROUNDS, KEPT = "tuning", "rounds.jsonl", "kept.jsonl"
HELD_OUT, LESSONS = "held-out", "lessons.jsonl"
_OLD_HELD_OUT = 200  # old pairs that are not learned but measured on, at most a tenth of them

Report = Callable[[str], None]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a model is tuned with.

    Attributes:
        model: to begin with: a folder of transformers, an exported one, or a bundled name.
        prompts: plain prompts, none twice.
        old: pairs that are mixed in, so that the model keeps its language; may be empty.
        illustrator: the picture model; its config has the first seed and how many.
    """

    model: str
    prompts: Sequence[str]
    old: Sequence[Pair]
    illustrator: Illustrator


def tune(
    run_folder: Path,
    material: Material,
    config: TuneConfig,
    training: TrainingConfig,
    *,
    scoring: PictureScoringConfig | None = None,
    threads: int | None = None,
    report: Report = _log.info,
) -> dict[str, Any]:
    """Tune a model, or go on with a run that was stopped, or with one that is to have more rounds.

    `RUN/rounds/0` measures the model as it comes. `RUN/rounds/N` holds what the model of the round
    before wrote, its pictures, their scores, and the model of this round; `RUN/rounds.jsonl` the
    figures of each. Seeds of the noise are others in each round, and others than those of
    measuring. `RUN/model` is the model of the round that is kept.

    Args:
        run_folder: made, or gone on from.
        material: model, prompts and picture model.
        config: rounds, and how is learned.
        training: of a round.
        scoring: models of the reward.
        threads: of the processor.
        report: takes lines of progress.

    Returns:
        `kept`, the number of the round whose model is kept, 0 for the model as it came, and
        `rounds`, the figures of all.

    Raises:
        ConfigError: an option cannot be used, or the folder was begun with others.
        InputError: there are too few prompts.
        ModelError: weights are missing or damaged.
        PromptliftError: another process works in the folder.
    """
    check_enough(material, config)
    scoring = scoring or PictureScoringConfig()
    run = Run.open(run_folder)
    illustrator = material.illustrator
    settings = {
        **config.to_dict(),
        "training": asdict(training),
        "model": Improver.load(material.model, threads=threads).model_id,
        "drawing": {"model": illustrator.config.model, **illustrator.settings()},
        "seeds": list(illustrator.seeds),
        "scoring": scoring.to_dict(),
    }
    inputs = {"material": _hash_of(material)}
    with run.alone("tuned"):
        run.begin(STAGE, json.loads(json.dumps(settings)), inputs)
        tuning = _Tuning(run_folder, material, config, training, scoring, threads, report)
        found = tuning.work()
        run.finish(STAGE, {"kept": found["kept"], "rounds": config.rounds})
    return found


def check_enough(material: Material, config: TuneConfig) -> None:
    """Refuse too few prompts.

    Raises:
        InputError: beside those that are held out, none are left to learn from.
    """
    if len(material.prompts) <= config.held_out:
        raise InputError(
            f"{len(material.prompts)} prompts are too few: {config.held_out} are held out, and "
            "others are needed to learn from; give more, or a smaller --held-out"
        )


@dataclass(frozen=True)
class _Tuning:
    folder: Path
    material: Material
    config: TuneConfig
    training: TrainingConfig
    scoring: PictureScoringConfig
    threads: int | None
    report: Report

    def work(self) -> dict[str, Any]:
        """Every round that is not done yet, and the choice among all."""
        path = self.folder / ROUNDS
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for number in range(len(rows), self.config.rounds + 1):
            if number:
                self.report(f"round {number} of {self.config.rounds}")
                self._learn(number, self._lessons(number))
            same = number and self._model(number) == self._model(number - 1)
            rows.append({**(rows[-1] if same else self._measure(number)), "round": number})
            write_rows(path, rows, ())
            self.report(_line(rows[-1], self.config.reward))
        rows = rows[: self.config.rounds + 1]
        gains = [
            np.array([*read_measured(self._measured(at)).gains.values()]) for at in range(len(rows))
        ]
        kept = kept_round(rows, gains)
        self._keep(kept)
        return {"kept": kept, "rounds": rows}

    def _round(self, number: int) -> Path:
        return self.folder / "rounds" / str(number)

    def _model(self, number: int) -> str:
        """The model that a round leaves: that of the round before where nothing was learned."""
        folder = self._round(number) / "model"
        if not number:
            return self.material.model
        return str(folder) if folder.exists() else self._model(number - 1)

    def _measured(self, number: int) -> Path:
        """Where a round was measured: that before, where nothing was learned."""
        folder = self._round(number) / HELD_OUT
        return folder if folder.exists() else self._measured(number - 1)

    def _lessons(self, number: int) -> list[Pair]:
        """Draw variants of some prompts; what the pictures of all rounds teach, with old pairs.

        Kept once they are there: pictures that are drawn again, or a reward that is asked again,
        may give others.
        """
        path = self._round(number) / LESSONS
        if not path.exists():
            seeds = self.material.illustrator.seeds
            chosen = random.Random(f"{self.config.tune_seed} {number}").sample(
                self._learned, min(self.config.prompts, len(self._learned))
            )
            first = seeds.start + number * len(seeds)
            self._pick(self._round(number), number - 1, chosen, first, self.config.n)
            taught = lessons([self._round(at) for at in range(1, number + 1)], self.config.learn)
            seed = f"{self.config.tune_seed} {number}"
            pairs = with_old(taught, self._old[0], self.config.old_share, seed)
            self.report(
                f"{len(taught)} pairs to learn from pictures, {len(pairs) - len(taught)} old"
            )
            write_pairs(path, pairs)
        return collect_pairs([path], report=lambda line: None) if path.stat().st_size else []

    def _learn(self, number: int, pairs: Sequence[Pair]) -> None:
        """Train the model as it came, each time, on what the pictures of all rounds teach."""
        folder, base = self._round(number), self.folder / "base"
        if len(pairs) < FEWEST:
            self.report(
                "that is too little to learn from: the model stays, and what was drawn counts in "
                "the next round; more --prompts or --seeds tell more"
            )
            return
        restore_base(self.material.model, base)
        config = replace(self.training, model=place_of_base(self.material.model, base))
        done = train(
            pairs, folder, config, validation=self._written_by_base(), threads=self.threads,
            report=self.report,
        )  # fmt: skip
        if done is None:
            raise KeyboardInterrupt
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)

    def _measure(self, number: int) -> dict[str, Any]:
        """The figures of a round's model on the prompts that are held out."""
        folder, base = self._round(number) / HELD_OUT, self._round(0) / HELD_OUT
        first = self.material.illustrator.seeds.start
        self._pick(folder, number, self._held_out, first, 1, drawn=base if number else None)
        _, old = self._old
        return {
            **figures_of(read_measured(folder), read_measured(base)),
            **language_of(self._model(number), old, self._written_by_base()),
        }

    def _pick(
        self, folder: Path, number: int, prompts: Sequence[str], first: int, n: int,
        drawn: Path | None = None,
    ) -> None:  # fmt: skip
        """Improve, draw and score prompts with the model of a round."""
        config = self.config
        seeds = len(self.material.illustrator.seeds)
        pick(
            folder,
            PromptSource(prompts=prompts, report=self.report),
            improver=Improver.load(self._model(number), threads=self.threads),
            illustrator=self.material.illustrator.with_seeds(first, seeds),
            config=PickConfig(
                n=n, seed=config.tune_seed + (number if n > 1 else 0), mode=config.mode,
                improving=config.options(n), metric=config.reward, always=True,
            ),
            scoring=self.scoring,
            drawn=drawn,
            threads=self.threads,
            report=self.report,
        )  # fmt: skip

    @property
    def _held_out(self) -> list[str]:
        return self._shuffled[: self.config.held_out]

    @property
    def _learned(self) -> list[str]:
        return self._shuffled[self.config.held_out :]

    @property
    def _shuffled(self) -> list[str]:
        return random.Random(self.config.tune_seed).sample(
            self.material.prompts, len(self.material.prompts)
        )

    @property
    def _old(self) -> tuple[list[Pair], list[Pair]]:
        """Old pairs to learn, and those to measure on; none is of a held-out prompt."""
        held_out = {caption(prompt) for prompt in self._held_out}
        every = [pair for pair in self.material.old if caption(pair.source) not in held_out]
        old = random.Random(self.config.tune_seed).sample(every, len(every))
        count = min(_OLD_HELD_OUT, len(old) // 10)
        return old[count:], old[:count]

    def _written_by_base(self) -> list[Pair]:
        """What the model before the first round wrote for the prompts that are held out."""
        entries = entries_of(self._round(0) / HELD_OUT / IMPROVEMENTS)
        pairs = (pair_of(one) for entry in entries for one in entry.variants)
        return [pair for pair in pairs if pair is not None]

    def _keep(self, number: int) -> None:
        """The model of a round as that of the run."""
        target = self.folder / "model"
        shutil.rmtree(target, ignore_errors=True)
        if self._model(number) != self.material.model:
            shutil.copytree(self._model(number), target)
        write_rows(self.folder / KEPT, [{"round": number, "model": self._model(number)}], ())


def _hash_of(material: Material) -> str:
    import hashlib

    texts = [*material.prompts, *map(repr, material.old)]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _line(row: dict[str, Any], reward: str) -> str:
    """A round in a line."""
    value, low, high = row["gain"]
    return (
        f"round {row['round']}: {reward} {value:+.4g} [{low:+.4g}, {high:+.4g}] over the originals "
        f"of {row['prompts']} held-out prompts, intent kept in {row['intent_kept']:.1%}, "
        f"distinct-2 {row['distinct_2']:.2f}, {row['added_phrases']:.1f} phrases added"
    )
