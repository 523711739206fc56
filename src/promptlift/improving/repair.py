"""Repairing a rewriting: unsound clauses or sentences go, and what it lost is put back."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from promptlift.improving.config import ControlConfig
from promptlift.improving.selection import Selection, fit, select
from promptlift.prompts.clip_tokens import count_clip_tokens
from promptlift.prompts.intent import Intent, Want
from promptlift.prompts.reading import Reading
from promptlift.prompts.units import SENTENCE, Unit, capitalized
from promptlift.records import Dropped

ATTEMPTS = 3  # rewritings that are drawn before a prompt is extended instead
# A rewriting that lost more than this share has another subject and is not repaired.
_MOST_LOST = 0.5


def rewriting(
    text: str, ended: bool, reading: Reading, control: ControlConfig
) -> tuple[str, Selection]:
    """The sound clauses or sentences of a text, joined and cut to the token limit, and the dropped.

    At least the first clause stays; if none is sound, the result is the prompt. Without guards
    the text stays as the model wrote it, less clauses that the options ban.
    """
    asked = (
        control
        if control.guards
        else replace(control, keep_intent=False, coherent=False, max_prompt_tokens=None)
    )
    between = control.unit.between
    chosen = select(control.unit.split(text), reading, asked, ended=ended, said="")
    if not control.guards and not chosen.dropped:
        return text, chosen
    limit = asked.max_tokens
    while limit and len(chosen.kept) > 1 and count_clip_tokens(between.join(chosen.kept)) > limit:
        chosen.dropped.append(Dropped(chosen.kept.pop(), "budget"))
    return between.join(chosen.kept) or reading.words, chosen


def repair(
    text: str, lost: Sequence[Want], reading: Reading, control: ControlConfig
) -> tuple[str, str] | None:
    """The words of the prompt, then what a rewriting says beside them.

    Args:
        text: the sound clauses or sentences of the rewriting.
        lost: what the prompt asks for and the rewriting does not say.
        reading: the prompt.
        control: constraints on additions.

    Returns:
        The text and a note of what was put back; None if too much is lost, or if nothing of the
        rewriting is left.
    """
    if len(lost) > _MOST_LOST * len(reading.intent.wants):
        return None
    rest = others(control.unit.split(text), reading, control.unit)
    kept = fit(Selection(rest), reading, control.max_tokens).kept
    if not kept:
        return None
    note = f"put back: {', '.join(want.text for want in lost)}"
    return reading.extended(kept, control.unit), note


def others(units: Iterable[str], reading: Reading, unit: Unit) -> list[str]:
    """The clauses that share no word with the prompt; all sentences, which speak of its things."""
    if unit is SENTENCE:
        return [capitalized(sentence) for sentence in units]
    own = reading.intent.text.stem_set
    return [clause for clause in units if not own & Intent(clause).text.stem_set]
