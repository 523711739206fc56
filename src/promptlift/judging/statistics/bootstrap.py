"""Bootstrap of votes that share raters and prompts."""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

DRAWS = 2000
_LEVEL = (0.025, 0.975)
_NUMBERS_AT_ONCE = 2_000_000


def crossed_totals(
    values: Array,
    raters: Sequence[str] | None,
    prompts: Sequence[int],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Array:
    """Totals over bootstrap samples of raters and of prompts, float64 [draws, columns].

    The pigeonhole bootstrap (Owen, Annals of Applied Statistics 1, 2007): raters are drawn with
    replacement, prompts are drawn with replacement, and a vote weighs the product of how often
    its rater and its prompt were drawn. So the spread holds that raters differ and that prompts
    differ. What is left, the noise of single votes, is counted up to three times: where raters
    and prompts differ little, intervals are up to 1.7 times too wide. With few raters that differ
    much they are too narrow, as any bootstrap of few is: three raters whose log odds have a
    standard deviation of 1.5 gave 77% coverage, ten with 0.6 gave 97%.

    Args:
        values: [votes, columns], what to add up.
        raters: of each vote; None, or one rater alone: only prompts are drawn.
        prompts: of each vote.
        draws: bootstrap samples. One in which no vote is left has totals of 0.
        seed: of the draws. The result depends on neither the order of the votes nor, but through
            their sorting, on the names.
    """
    rater_places, rater_count = _places(raters or [""] * len(prompts))
    prompt_places, prompt_count = _places(prompts)
    columns = values.shape[1]
    cells = np.zeros((rater_count, prompt_count, columns))
    np.add.at(cells, (rater_places, prompt_places), values)
    flat = cells.reshape(rater_count, -1)
    random = np.random.default_rng(seed)
    found = []
    for rows in _chunks(draws, rater_count + prompt_count * columns):
        of_raters = multiplicities(rater_count, rows, random)
        of_prompts = multiplicities(prompt_count, rows, random)
        by_prompt = (of_raters @ flat).reshape(rows, prompt_count, columns)
        found.append(np.einsum("dp,dpc->dc", of_prompts, by_prompt))
    return np.concatenate(found)


def multiplicities(count: int, draws: int, random: np.random.Generator) -> Array:
    """How often each of `count` was drawn in as many draws with replacement, [draws, count]."""
    if count == 1:
        return np.ones((draws, 1))
    return random.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def percentiles(values: Array) -> tuple[float, float] | None:
    """Ends of the 95% percentile interval; draws that are NaN left out, None if all are."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, _LEVEL)
    return float(low), float(high)


def shares(numerators: Array, denominators: Array) -> Array:
    """Numerators over denominators, NaN where there is nothing to divide by."""
    found = np.full(denominators.shape, np.nan)
    np.divide(numerators, denominators, out=found, where=denominators > 0)
    return found


def _places(names: Sequence[Hashable]) -> tuple[npt.NDArray[np.int64], int]:
    unique, places = np.unique(np.asarray(names), return_inverse=True)
    return places.astype(np.int64), len(unique)


def _chunks(draws: int, count: int) -> Iterator[int]:
    at_once = max(1, _NUMBERS_AT_ONCE // count)
    for start in range(0, draws, at_once):
        yield min(at_once, draws - start)
