"""Training pairs from detailed prompts: several cuts to extend, a plain form to rewrite."""

import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from promptlift.errors import InputError
from promptlift.files import check_overwrites
from promptlift.pairs.clean import cap_phrases, clean_target
from promptlift.pairs.config import BuildConfig, ParaphraseConfig
from promptlift.pairs.faults import Faults
from promptlift.pairs.load import fit_prompts, load_prompts, write_pairs
from promptlift.pairs.near import groups
from promptlift.pairs.paraphrase import paraphrase
from promptlift.pairs.plain import plain_head, without_manner
from promptlift.prompts.clauses import cut_prompt, split_clauses
from promptlift.records import Pair
from promptlift.tables import check_output_ending

MAX_SOURCE_WORDS = 40
MAX_CUT = 8  # clauses after the head; later cuts teach only endings


@dataclass(frozen=True, kw_only=True)
class Built:
    """What came of files of prompts.

    Attributes:
        prompts: how many there were.
        fruitless: how many of them gave no pair.
        pairs: how many there are, by mode.
        faults: rows that hold no prompt.
    """

    prompts: int
    fruitless: int
    pairs: dict[str, int]
    faults: Faults


def build_file(
    files: Sequence[Path],
    output: Path,
    config: BuildConfig,
    *,
    column: str | None = None,
    exclude_source: Collection[str] = (),
    asking: ParaphraseConfig | None = None,
    report: Callable[[str], None],
) -> Built:
    """Write the pairs of prompts; with `asking` also those of paraphrases that an endpoint makes.

    The endpoint's answers are kept beside the output, in OUTPUT.answers.jsonl.

    Args:
        files: of detailed prompts.
        output: file of pairs.
        config: which pairs are made.
        column, exclude_source: see `load_prompts`.
        asking: whom to ask for paraphrases.
        report: takes lines of progress, and the faulty rows.

    Raises:
        InputError: there are no pairs; nothing is written.
    """
    check_output_ending(output)
    check_overwrites([output], files)
    faults = Faults(report)
    texts: list[str] = []
    for path in files:
        rows = load_prompts(path, column=column, exclude_source=exclude_source, report=report)
        fit = rows if config.keep_unfit else fit_prompts(rows)
        texts += (str(row.value) for row in faults.sound(path, fit))
    count = len(texts)
    if config.drop_near:
        texts = [texts[place] for place in sorted(set(groups(texts)))]
        report(f"{len(texts)} prompts after dropping near-duplicates")
    by_prompt = list(build_pairs(texts, config))
    pairs = list(chain.from_iterable(by_prompt))
    if asking:
        journal = output.with_name(output.name + ".answers.jsonl")
        pairs += _paraphrased(texts, asking, journal, config.keep, report)
    if config.max_share < 1:
        pairs = cap_phrases(pairs, config.max_share, seed=config.seed)
    if not pairs:
        raise InputError(f"{count} prompts gave no pairs; nothing was written")
    write_pairs(output, pairs)
    return Built(
        prompts=count,
        fruitless=by_prompt.count([]),
        pairs=Counter(pair.mode for pair in pairs),
        faults=faults,
    )


def build_pairs(prompts: Iterable[str], config: BuildConfig) -> Iterator[list[Pair]]:
    """The pairs of each detailed prompt.

    Extending: the head and what follows it; then longer parts of the prompt, cut at random,
    and what follows those. Rewriting: each plain form and the whole prompt. Prompts without a rest
    to learn give nothing.
    """
    generator = random.Random(config.seed)
    for prompt in prompts:
        yield list(_pairs_of(prompt, config, generator))


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


def _paraphrased(
    prompts: Iterable[str],
    config: ParaphraseConfig,
    journal: Path,
    keep: str,
    report: Callable[[str], None],
) -> Iterator[Pair]:
    """Pairs to rewrite, from a paraphrase that an endpoint made to the prompt it was made of.

    A prompt is asked for only if its head may be taught; the target is the head with what
    `clean_target` keeps of the rest.
    """
    targets = {
        prompt: f"{pair.source}, {rest}"
        for prompt in prompts
        if (pair := cut_prompt(prompt))
        and _teachable(pair.source, keep)
        and (rest := clean_target(pair.target, pair.source, keep))
    }
    wanted = (prompt for prompt in prompts if prompt in targets)
    with closing(paraphrase(wanted, config, journal=journal, report=report)) as answers:
        for result in answers:
            if result.answer is not None and result.state == "accepted":
                yield Pair(source=result.answer, target=targets[result.prompt], mode="rewrite")


def _teachable(head: str, keep: str) -> bool:
    """Whether a head may stand in a target: it is a subject, so no phrase list could hold it."""
    return keep == "all" or clean_target(head, keep="words") == head
