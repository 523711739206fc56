"""The best of several improved prompts, by the scores of their pictures, and how sure that is.

Whoever takes the best of several by noisy scores also takes the luckiest: on average its true
gain is smaller than the one it was chosen by (the winner's curse). So a gain has to be clearer
the more variants compete, and `confirmed` measures it again on pictures from fresh seeds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlift.scoring.pictures.pair_scores import gain_of
from promptlift.scoring.pictures.verdicts import Evidence, Verdict, judge

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which prompt to use, and why.

    Attributes:
        variant: row of the variant to use; None for the original.
        best: row of the variant whose gain the evidence is of; None where none competed.
        clear: whether that gain is clear, by the rule of `verdicts.RULE`.
        reason: in a few words.
        evidence: the gain of `best` on the pictures that it was chosen by; None where none is.
    """

    variant: int | None
    best: int | None
    clear: bool
    reason: str
    evidence: Evidence | None


NOTHING = Choice(
    variant=None,
    best=None,
    clear=False,
    reason="no variant differs from the original",
    evidence=None,
)


def choose(
    original: Values,
    variants: Values,
    *,
    metric: str = "score",
    blanks: Values | None = None,
    tie: float = 1e-4,
    always: bool = False,
) -> Choice:
    """The variant with the best mean over seeds, if its gain over the original is clear.

    The rule is that of `verdicts.judge` for one metric, with the noise of this prompt alone (so
    that a choice does not depend on its neighbours in a file) and the level divided among the
    variants: with n variants that gain nothing, one looks clear in about 5% of the prompts.

    Args:
        original: scores of the original's pictures, [seeds]; higher is better.
        variants: of the variants' pictures from the same seeds, [variants, seeds]; no two of them
            the same prompt, and none the original.
        metric: name for the reason.
        blanks: [variants, seeds], as `judge` takes them: 1 where only the variant's picture is
            near-blank, -1 where only the original's is, else 0.
        tie: a gain must exceed this to be one.
        always: take the best variant whatever its gain.
    """
    if not len(variants):
        return NOTHING
    gains = gain_of(original, variants)
    verdicts = _judged(gains, metric, blanks, tie)
    order = sorted(range(len(gains)), key=lambda place: (-float(gains[place].mean()), place))
    clear = [place for place in order if verdicts[place].choice == "improved"]
    best = order[0] if always or not clear else clear[0]
    found = verdicts[best]
    is_clear = found.choice == "improved"
    return Choice(
        variant=best if is_clear or always else None,
        best=best,
        clear=is_clear,
        reason=found.reason,
        evidence=found.evidence[metric],
    )


def confirmed(original: Values, chosen: Values, *, tie: float = 1e-4) -> Evidence:
    """The gain of a variant on pictures that it was not chosen by.

    Args:
        original: scores of the original's pictures from fresh seeds, [seeds].
        chosen: of the variant's from the same seeds, [seeds].
        tie: a gain must exceed this to be one.

    Returns:
        The gain, unbiased, with its one-sided 95% bounds.
    """
    gains = {"gain": gain_of(original, chosen)}
    [verdict] = judge(gains, [0] * len(chosen), [0] * len(chosen), tie=tie)
    return verdict.evidence["gain"]


def _judged(gains: Values, metric: str, blanks: Values | None, tie: float) -> list[Verdict]:
    """A verdict for each variant."""
    count, seeds = gains.shape
    # From one seed all variants share one picture of the original, whose luck the spread between
    # variants does not show: each is then judged alone, and found to prove nothing.
    groups = [range(count)] if seeds > 1 else [range(place, place + 1) for place in range(count)]
    found: list[Verdict] = []
    for group in groups:
        rows = list(group)
        found += judge(
            {metric: gains[rows].ravel()},
            [0] * len(rows) * seeds,
            np.repeat(rows, seeds).tolist(),
            blanks=None if blanks is None else blanks[rows].ravel(),
            tie=tie,
            best_of=count,
        )
    return found
