"""A small model of what raters prefer in improved prompts, to put variants in order.

A Bradley-Terry model on texts: the log odds that one text is preferred to another of the same
prompt are the difference of their scores, and a score is linear in the added words and their
number. The weights are those of a logistic regression with a ridge penalty.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.files import write_json
from promptlift.judging.preferences import Preference
from promptlift.judging.statistics.binomial import sign_test, wilson
from promptlift.scoring.text.words import words_of

# With 54 votes a preference of 70% is found in 8 of 10 studies (`planning.votes_for_power`).
MIN_PROMPTS = 54
SCHEMA_VERSION = 1
_WORDS = 100  # at most, the most frequent
_SEEN = 3  # prompts that a word must be added to
_RIDGE = 3.0  # standard deviation of a weight about 0.6, before any vote is seen
_FOLDS = 5
_SHUFFLES = 100
_ALPHA = 0.05
_LENGTH = "number of added words, in tens"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reranker:
    """Weights of added words.

    Attributes:
        weights: by word, and of `number of added words, in tens`; in log odds.
    """

    weights: dict[str, float]

    def score(self, source: str, prompt: str) -> float:
        """How much a prompt is preferred to its source, in log odds; higher is better."""
        added = _added(source, prompt)
        return sum(self.weights.get(name, 0.0) * value for name, value in added.items())

    @classmethod
    def fit(cls, preferences: Sequence[Preference]) -> "Reranker":
        """Learn from preferences, each counting once."""
        names, rows = _design(preferences)
        return cls(dict(zip(names, fit_ridge_logistic(rows, _RIDGE).tolist(), strict=True)))


def fit_ridge_logistic(rows: Array, ridge: float) -> Array:
    """Weights [k] that minimize sum(log(1 + exp(-rows @ w))) + ridge / 2 * |w|^2, by Newton.

    Args:
        rows: differences of features, preferred minus other, [n, k].
        ridge: above 0.
    """
    weights = np.zeros(rows.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(np.clip(rows @ weights, -30, 30)))  # of being wrong
        slope = rows.T @ chance - ridge * weights
        curve = (rows.T * (chance * (1 - chance))) @ rows + ridge * np.eye(len(weights))
        step = np.linalg.solve(curve, slope)
        weights += step
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    return weights


def held_out(preferences: Sequence[Preference], *, seed: int = 0) -> dict[str, Any]:
    """How often the model finds the preferred text of prompts that it did not learn from.

    Prompts are dealt to five parts; each part is judged by a model of the other four. `p` is of a
    permutation test: how often votes that are turned around at random, by prompt, are found at
    least as well.

    Args:
        preferences: at least two prompts.
        seed: of parts and permutations.

    Returns:
        `n` preferences, `prompts`, `accuracy` with `low` and `high` (Wilson's 95%), `p`,
        `longer`: how often the longer text is the preferred one, and `p_longer`: of an exact sign
        test between the model and that rule, on the preferences that one of them alone finds.
    """
    rng = np.random.default_rng(seed)
    prompts = np.array([row.prompt_index for row in preferences])
    unique, place = np.unique(prompts, return_inverse=True)
    parts = rng.permutation(np.arange(len(unique)) % _FOLDS)[place]
    rows = _design(preferences)[1]
    found = _right(rows, parts)
    turned = rng.choice([-1.0, 1.0], (_SHUFFLES, len(unique)))[:, place]
    by_chance = [_right(rows * signs[:, None], parts).mean() for signs in turned]
    low, high = wilson(float(found.sum()), len(found))
    longer = np.array(
        [0.5 + 0.5 * np.sign(len(row.chosen) - len(row.rejected)) for row in preferences]
    )
    return {
        "n": len(preferences),
        "prompts": len(unique),
        "accuracy": float(found.mean()),
        "low": low,
        "high": high,
        "p": (1 + sum(one >= found.mean() for one in by_chance)) / (1 + _SHUFFLES),
        "longer": float(longer.mean()),
        "p_longer": sign_test(int((found > longer).sum()), int((found < longer).sum())),
    }


def orders_variants(measured: Mapping[str, Any]) -> bool:
    """Whether a model is worth using: better than votes turned around, and than length alone.

    Where improved prompts win, the longer text wins, which says nothing of variants.

    Args:
        measured: what `held_out` returned.
    """
    return bool(
        measured["p"] <= _ALPHA
        and measured["accuracy"] > measured["longer"]
        and measured["p_longer"] <= _ALPHA
    )


def save_reranker(
    reranker: Reranker, path: Path, measured: dict[str, Any], *, kind: str, question: str
) -> None:
    """Write weights, and what they are worth."""
    write_json(
        path,
        {
            "schema_version": SCHEMA_VERSION,
            "kind": kind,
            "question": question,
            "held_out": measured,
            "weights": reranker.weights,
        },
    )


def _right(rows: Array, parts: npt.NDArray[np.int64]) -> Array:
    """1 where a preference is found by a model of the other parts, 0.5 where it is undecided."""
    found = np.zeros(len(rows))
    for part in np.unique(parts):
        weights = fit_ridge_logistic(rows[parts != part], _RIDGE)
        found[parts == part] = 0.5 + 0.5 * np.sign((rows[parts == part] @ weights).round(12))
    return found


def _design(preferences: Sequence[Preference]) -> tuple[list[str], Array]:
    """Names of features, and of each preference their difference, chosen less rejected."""
    added = [
        (_added(row.prompt, row.chosen), _added(row.prompt, row.rejected)) for row in preferences
    ]
    seen: Counter[str] = Counter()
    for two in added:
        seen.update(two[0].keys() ^ two[1].keys())
    words = [word for word, count in seen.most_common() if count >= _SEEN and word != _LENGTH]
    names = [_LENGTH, *words[:_WORDS]]
    rows = [
        [chosen.get(name, 0.0) - rejected.get(name, 0.0) for name in names]
        for chosen, rejected in added
    ]
    return names, np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def _added(source: str, prompt: str) -> dict[str, float]:
    """Words that a prompt has and its source lacks, 1 each, and their number in tens."""
    words = set(words_of(prompt)) - set(words_of(source))
    return {**dict.fromkeys(words, 1.0), _LENGTH: len(words) / 10}
