"""Which votes count for a question."""

from collections.abc import Iterable

from promptlift.errors import InputError
from promptlift.judging.records import PERSON, Vote
from promptlift.pictures import IMPROVED, ORIGINAL

TIE = "tie"


def counted(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    purpose: str | None = "judge",
) -> list[Vote]:
    """The answers to one question, in their order, skips left out.

    If a rater answered the same question about the same pair more than once, for example after
    going back, the last answer counts; if it is a skip, none does.

    Args:
        votes: of any raters, in the order in which they were given.
        question: None where the votes are on one question anyway.
        kind: whose votes; the default leaves simulated ones out.
        purpose: of the votes; None for all.

    Raises:
        InputError: the votes are on several questions and none was named.
    """
    latest: dict[tuple[str, str, str, str], Vote] = {}
    for vote in votes:
        if vote.kind != kind or purpose not in (None, vote.purpose):
            continue
        if question in (None, vote.question):
            key = (vote.rater, vote.pair, vote.question, vote.purpose)
            latest.pop(key, None)
            latest[key] = vote
    questions = sorted({vote.question for vote in latest.values()})
    if len(questions) > 1:
        names = ", ".join(f"`{name}`" for name in questions)
        raise InputError(f"The votes are on several questions: {names}. Name the one to count.")
    return [vote for vote in latest.values() if vote.answer != "skip"]


def outcomes(
    votes: Iterable[Vote], *, question: str | None, kind: str, system: str
) -> list[tuple[Vote, str]]:
    """The votes that count (see `counted`), each with its `outcome`."""
    chosen = counted(votes, question=question, kind=kind)
    return [(vote, outcome(vote, system=system)) for vote in chosen]


def outcome(vote: Vote, *, system: str = IMPROVED) -> str:
    """`system` or `ORIGINAL`, whichever was preferred, on whichever side; or `TIE`.

    Raises:
        InputError: the vote is on other systems, or was skipped.
    """
    if {vote.left, vote.right} != {system, ORIGINAL}:
        raise InputError(
            f"Pair `{vote.pair}` shows `{vote.left}` and `{vote.right}`, "
            f"not `{system}` and `{ORIGINAL}`. Choose the votes on two systems first."
        )
    if vote.is_tie:
        return TIE
    if vote.winner is None:
        raise InputError(f"Pair `{vote.pair}` has no answer of `{vote.rater}`: `{vote.answer}`.")
    return vote.winner
