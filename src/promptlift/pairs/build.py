"""Training pairs from detailed prompts: several cuts to extend, a plain form to rewrite."""

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from promptlift.pairs.clean import clean_target
from promptlift.pairs.near import groups
from promptlift.pairs.paraphrase import ParaphraseConfig, paraphrase
from promptlift.pairs.plain import plain_head, without_manner
from promptlift.prompts.clauses import cut_prompt, split_clauses
from promptlift.records import Pair

MAX_SOURCE_WORDS = 40
MAX_CUT = 8  # clauses after the head; later cuts teach only endings

FORMS = ("head", "bare")


def build_pairs(
    prompts: Iterable[str],
    *,
    keep: str = "offers",
    cuts: int = 2,
    seed: int = 0,
    forms: Collection[str] = ("head",),
) -> Iterator[Pair]:
    """Pairs from detailed prompts, in the order of the prompts.

    Extending: the head and what follows it; then longer parts of the prompt, cut at random,
    and what follows those. Rewriting: each plain form and the whole prompt.

    Args:
        prompts: detailed prompts; those without a rest to learn give nothing.
        keep: what the targets keep of their clauses, see `clean_target`.
        cuts: number of random cuts of a prompt beside the one after its head.
        seed: of the random cuts.
        forms: plain forms to rewrite: "head", the first clause without its medium, and "bare", the
            whole prompt without clauses of manner, see `without_manner`.
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
            if "head" in forms:
                yield Pair(source=plain_head(head), target=f"{head}, {rest}", mode="rewrite")
            if "bare" in forms and (bare := _bare_pair(prompt, head, rest, keep)):
                yield bare


def _bare_pair(prompt: str, head: str, rest: str, keep: str) -> Pair | None:
    """From the prompt without manner to its things and what may be taught of its manner."""
    source = without_manner(prompt)
    # With the form of the head alone it would be the same pair again.
    if source == plain_head(head) or not _teachable(source, keep):
        return None
    wanted = {*split_clauses(source), *split_clauses(rest)}
    clauses = [clause for clause in split_clauses(prompt)[1:] if clause.rstrip(" .") in wanted]
    return Pair(
        source=source, target=", ".join([split_clauses(prompt)[0], *clauses]), mode="rewrite"
    )


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
