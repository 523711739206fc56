"""Votes for tests, written short or drawn by Hypothesis."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from promptlift.judging.records import Vote
from promptlift.pictures import IMPROVED, ORIGINAL

SWAPPED = {"left": "right", "right": "left"}
WINNERS = {"w": "left", "l": "right", "t": "tie", "b": "both_bad", "s": "skip"}


def vote(
    answer: str = "left",
    *,
    rater: str = "ann",
    prompt: int = 0,
    left: str = IMPROVED,
    right: str = ORIGINAL,
    purpose: str = "judge",
    kind: str = "person",
    question: str = "picture",
) -> Vote:
    return Vote(
        rater=rater,
        pair=f"pair-{prompt}",
        prompt_index=prompt,
        question=question,
        left=left,
        right=right,
        answer=answer,
        seconds=4.0,
        kind=kind,
        purpose=purpose,
    )


def votes_of(letters: str, *, rater: str = "ann") -> list[Vote]:
    """A vote on each prompt from 0: w(in), l(oss), t(ie), b(oth bad), s(kip) of "improved"."""
    return [
        vote(WINNERS[letter], rater=rater, prompt=number) for number, letter in enumerate(letters)
    ]


def swapped(votes: Sequence[Vote], rows: Sequence[bool] | None = None) -> list[Vote]:
    """The same preferences with the sides changed, of all votes or of the rows that are true."""
    chosen = rows if rows is not None else [True] * len(votes)
    return [
        replace(
            vote, left=vote.right, right=vote.left, answer=SWAPPED.get(vote.answer, vote.answer)
        )
        if swap
        else vote
        for vote, swap in zip(votes, chosen, strict=True)
    ]


def relabelled(votes: Sequence[Vote]) -> list[Vote]:
    """The same answers with "original" and "improved" changed for each other."""
    other = {IMPROVED: ORIGINAL, ORIGINAL: IMPROVED}
    return [replace(vote, left=other[vote.left], right=other[vote.right]) for vote in votes]


@st.composite
def some_votes(draw: st.DrawFn, *, least: int = 0) -> list[Vote]:
    """Votes of up to four raters on up to eight prompts, on sides at random."""
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from("abcd"), st.integers(0, 7)),
            unique=True,
            min_size=least,
            max_size=24,
        )
    )
    answers = st.sampled_from(["left", "right", "tie", "both_bad", "skip"][: 4 if least else 5])
    votes = [vote(draw(answers), rater=rater, prompt=prompt) for rater, prompt in keys]
    return swapped(votes, [draw(st.booleans()) for _ in votes])
