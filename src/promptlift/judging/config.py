"""Settings of judging: the home of each default, its help and its check."""

from dataclasses import dataclass

from promptlift.judging.records import QUESTIONS
from promptlift.options import check, option


@dataclass(frozen=True, kw_only=True)
class JudgingConfig:
    """How pairs are assigned to raters, and what raters are asked."""

    raters: tuple[str, ...] = option(("me",), "Names of the raters, each with a link of their own.")
    per_pair: int = option(1, "Raters who see each pair.", least=1)
    questions: tuple[str, ...] = option(
        tuple(QUESTIONS), "match (which matches the prompt better), picture (which is better)."
    )
    sample: int | None = option(
        None, "Judge this many pairs, chosen at random; otherwise all.", least=1
    )
    repeats: float = option(
        0.1, "Share of a rater's pairs shown again with sides swapped.", least=0, most=1
    )
    attention: int = option(0, "Pairs for each rater whose answer is known.", least=0)

    def __post_init__(self) -> None:
        raters, unknown = self.raters, [name for name in self.questions if name not in QUESTIONS]
        problems = (
            (not raters or not all(raters), "raters must have names"),
            (len(set(raters)) < len(raters), f"raters has a name twice: {', '.join(raters)}"),
            (
                self.per_pair > len(raters),
                f"per_pair is {self.per_pair}, and there are {len(raters)} raters; "
                "name more, or let fewer see each pair",
            ),
            (not self.questions, "questions is empty"),
            (
                bool(unknown) or len(set(self.questions)) < len(self.questions),
                f"questions is {', '.join(self.questions)} and must be some of "
                f"{', '.join(QUESTIONS)}, each once",
            ),
        )
        check(self, *(message for wrong, message in problems if wrong))
