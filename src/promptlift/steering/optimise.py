"""An embedding that draws a higher score, found by the gradient of a metric.

After Deckers, Peters and Potthast, "Manipulating Embeddings of Stable Diffusion Prompts", IJCAI
2024: the rows of a prompt's embedding after the first, and of the empty prompt's, are moved by the
gradient of a metric of the picture that one noise gives, which passes the last steps of denoising.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from promptlift.errors import ConfigError
from promptlift.illustrating.embedding import TOKENS, Embedding, widths
from promptlift.illustrating.encoding import Encoded
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.picking.scores import load_metric
from promptlift.scoring.pictures.preference_models import GradedScorer, PictureScorer, ScorerContext
from promptlift.steering.config import OptimiseConfig
from promptlift.steering.denoising import Denoiser
from promptlift.steering.optimisers import OPTIMISERS
from promptlift.steering.state import State
from promptlift.steering.vectors import embedding_of, halves, sampler_of, with_refiner


@dataclass(frozen=True)
class Step:
    """Where an optimisation stands.

    Attributes:
        number: steps that are done; 0 for the prompt as it is.
        score: of the pictures of the optimised seeds, the mean.
        embedding: that they were drawn from.
    """

    number: int
    score: float
    embedding: Embedding


def graded_scorer(name: str, context: ScorerContext) -> GradedScorer:
    """A metric that gradients pass.

    Raises:
        ConfigError: it has none.
    """
    scorer: PictureScorer = load_metric(name, context)
    if not isinstance(scorer, GradedScorer):
        raise ConfigError(
            f"{name} has no gradient; there is: clip, pickscore, aesthetic, sharpness, contrast, "
            "or a function of yours"
        )
    return scorer


class Optimisation:
    """Steps of an optimisation, which can be stopped after each and gone on with.

    Args:
        illustrator: SDXL or Stable Diffusion with diffusers; a refiner is left out on the way.
        prompt: what is drawn, and what a metric that reads prompts is asked about.
        scorer: the metric.
        config: how.
        start: the embedding to begin with; the prompt's own where None.
        state: a file that keeps where it stands; nothing is kept where None.

    Attributes:
        seeds: of the noise that is optimised: those of the illustrator's config from the first.
        best: the step with the highest score so far, the first of equals.
        optimizer: what moves the rows; what it remembers may be changed between two steps.
    """

    def __init__(
        self,
        illustrator: Illustrator,
        prompt: str,
        scorer: GradedScorer,
        config: OptimiseConfig,
        *,
        start: Embedding | None = None,
        state: Path | None = None,
    ) -> None:
        self._illustrator, self._prompt = illustrator, prompt
        self._scorer, self._config = scorer, config
        self._denoiser = Denoiser(illustrator)
        if config.through > self._denoiser.steps:
            raise ConfigError(
                f"through is {config.through}, and there are {self._denoiser.steps} steps"
            )
        first = illustrator.config.seed
        self.seeds = range(first, first + config.noises)
        self._noise = self._denoiser.noise(self.seeds)
        self._start = start or embedding_of(illustrator, prompt)
        self._request = Request(
            prompt=prompt, embedding=self._start, negative=illustrator.config.negative
        )
        given = sampler_of(illustrator).arguments(0, [self._request])
        self._learned = _Learned(given, widths(self._start.wanted[0]), keep=config.keep_size)
        self.optimizer = OPTIMISERS[config.optimizer](self._learned.parameters, config.rate)
        self._state = State(state, self._about())
        self.best: Step | None = None
        self._best_rows: list[torch.Tensor] = []

    def __iter__(self) -> Iterator[Step]:
        """The prompt as it is, and each step; from where it stopped, if it was."""
        number = self._resumed()
        while True:
            score = self._graded()
            step = Step(number, score, self._embedding(number, score))
            if self.best is None or score > self.best.score:
                self.best, self._best_rows = step, self._learned.copied()
            yield step
            done = number >= self._config.iterations
            if done or number - self.best.number >= self._config.patience:
                return
            self.optimizer.step()
            self._learned.restore()
            number += 1
            self._keep(number)

    def _graded(self) -> float:
        """The score of the pictures as they are now, and its gradient, one picture at a time."""
        self.optimizer.zero_grad(set_to_none=True)
        sign, scores = -1.0 if self._config.less else 1.0, []
        for place, seed in enumerate(self.seeds):
            latents = self._denoiser.latents(
                self._learned.arguments(), self._noise[place : place + 1], [seed],
                through=self._config.through,
            )  # fmt: skip
            score = self._scorer.graded([self._prompt], self._denoiser.pictures(latents))
            (-sign * score.sum() / len(self.seeds)).backward()  # type: ignore[no-untyped-call]
            scores.append(sign * float(score.detach()))
        return float(np.mean(scores))

    def _embedding(self, number: int, score: float) -> Embedding:
        wanted, *unwanted = self._learned.embedding()
        sampler = sampler_of(self._illustrator)
        for place in range(1, len(sampler.encoders) if unwanted else 1):
            unwanted.append(sampler.unwanted(place, self._request))
        about = {
            **self._start.about, "how": "optimised", **asdict(self._config), "steps": number,
            "began": self._start.prompt, "seeds": list(self.seeds), "score": score,
            "scorer": self._scorer.model,
        }  # fmt: skip
        return Embedding(
            prompt=self._prompt, wanted=with_refiner(self._start, wanted),
            unwanted=tuple(unwanted), probe=self._start.probe, about=about,
        )  # fmt: skip

    def _keep(self, number: int) -> None:
        assert self.best is not None
        self._state.save(
            number=number, rows=self._learned.copied(), optimizer=self.optimizer.state_dict(),
            best={"number": self.best.number, "score": self.best.score},
            best_rows=self._best_rows,
        )  # fmt: skip

    def _resumed(self) -> int:
        """How many steps are done."""
        if (state := self._state.load()) is None:
            return 0
        self._learned.put(state["best_rows"])
        best, self._best_rows = state["best"], state["best_rows"]
        self.best = Step(**best, embedding=self._embedding(best["number"], best["score"]))
        self._learned.put(state["rows"])
        self.optimizer.load_state_dict(state["optimizer"])
        return int(state["number"])

    def _about(self) -> list[Any]:
        """What a state belongs to."""
        drawing = self._illustrator.settings()
        return [
            self._start.sha256, self._scorer.model, asdict(self._config), drawing, [*self.seeds]
        ]  # fmt: skip


class _Learned:
    """Rows that are learned, beside those that stay.

    The first row of each chunk stays: an encoder gives it whatever the prompt says.
    """

    def __init__(
        self, given: dict[str, torch.Tensor], widths: Sequence[int], *, keep: bool
    ) -> None:
        self._given, self._widths, self._keep = given, list(widths), keep
        self._learned: dict[str, torch.Tensor] = {}
        for name, value in given.items():
            rows = value.reshape(-1, TOKENS, value.shape[-1])[:, 1:] if value.dim() == 3 else value
            self._learned[name] = rows.detach().float().clone().requires_grad_()
        self._sizes = {name: self._size(rows) for name, rows in self._learned.items()}

    @property
    def parameters(self) -> list[torch.Tensor]:
        return list(self._learned.values())

    def arguments(self) -> dict[str, torch.Tensor]:
        """What the pipeline takes, with gradients."""
        found = {}
        for name, value in self._given.items():
            rows = self._learned[name].to(value.dtype)
            if value.dim() == 3:
                chunks = value.reshape(-1, TOKENS, value.shape[-1])
                rows = torch.cat([chunks[:, :1], rows], dim=1).reshape(value.shape)
            found[name] = rows
        return found

    def copied(self) -> list[torch.Tensor]:
        """The rows that are learned, as they are now."""
        return [rows.detach().cpu().clone() for rows in self._learned.values()]

    def put(self, rows: Sequence[torch.Tensor]) -> None:
        """Take rows that were `copied`."""
        with torch.no_grad():
            for own, kept in zip(self._learned.values(), rows, strict=True):
                own.copy_(kept)

    def restore(self) -> None:
        """Give the rows of each encoder the mean and deviation that they began with."""
        if not self._keep:
            return
        with torch.no_grad():
            for name, rows in self._learned.items():
                parts = []
                for part, (mean, deviation) in zip(self._parts(rows), self._sizes[name],
                                                   strict=True):  # fmt: skip
                    now = part.std()
                    # What began as zeros, SDXL's empty prompt, has no size to keep.
                    scale = deviation / now if deviation > 0 and now > 0 else 1.0
                    moved = (part - part.mean()) * scale + mean if deviation > 0 else part
                    parts.append(moved)
                rows.copy_(torch.cat(parts, dim=-1))

    def embedding(self) -> list[Encoded]:
        """What the base is led to, and, where it is guided, what it is led away from."""
        found = {name: value.detach().clone() for name, value in self.arguments().items()}
        names = ("", "negative_") if "negative_prompt_embeds" in found else ("",)
        return [
            Encoded(
                embeds=(rows := found[f"{sign}prompt_embeds"]).reshape(-1, TOKENS, rows.shape[-1]),
                pooled=found.get(f"{sign}pooled_prompt_embeds"),
            )
            for sign in names
        ]

    def _parts(self, rows: torch.Tensor) -> Sequence[torch.Tensor]:
        """The rows of each encoder; a pooled one is of the last."""
        return halves(rows, self._widths) if rows.dim() == 3 else [rows]

    def _size(self, rows: torch.Tensor) -> list[tuple[float, float]]:
        return [(float(part.mean()), float(part.std())) for part in self._parts(rows.detach())]


def optimise(
    illustrator: Illustrator,
    prompt: str,
    scorer: GradedScorer,
    config: OptimiseConfig,
    *,
    start: Embedding | None = None,
    state: Path | None = None,
    on_step: Callable[[Step], Any] = lambda step: None,
) -> Step:
    """The step with the highest score, the first of equals.

    Args:
        illustrator, prompt, scorer, config, start, state: as of `Optimisation`.
        on_step: called after each step.

    Raises:
        ConfigError: the picture model or the metric cannot be differentiated.
    """
    optimisation = Optimisation(illustrator, prompt, scorer, config, start=start, state=state)
    for step in optimisation:
        on_step(step)
    assert optimisation.best is not None
    return optimisation.best
