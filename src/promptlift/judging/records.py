"""What a study is made of: pairs of pictures, raters, their tasks, and votes."""

from dataclasses import dataclass

ANSWERS = ("left", "right", "tie", "both_bad", "skip")
QUESTIONS = {
    "match": "Which picture matches this better?",
    "picture": "Which is the better picture?",
}
PERSON, SIMULATED = "person", "simulated"
JUDGE, REPEAT, ATTENTION = "judge", "repeat", "attention"
SPOILED, WHOLE = "spoiled", "whole"  # the systems of attention pairs, in this order


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
        purpose: "judge" of a pair that the rater sees for the first time, "repeat" of one shown
            again with its sides swapped, "attention" of one whose answer is known.
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
    purpose: str = JUDGE

    @property
    def winner(self) -> str | None:
        """The preferred system; None of a tie or a skipped pair."""
        return {"left": self.left, "right": self.right}.get(self.answer)

    @property
    def is_tie(self) -> bool:
        """Whether neither was preferred, whether both were good or bad."""
        return self.answer in ("tie", "both_bad")


@dataclass(frozen=True, kw_only=True)
class JudgedPair:
    """Two pictures of one prompt from one seed, which raters compare.

    Attributes:
        id: number; 0 until it is stored.
        prompt: the original prompt, which is shown above them.
        prompt_index: of the prompt.
        seed: of the noise.
        systems: names of the two systems, such as "original" and "improved".
        files: the picture of each, absolute or relative to the folder of the study's run.
        sha256: of each file.
    """

    id: int = 0
    prompt: str
    prompt_index: int
    seed: int
    systems: tuple[str, str]
    files: tuple[str, str]
    sha256: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A pair as one rater sees it.

    Attributes:
        pair: its id.
        swapped: whether the second picture of the pair stands on the left.
        purpose: "judge", "repeat" or "attention".
    """

    pair: int
    swapped: bool
    purpose: str = JUDGE


@dataclass(frozen=True, kw_only=True)
class Rater:
    """Someone who votes.

    Attributes:
        id: number.
        name: as given.
        token: secret part of their link.
        kind: "person" or "simulated".
    """

    id: int
    name: str
    token: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """How far a rater has come.

    Attributes:
        position: of the task, from 0; the number of tasks when all are done.
        question: to be answered now; None when all are done.
        total: tasks of the rater.
        can_undo: whether there is a vote to take back.
    """

    position: int
    question: str | None
    total: int
    can_undo: bool
