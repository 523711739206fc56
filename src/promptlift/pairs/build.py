"""Training pairs from detailed prompts: several cuts to extend, a plain form to rewrite."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError
from promptlift.pairs.clean import KEPT, cap_phrases, clean_target
from promptlift.pairs.load import write_pairs
from promptlift.pairs.near import groups
from promptlift.pairs.paraphrase import ParaphraseConfig, paraphrase
from promptlift.pairs.plain import plain_head, without_manner
from promptlift.prompts.clauses import cut_prompt, split_clauses
from promptlift.records import Pair

MAX_SOURCE_WORDS = 40
MAX_CUT = 8  # clauses after the head; later cuts teach only endings

FORMS = ("head", "bare")


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Which pairs are made of detailed prompts: the home of each default, help and check."""

    keep: str = _setting(
        "offers",
        "What targets keep: offers (phrases that fit a stranger's prompt), words (all but names "
        "and unknown words), all.",
    )
    cuts: int = _setting(2, "Random cuts of a prompt in addition to the one after its head.")
    seed: int = _setting(0, "Seed of the cuts.")
    forms: tuple[str, ...] = _setting(
        ("head",),
        "Plain form to rewrite: head (the first clause without its medium), bare (the prompt "
        "without style, medium, light, fillers, painters); may be repeated.",
    )
    drop_near: bool = _setting(False, "Keep one of each group of near-duplicates.")
    max_share: float = _setting(1.0, "Share of targets that may hold one and the same phrase.")

    def __post_init__(self) -> None:
        problems = []
        if self.cuts < 0:
            problems.append(f"cuts is {self.cuts} and must be 0 or more")
        if self.keep not in KEPT:
            problems.append(f"keep is {self.keep!r} and must be one of {', '.join(KEPT)}")
        if unknown := set(self.forms) - set(FORMS):
            problems.append(f"form is {unknown.pop()!r} and must be one of {', '.join(FORMS)}")
        if not 0 < self.max_share <= 1:
            problems.append(f"max_share is {self.max_share} and must be above 0 and at most 1")
        if problems:
            raise ConfigError("; ".join(problems))


@dataclass
class Built:
    """What came of a file of prompts: how many there were, gave no pair, and pairs by mode."""

    prompts: int = 0
    fruitless: int = 0
    pairs: Counter[str] = field(default_factory=Counter)


def build_file(
    prompts: Iterable[str],
    output: Path,
    config: BuildConfig,
    *,
    asking: ParaphraseConfig | None = None,
    report: Callable[[str], None],
) -> Built:
    """Write the pairs of prompts; with `asking` also those of paraphrases that an endpoint makes.

    The endpoint's answers are kept beside the output, in OUTPUT.answers.jsonl.

    Raises:
        InputError: there are no pairs; nothing is written.
    """
    built = Built()

    def read() -> Iterator[str]:
        for prompt in prompts:
            built.prompts += 1
            yield prompt

    def made() -> Iterator[Pair]:
        texts: Iterable[str] = read()
        if config.drop_near or asking:  # both need the prompts twice
            texts = list(texts)
            if config.drop_near:
                texts = keep_one_of_each(texts)
                report(f"{len(texts)} prompts after dropping near-duplicates")
        generator = random.Random(config.seed)
        for prompt in texts:
            pairs = list(_pairs_of(prompt, config, generator))
            built.fruitless += not pairs
            yield from pairs
        if asking:
            journal = output.with_name(output.name + ".answers.jsonl")
            yield from paraphrased_pairs(texts, asking, journal, keep=config.keep, report=report)

    def counted() -> Iterator[Pair]:
        pairs: Iterable[Pair] = made()
        if config.max_share < 1:
            pairs = cap_phrases(list(pairs), config.max_share, seed=config.seed)
        for pair in pairs:
            built.pairs[pair.mode] += 1
            yield pair
        if not built.pairs:
            raise InputError(f"{built.prompts} prompts gave no pairs; nothing was written")

    write_pairs(output, counted())
    return built


def build_pairs(prompts: Iterable[str], config: BuildConfig) -> Iterator[Pair]:
    """Pairs from detailed prompts, in their order.

    Extending: the head and what follows it; then longer parts of the prompt, cut at random,
    and what follows those. Rewriting: each plain form and the whole prompt. Prompts without a rest
    to learn give nothing.
    """
    generator = random.Random(config.seed)
    for prompt in prompts:
        yield from _pairs_of(prompt, config, generator)


def _pairs_of(prompt: str, config: BuildConfig, generator: random.Random) -> Iterator[Pair]:
    keep = config.keep
    pair = cut_prompt(prompt)
    if pair is None:
        return
    head, raw = pair.source, split_clauses(pair.target)
    rest = clean_target(pair.target, head, keep)
    if not rest:
        return
    yield Pair(source=head, target=rest, mode="extend")
    places = range(1, min(len(raw), MAX_CUT))
    for place in generator.sample(places, min(config.cuts, len(places))):
        # The source keeps the clauses as they were written, clean or not, as users will.
        source = ", ".join([head, *raw[:place]])
        target = clean_target(", ".join(raw[place:]), source, keep)
        if target and len(source.split()) <= MAX_SOURCE_WORDS:
            yield Pair(source=source, target=target, mode="extend")
    if _teachable(head, keep):
        if "head" in config.forms:
            yield Pair(source=plain_head(head), target=f"{head}, {rest}", mode="rewrite")
        if "bare" in config.forms and (bare := _bare_pair(prompt, head, rest, keep)):
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
) -> Iterator[Pair]:
    """Pairs to rewrite, from a paraphrase that an endpoint made to the prompt it was made of.

    A prompt is asked for only if its head may be taught; the target is the head with what
    `clean_target` keeps of the rest.
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
            if result.answer is not None and result.state == "accepted":
                target = targets[result.prompt]
                yield Pair(source=result.answer, target=target, mode="rewrite")


def _teachable(head: str, keep: str) -> bool:
    """Whether a head may stand in a target: it is a subject, so no phrase list could hold it."""
    return keep == "all" or clean_target(head, keep="words") == head
