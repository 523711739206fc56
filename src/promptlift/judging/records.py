"""What a study is made of: pairs of pictures, raters, where each stands, and votes."""

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


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two pictures of one prompt from one seed.

    Attributes:
        id: number; 0 until it is stored.
        prompt: the original prompt, which is shown above them.
        prompt_index: of the prompt.
        seed: of the noise.
        systems: names of what drew them, as "original" and "improved".
        files: theirs, absolute or relative to the folder of the store's run.
        sha256: of the files.
    """

    id: int = 0
    prompt: str
    prompt_index: int
    seed: int
    systems: tuple[str, str]
    files: tuple[str, str]
    sha256: tuple[str, str]


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
    """Where a rater stands.

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
