"""Why an addition was offered: its kind, how common it is, and how well it fits the prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptlift.improving.improver import Improver
from promptlift.improving.likelihood import log_probabilities
from promptlift.improving.model import LoadedModel
from promptlift.prompts.lexicon.terms import find_terms, phrases
from promptlift.prompts.reading import read
from promptlift.prompts.units import SENTENCE, UNITS
from promptlift.records import Improvement

# Other prompts: an addition's likelihood after the user's prompt is compared with these.
OTHERS = ("a woman", "a house", "a landscape", "a dog")
_NAMES = {
    "filler": "praise", "other": "", "name": "a name", "detail": "a detail",
    "mood": "a mood", "setting": "a setting", "camera": "the camera", "light": "light",
    "medium": "a medium", "style": "a style", "painter": "a painter", "colour": "colour",
}  # fmt: skip
_MANY = 1000  # a larger lift says no more
_SHORT = 30  # characters of a prompt that reasons repeat
_CLEAR = 1.5  # a lift below this, and above its inverse, says nothing


@dataclass(frozen=True)
class Reason:
    """Why an addition was offered.

    Attributes:
        kind: as in `lexicon.terms`; None where the lexicon does not know it.
        count: number of prompts of the lexicon's collection that have it as a clause.
        lift: its likelihood after this prompt over its mean likelihood after others, with the
            same additions before it; None where the model was not asked.
        asked: whether the options asked for it.
        subject: what the prompt is called: itself where it is short.
    """

    kind: str | None
    count: int
    lift: float | None
    asked: bool
    subject: str = "your words"

    @property
    def text(self) -> str:
        """The reason in plain words, then the figures in brackets."""
        said = [_NAMES.get(self.kind, self.kind)] if self.kind else []
        figures = []
        if self.asked:
            said.append("you asked for it")
        if self.lift is not None:
            if self.lift >= _CLEAR:
                said.append(f"suits {self.subject}")
                figures.append(f"{_times(self.lift)} times as likely as after other prompts")
            elif self.lift > 1 / _CLEAR:
                said.append("suits anything")
                figures.append("as likely after other prompts")
            else:
                said.append("unusual here")
                figures.append("likelier after other prompts")
        if self.count:
            figures.append(f"in {self.count:,} prompts of the collection")
        words = ", ".join(part for part in said if part)
        return f"{words} ({'; '.join(figures)})".strip() if figures else words


def reasons(improver: Improver, improvement: Improvement) -> list[Reason]:
    """The reason of each addition of an improvement, in their order.

    The likelihood is the model's own, before the options' rules; computing it takes as long as a
    few results. In mode `rewrite` additions are clauses of the whole text, so they have no lift.
    """
    additions, extends = improvement.additions, improvement.mode == "extend"
    form = "paragraph" if improvement.settings.get("form") == "paragraph" else "tags"
    learned = "extend" in improver.card.modes and form in improver.card.forms
    is_here = isinstance(improver.model, LoadedModel)  # a server gives no probabilities
    weighed = extends and learned and is_here and bool(additions)
    lifts = _lifts(improver, improvement, form) if weighed else [None] * len(additions)
    asked = _asked_for(improvement)
    own = improvement.source.strip()
    subject = f"“{own}”" if len(own) <= _SHORT else "your words"
    found = []
    for phrase, lift in zip(additions, lifts, strict=True):
        known = phrases().get(phrase.lower())
        terms = find_terms(phrase)
        found.append(
            Reason(
                kind=known.kind if known else terms[0].kind if terms else None,
                count=known.count if known else 0,
                lift=lift,
                asked=any(wanted in phrase.lower() for wanted in asked),
                subject=subject,
            )
        )
    return found


def _asked_for(improvement: Improvement) -> list[str]:
    include, style = (improvement.settings.get(name) for name in ("include", "style"))
    wanted = [*(include if isinstance(include, list | tuple) else []), style]
    return [text.lower() for text in wanted if isinstance(text, str) and text]


def _lifts(improver: Improver, improvement: Improvement, form: str) -> Sequence[float]:
    """Likelihood of each addition after the prompt, over its mean after `OTHERS`."""
    words = read(improvement.source).words or improvement.source
    unit = UNITS[form]
    added = unit.between.join(improvement.additions)
    # As the model writes them: a paragraph begins with what joins it to the prompt.
    target = unit.append(words, [added])[len(words) :] if unit is SENTENCE else added
    sources = [words, *OTHERS]
    targets = [target] * len(sources)
    rows = log_probabilities(improver.here, sources, targets, mode="extend", form=form)
    offsets = improver.here.codec.tokenizer.encode(target, add_special_tokens=False).offsets
    logs = np.array(rows)  # [sources, tokens]
    result, start = [], len(target) - len(added)
    for phrase in improvement.additions:
        end = start + len(phrase)
        # A token begins with the blank before it; the last one is the end.
        inside = [*(start - 1 <= first < last <= end for first, last in offsets), False]
        start = end + len(unit.between)
        own, *others = logs[:, inside].sum(axis=1)
        log_mean = np.logaddexp.reduce(others) - np.log(len(others))
        result.append(float(np.exp(own - log_mean)))
    return result


def _times(lift: float) -> str:
    if lift > _MANY:
        return f"over {_MANY:,}"
    return f"{lift:.0f}" if lift >= 9.5 else f"{lift:.1f}".removesuffix(".0")
