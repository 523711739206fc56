"""Ways to optimise, measured over the same prompts and noises of the pocket world.

An arm's values are kept in a folder, so benchmarks share arms and go on where they were stopped.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.steering.optimised import FIRST_SEED, OWN_SEED, UNSEEN, drawn, measured
from benchmarks.steering.tables import NOISES, PARTS
from benchmarks.world.answers import prompts as measured_prompts
from benchmarks.world.drawn import interval
from promptlift.files import write_json
from promptlift.illustrating.embedding import Embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.picture_files import PictureReader
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.preference_models import GradedScorer, ScorerContext
from promptlift.scoring.scores import Metric
from promptlift.statistics import paired_test
from promptlift.steering.config import OptimiseConfig
from promptlift.steering.optimise import Optimisation, Step, graded_scorer
from promptlift.world import bundle

COUNT, ITERATIONS, THROUGH, STEPS = 12, 15, 3, 10
ANEW = 150  # the authors' optimiser outlives the steps of this multiple
# By noise, "own" or "unseen", and by part: a value for each picture.
Outcome = dict[str, dict[str, list[float]]]


@dataclass(frozen=True, kw_only=True)
class Slips:
    """Slips of the authors' code, each by itself.

    Attributes:
        forgetful: the optimiser is made anew after each step but every 150th.
        misread: the metric gets pictures from -1 to 1 and takes them for such from 0 to 1.
        last: each step's score replaces the best, be it better or worse.
    """

    forgetful: bool = False
    misread: bool = False
    last: bool = False


class MisreadScorer:
    """A metric that is handed pictures from -1 to 1 in the place of pictures from 0 to 1."""

    def __init__(self, scorer: GradedScorer) -> None:
        self._scorer = scorer
        self.metric: Metric = scorer.metric
        self.model = f"{scorer.model}, misread"
        self.score = scorer.score

    def graded(self, prompts: Sequence[str], pictures: torch.Tensor) -> torch.Tensor:
        return self._scorer.graded(prompts, 2 * pictures - 1)


def steps_with(
    illustrator: Illustrator,
    prompt: str,
    scorer: GradedScorer,
    config: OptimiseConfig,
    slips: Slips,
) -> list[Step]:
    """The steps of an optimisation that has these slips."""
    judge: GradedScorer = MisreadScorer(scorer) if slips.misread else scorer
    optimisation = Optimisation(illustrator, prompt, judge, config)
    steps = []
    for step in optimisation:
        steps.append(step)
        if slips.forgetful and step.number % ANEW:
            optimisation.optimizer.state.clear()
    return steps


def kept(steps: Sequence[Step], slips: Slips) -> Step:
    """The step that is taken in the end: the first of the best, or the last."""
    return steps[-1] if slips.last else max(steps, key=lambda step: step.score)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to optimise; `iterations` 0 is the prompt as it is."""

    metric: str
    optimizer: str = "adamw"
    rate: float = 0.01
    less: bool = False
    iterations: int = ITERATIONS
    slips: Slips = Slips()

    def config(self) -> OptimiseConfig:
        return OptimiseConfig(
            metric=self.metric, less=self.less, iterations=self.iterations,
            patience=self.iterations + 1, through=THROUGH, optimizer=self.optimizer,
            rate=self.rate,
        )  # fmt: skip


class Arms:
    """Outcomes of arms, computed once.

    Args:
        folder: keeps them.
        count: of prompts.
    """

    def __init__(self, folder: Path, count: int) -> None:
        torch.set_num_threads(1)
        self._folder, self.sources = folder, measured_prompts(count)
        self._illustrator = Illustrator.load(
            "pocket", num_inference_steps=STEPS, seed=OWN_SEED, batch_size=50, device="cpu"
        )
        scoring = PictureScoringConfig().resolved(bundle.NAME)
        self._context = ScorerContext(
            config=scoring, cache=FeatureCache(), reader=PictureReader(8)
        )  # fmt: skip
        self._known: dict[Arm, list[list[Step]]] = {}

    def outcome(self, arm: Arm) -> Outcome:
        """What an arm's embeddings draw from the optimised noise and from unseen noise."""
        path = self._path(arm)
        if not path.exists():
            scorer = graded_scorer(arm.metric, self._context)
            runs = self._runs(replace(arm, slips=replace(arm.slips, last=False)), scorer)
            embeddings = [kept(steps, arm.slips).embedding for steps in runs]
            write_json(path, self._outcome(scorer, embeddings))
        found: Outcome = json.loads(path.read_text("utf-8"))
        return found

    def _runs(self, arm: Arm, scorer: GradedScorer) -> list[list[Step]]:
        """The steps of each prompt, which are the same whichever is kept."""
        if arm not in self._known:
            begun, config = time.monotonic(), arm.config()
            self._known[arm] = [
                steps_with(self._illustrator, source, scorer, config, arm.slips)
                for source in self.sources
            ]
            print(f"{arm}: {time.monotonic() - begun:.0f} s", flush=True)
        return self._known[arm]

    def _outcome(self, scorer: GradedScorer, embeddings: Sequence[Embedding]) -> Outcome:
        every = self.sources * UNSEEN
        seeds = {
            "own": [OWN_SEED] * len(self.sources),
            "unseen": list(range(FIRST_SEED, FIRST_SEED + len(every))),
        }
        found = {}
        for noise in NOISES:
            times = len(seeds[noise]) // len(self.sources)
            prompts, given = self.sources * times, [*embeddings] * times
            pictures = drawn(self._illustrator, prompts, seeds[noise], given)
            values = measured(scorer, prompts, pictures)
            found[noise] = {part: values[part].tolist() for part in PARTS}
        return found

    def _path(self, arm: Arm) -> Path:
        text = json.dumps([asdict(arm), self.sources, THROUGH, STEPS, UNSEEN])
        return self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def means(outcome: Outcome, count: int) -> dict[str, Any]:
    """Means of an outcome with 95% intervals over prompts, by noise and part."""
    return {
        noise: {part: interval(np.array(outcome[noise][part]), _groups(outcome[noise][part], count))
                for part in PARTS}
        for noise in NOISES
    }  # fmt: skip


def less(before: Outcome, after: Outcome, count: int) -> dict[str, Any]:
    """Paired differences, after less before, with 95% intervals over prompts."""
    found: dict[str, Any] = {}
    for noise in NOISES:
        found[noise] = {}
        for part in PARTS:
            values = [np.array(one[noise][part]) for one in (before, after)]
            test = paired_test(values[0], values[1], _groups(before[noise][part], count))
            found[noise][part] = {key: round(value, 4) for key, value in test.items()}
    return found


def arguments(description: str) -> argparse.Namespace:
    """The command-line options that all benchmarks of arms share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps arms")
    parser.add_argument("--count", type=int, default=COUNT, help="of prompts")
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def settings(arms: Arms) -> dict[str, Any]:
    """How arms were measured."""
    return {
        "prompts": len(arms.sources), "unseen": UNSEEN, "iterations": ITERATIONS,
        "through": THROUGH, "steps": STEPS,
    }  # fmt: skip


def _groups(values: Sequence[float], count: int) -> list[int]:
    """The prompt of each picture."""
    return [place % count for place in range(len(values))]
