"""A pair of pictures to be judged, and a vote on it."""

from dataclasses import dataclass

ORIGINAL, IMPROVED = "original", "improved"
ANSWERS = ("left", "right", "tie", "both_bad", "skip")
QUESTIONS = {
    "match": "Which picture matches this better?",
    "picture": "Which is the better picture?",
}
PERSON, SIMULATED = "person", "simulated"


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What a rater answered to one question about one pair.

    Attributes:
        rater: who voted, by the name of their link.
        pair: which pair, by its id.
        prompt_index: of the original prompt; pairs of one prompt depend on each other.
        question: of `QUESTIONS`.
        left, right: the systems whose pictures were shown there, "original" and "improved" or
            names of other systems.
        answer: of `ANSWERS`. "both_bad" is a tie of two bad pictures, "skip" no answer.
        seconds: time taken.
        kind: "person"; a vote that a program gave is "simulated" and never counts as a person's.
        purpose: "judge" of a pair seen first, "repeat" of one shown again swapped, "attention" of
            one whose answer is known.
    """

    rater: str
    pair: str
    prompt_index: int
    question: str
    left: str
    right: str
    answer: str
    seconds: float
    kind: str = PERSON
    purpose: str = "judge"

    @property
    def winner(self) -> str | None:
        """The preferred system; None of a tie or a skipped pair."""
        return {"left": self.left, "right": self.right}.get(self.answer)

    @property
    def is_tie(self) -> bool:
        """Whether neither was preferred, whether both were good or bad."""
        return self.answer in ("tie", "both_bad")
