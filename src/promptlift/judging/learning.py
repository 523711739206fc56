"""A preference that votes teach: a number for a picture, higher where people prefer it.

Bradley and Terry's model, "Rank analysis of incomplete block designs", 1952, with strengths that
are linear in `learned_preference.features_of`: the log-odds that one picture is preferred to
another are the difference of their numbers. The weights are kept small by a penalty that is chosen
on votes on other prompts.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError
from promptlift.files import atomic_path
from promptlift.judging.collecting.study import Study
from promptlift.judging.records import PERSON
from promptlift.judging.statistics.selecting import counted
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture, read_index
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.learned_preference import KEY, WEIGHTS, features_of
from promptlift.statistics import mean_interval, scipy_part

FOLDS = 5
PENALTIES = tuple(10.0**power for power in range(-6, 1))  # times half the squared weights
_LEAST_PROMPTS = 2 * FOLDS
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Decided votes.

    Attributes:
        differences: feature of the preferred picture less that of the other, [votes, width].
        prompts: a number for the prompt of each vote, [votes].
        kind: whose votes, "person" or "simulated".
        question: what was asked.
        ties: votes that preferred neither, which teach nothing.
    """

    differences: Array
    prompts: Sequence[int]
    kind: str
    question: str
    ties: int


@dataclass(frozen=True, kw_only=True)
class LearnedHead:
    """What was learned, and how well it tells votes on prompts that it did not learn from.

    Attributes:
        weights: of `learned_preference.features_of`, [width + 4].
        penalty: of `PENALTIES`.
        accuracy: share of the votes whose preferred picture has the higher number, and its 95%
            interval over prompts, each fold judged by what the others taught.
        votes, prompts, ties: how many.
        kind, question: of the votes.
    """

    weights: Array
    penalty: float
    accuracy: tuple[float, float, float]
    votes: int
    prompts: int
    ties: int
    kind: str
    question: str


def comparisons_of(
    studies: Sequence[Study],
    encoder: ClipEncoder,
    reader: PictureReader,
    *,
    question: str | None = None,
    kind: str = PERSON,
) -> Comparisons:
    """The decided votes of studies, with the features of their pictures.

    Raises:
        InputError: nobody of this kind voted, or a picture is missing or damaged.
    """
    rows: list[tuple[Picture, Picture]] = []
    prompts: list[int] = []
    numbers: dict[str, int] = {}  # by prompt: the same may be in several runs
    ties, asked = 0, question or studies[0].questions[-1]
    for study in studies:
        pairs = {str(pair.id): pair for pair in study.store.pairs()}
        folders = {(study.folder / file).parent for pair in pairs.values() for file in pair.files}
        pictures = {one.path: one for folder in sorted(folders) for one in read_index(folder)}
        for vote in counted(study.store.votes(), question=asked, kind=kind):
            if vote.winner is None:
                ties += 1
                continue
            pair = pairs[vote.pair]
            try:
                first, second = (pictures[study.folder / file] for file in pair.files)
            except KeyError as error:
                raise InputError(f"{error.args[0]} was judged and is no longer listed") from error
            rows.append((first, second) if vote.winner == pair.systems[0] else (second, first))
            prompts.append(numbers.setdefault(pair.prompt, len(numbers)))
    if not rows:
        raise InputError(f"{studies[0].folder} has no decided votes of a {kind} on {asked!r}")
    shown = list({picture.path: picture for row in rows for picture in row}.values())
    found = features_of(encoder, reader, [one.source for one in shown], shown)
    features = dict(zip((one.path for one in shown), found, strict=True))
    differences = np.array([features[one.path] - features[other.path] for one, other in rows])
    return Comparisons(
        differences=differences, prompts=prompts, kind=kind, question=asked,
        ties=ties,
    )  # fmt: skip


def learn_head(given: Comparisons) -> LearnedHead:
    """Learn from votes; the same votes give the same head.

    Raises:
        InputError: the votes are on too few prompts to say how good the head is.
        MissingExtraError: SciPy is not installed.
    """
    prompts = np.asarray(given.prompts)
    count = len(set(given.prompts))
    if count < _LEAST_PROMPTS:
        raise InputError(
            f"votes on {count} prompts are too few to learn from; {_LEAST_PROMPTS} are the least, "
            "and hundreds teach something"
        )
    fold_of = np.random.default_rng(0).permutation(count)[prompts] % FOLDS
    margins = np.empty(len(prompts))
    for fold in range(FOLDS):  # the penalty too is chosen without the votes that judge it
        held = fold_of == fold
        learned = given.differences[~held]
        weights = _fit(learned, _best_penalty(learned, fold_of[~held]))
        margins[held] = given.differences[held] @ weights
    penalty = _best_penalty(given.differences, fold_of)
    return LearnedHead(
        weights=_fit(given.differences, penalty),
        penalty=penalty,
        accuracy=mean_interval(np.where(margins == 0, 0.5, margins > 0), given.prompts),
        votes=len(prompts),
        prompts=count,
        ties=given.ties,
        kind=given.kind,
        question=given.question,
    )


def save_head(head: LearnedHead, path: Path, clip: str, model_id: str) -> None:
    """Write a head as `--aesthetic` reads it: its weights, and in the metadata what it is.

    Args:
        head: the head.
        path: a .safetensors file.
        clip: the CLIP as it is named to load it.
        model_id: `NAME@HASH` of its weights; another CLIP is refused.
    """
    from safetensors.numpy import save_file

    about = {name: value for name, value in asdict(head).items() if name != "weights"}
    about |= {"clip": clip, "clip_model": model_id}
    tensors = {WEIGHTS: head.weights[None].astype(np.float32)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={KEY: json.dumps(about)})


def _best_penalty(differences: Array, fold_of: npt.NDArray[np.int64]) -> float:
    """The penalty whose weights give votes of left out folds the least loss."""
    losses = []
    for penalty in PENALTIES:
        loss = 0.0
        for fold in np.unique(fold_of):
            held = fold_of == fold
            margins = differences[held] @ _fit(differences[~held], penalty)
            loss += float(np.logaddexp(0.0, -margins).sum())
        losses.append(loss)
    return PENALTIES[int(np.argmin(losses))]


def _fit(differences: Array, penalty: float) -> Array:
    """Weights of the least penalised loss, by L-BFGS; the problem is convex."""
    optimize: Any = scipy_part("optimize", "Learning from votes", "score")

    def loss(weights: Array) -> tuple[float, Array]:
        margins = differences @ weights
        wrong = np.exp(-np.logaddexp(0.0, margins))  # the probability of the other answer
        slope = -(differences.T @ wrong) / len(differences) + penalty * weights
        value = np.logaddexp(0.0, -margins).mean() + penalty / 2 * weights @ weights
        return float(value), slope

    start = np.zeros(differences.shape[1])
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    return np.asarray(found.x, np.float64)
