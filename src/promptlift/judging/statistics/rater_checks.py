"""Whether a rater repeats their answers, favours a side, and looks at the pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from promptlift.judging.records import ATTENTION, JUDGE, PERSON, REPEAT, Vote
from promptlift.judging.statistics.selecting import TIE, counted
from promptlift.statistics import Estimate, sign_test, wilson


@dataclass(frozen=True, kw_only=True)
class RaterCheck:
    """What a rater's answers say about the rater.

    Attributes:
        rater: by name.
        repeats: pairs answered both at first and again, swapped.
        alike: those answered alike both times, as systems, not sides.
        consistency: alike over repeats, with Wilson's interval.
        chance: the consistency expected of someone who gives the same answers in random order:
            the sum over answers of their share the first time times their share the second time.
            None without repeats.
        decided: pairs, seen first, where a side was preferred.
        left: those where it was the left.
        left_share: left over decided, with Wilson's interval.
        left_test: p of the exact two-sided binomial test that left and right are equally likely;
            valid where a fair coin chose the sides.
        attention: pairs with a known answer that the rater answered.
        attention_passed: those answered as known.
    """

    rater: str
    repeats: int
    alike: int
    consistency: Estimate
    chance: float | None
    decided: int
    left: int
    left_share: Estimate
    left_test: float
    attention: int
    attention_passed: int


def rater_checks(
    votes: Iterable[Vote],
    *,
    known: Mapping[str, str] | None = None,
    question: str | None = None,
    kind: str = PERSON,
) -> list[RaterCheck]:
    """A check of each rater, sorted by name, on any number of systems.

    A repeated vote carries the id of the pair that it repeats. Skips count neither as alike nor
    as passed: such pairs are left out.

    Args:
        votes: of all purposes.
        known: for each attention pair, by id, the system that must win, or "tie".
        question: None where the votes are on one question anyway.
        kind: whose votes.

    Raises:
        InputError: votes on several questions, none of which was named.
    """
    chosen = counted(votes, question=question, kind=kind, purpose=None)
    return [
        _check([vote for vote in chosen if vote.rater == rater], known or {})
        for rater in sorted({vote.rater for vote in chosen})
    ]


def _check(votes: Sequence[Vote], known: Mapping[str, str]) -> RaterCheck:
    judged = {vote.pair: vote for vote in votes if vote.purpose == JUDGE}
    again = [vote for vote in votes if vote.purpose == REPEAT and vote.pair in judged]
    before = [judged[vote.pair].winner or TIE for vote in again]
    after = [vote.winner or TIE for vote in again]
    alike = sum(a == b for a, b in zip(before, after, strict=True))
    by_chance = sum(before.count(name) * after.count(name) for name in set(before))
    decided = [vote for vote in judged.values() if not vote.is_tie]
    left = sum(vote.answer == "left" for vote in decided)
    attention = [vote for vote in votes if vote.purpose == ATTENTION and vote.pair in known]
    return RaterCheck(
        rater=votes[0].rater,
        repeats=len(again),
        alike=alike,
        consistency=_share(alike, len(again)),
        chance=by_chance / len(again) ** 2 if again else None,
        decided=len(decided),
        left=left,
        left_share=_share(left, len(decided)),
        left_test=sign_test(left, len(decided) - left),
        attention=len(attention),
        attention_passed=sum((vote.winner or TIE) == known[vote.pair] for vote in attention),
    )


def _share(count: int, n: int) -> Estimate:
    return Estimate(count / n if n else None, *wilson(count, n))
