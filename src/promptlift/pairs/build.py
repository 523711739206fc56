"""Training pairs from detailed prompts: several cuts to extend, a plain form to rewrite."""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from promptlift.pairs.clean import clean_target
from promptlift.pairs.cut import cut_prompt, split_clauses
from promptlift.pairs.near import groups
from promptlift.pairs.paraphrase import ParaphraseConfig, paraphrase
from promptlift.records import Pair

MAX_SOURCE_WORDS = 40
MAX_CUT = 8  # clauses after the head; later cuts teach only endings

_MEDIUM = (
    "painting|portrait|photo|photograph|photography|illustration|render|rendering|drawing|shot|"
    "picture|image|art|artwork|sketch|poster|still|view|close-up|closeup|scene|concept art"
)
_LEAD_IN = re.compile(rf"^(?:an? |the )?(?:[\w-]+ ){{0,5}}?(?:{_MEDIUM}) of (?=\w)", re.IGNORECASE)


def plain_form(head: str) -> str:
    """The head without the medium it begins with: "a painting of a cat" → "a cat"."""
    return _LEAD_IN.sub("", head, count=1)


def build_pairs(
    prompts: Iterable[str], *, keep: str = "offers", cuts: int = 2, seed: int = 0
) -> Iterator[Pair]:
    """Pairs from detailed prompts, at most `cuts + 2` each, in the order of the prompts.

    Extending: the head and what follows it; then longer parts of the prompt, cut at random,
    and what follows those. Rewriting: the plain form of the head and the whole prompt.

    Args:
        prompts: detailed prompts; those without a rest to learn give nothing.
        keep: what the targets keep of their clauses, see `clean_target`.
        cuts: number of random cuts of a prompt beside the one after its head.
        seed: of the random cuts.
    """
    generator = random.Random(seed)
    for prompt in prompts:
        pair = cut_prompt(prompt)
        if pair is None:
            continue
        head, raw = pair.source, split_clauses(pair.target)
        rest = clean_target(pair.target, head, keep)
        if not rest:
            continue
        yield Pair(source=head, target=rest, mode="extend")
        places = range(1, min(len(raw), MAX_CUT))
        for place in generator.sample(places, min(cuts, len(places))):
            # The source keeps the clauses as they were written, clean or not, as users will.
            source = ", ".join([head, *raw[:place]])
            target = clean_target(", ".join(raw[place:]), source, keep)
            if target and len(source.split()) <= MAX_SOURCE_WORDS:
                yield Pair(source=source, target=target, mode="extend")
        if _teachable(head, keep):
            yield Pair(source=plain_form(head), target=f"{head}, {rest}", mode="rewrite")


def keep_one_of_each(prompts: Sequence[str]) -> list[str]:
    """The prompts without those that are near-duplicates of an earlier one."""
    return [
        prompt
        for index, (prompt, label) in enumerate(zip(prompts, groups(prompts), strict=True))
        if label == index
    ]


def paraphrased_pairs(
    prompts: Iterable[str],
    config: ParaphraseConfig,
    journal: Path,
    *,
    keep: str = "offers",
    report: Callable[[str], None],
) -> Iterator[Pair | str]:
    """Pairs to rewrite, from a paraphrase that an endpoint made to the prompt it was made of.

    A prompt is asked for only if its head may be taught; the target is the head with what
    `clean_target` keeps of the rest. An answer that gave no pair comes as its state.
    """
    targets: dict[str, str] = {}

    def wanted() -> Iterator[str]:
        for prompt in prompts:
            pair = cut_prompt(prompt)
            if pair is None or not _teachable(pair.source, keep):
                continue
            if rest := clean_target(pair.target, pair.source, keep):
                targets[prompt] = f"{pair.source}, {rest}"
                yield prompt

    with closing(paraphrase(wanted(), config, journal=journal, report=report)) as answers:
        for result in answers:
            target = targets.get(result.prompt, result.prompt)
            if result.answer is None or result.state != "accepted":
                yield result.state
            else:
                yield Pair(source=result.answer, target=target, mode="rewrite")


def _teachable(head: str, keep: str) -> bool:
    """Whether a head may stand in a target: it is a subject, so no phrase list could hold it."""
    return keep == "all" or clean_target(head, keep="words") == head
