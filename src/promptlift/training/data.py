"""Which pairs a run learns, and which it is measured on."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from promptlift.errors import ConfigError, InputError
from promptlift.files import sha256_of_file
from promptlift.pairs.datasets import find_files
from promptlift.pairs.load import collect_pairs
from promptlift.pairs.split import related
from promptlift.prompts.clauses import cut_prompt
from promptlift.records import Pair
from promptlift.training.config import PAPER_DATA, TrainingConfig

FEWEST = 20  # pairs that a training takes


@dataclass(frozen=True)
class Sides:
    """Pairs of a run.

    Attributes:
        learned: all pairs that were given to learn, and cuts of them.
        given: pairs that were given for validation; None where they are set apart.
    """

    learned: list[Pair]
    given: list[Pair] | None

    def hashes(self) -> dict[str, str]:
        """Of the pairs themselves: the same files with other columns are other pairs."""
        found = {"pairs": _hash_of(self.learned)}
        if self.given is not None:
            found["validation"] = _hash_of(self.given)
        return found

    def split(self, config: TrainingConfig) -> tuple[list[Pair], list[Pair]]:
        """Pairs for validation, and those that are learned."""
        if self.given is not None:
            return self.given, self.learned
        count = min(config.validation_pairs, len(self.learned) // 10)
        return set_apart(self.learned, count, config.seed)


def sides_of(
    pairs: Iterable[Pair],
    validation: Sequence[Pair] | None,
    config: TrainingConfig,
    report: Callable[[str], None],
) -> Sides:
    """The pairs of a run, by the tasks that it learns.

    Raises:
        InputError: there are too few.
    """
    learned = _for_tasks(pairs, config, report)
    if len(learned) < FEWEST:
        raise InputError(f"{len(learned)} pairs are too few to train on; give at least {FEWEST}.")
    if validation is None:
        return Sides(learned, None)
    given = _for_tasks(validation, config, report)
    if not given:
        raise InputError("there are no pairs for validation; give at least one.")
    if both := len(set(given) & set(learned)):
        report(f"{both} validation pairs are learned too: figures on them flatter the model")
    return Sides(learned, given)


@dataclass(frozen=True)
class PairFiles:
    """Pairs of files.

    Attributes:
        learned: those to learn.
        validation: those to measure on; None where they are to be set apart.
        hashes: SHA-256 of each file, by name.
    """

    learned: list[Pair]
    validation: list[Pair] | None
    hashes: dict[str, str]


def read_files(
    pairs: Sequence[Path],
    validation: Sequence[Path],
    *,
    preset: str = "",
    drop_faulty: bool = False,
    keep_unfit: bool = False,
    source: str | None = None,
    target: str | None = None,
    report: Callable[[str], None],
) -> PairFiles:
    """The pairs of files; without any, for the presets of the paper, its own from the Hub.

    Args:
        pairs: files to learn.
        validation: files to measure on; empty where pairs are to be set apart.
        preset: of the training.
        drop_faulty: leave out faulty rows, as of other people's data, instead of raising an error;
            those of the paper's pairs always are.
        keep_unfit: learn texts that are no prompts, too; the paper's pairs are learned as they were
            published.
        source, target: names of the columns.
        report: takes lines of progress.

    Raises:
        ConfigError: there are no files, and the preset has no pairs of its own.
        InputError: a file cannot be read, or the paper's pairs can neither be found nor downloaded.
    """
    learned, measured = list(pairs), list(validation)
    if not learned:
        if not preset.startswith("paper"):
            raise ConfigError(f"preset {preset} has no pairs of its own: give --pairs FILE")
        try:
            learned = find_files(PAPER_DATA, "train")
            measured = measured or find_files(PAPER_DATA, "test")
        except InputError as error:
            raise InputError(
                f"{error} Or give --pairs FILE, and --validation FILE, in place of the paper's "
                "pairs."
            ) from error

    def collect(files: list[Path], given: Sequence[Path]) -> list[Pair]:
        return collect_pairs(
            files, source=source, target=target, drop_faulty=drop_faulty or not given,
            keep_unfit=keep_unfit or not given, report=report,
        )  # fmt: skip

    return PairFiles(
        collect(learned, pairs),
        collect(measured, validation) if measured else None,
        hash_inputs([*learned, *measured]),
    )


def hash_inputs(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file, by file name, with as many folders as tell files of a name apart."""
    files = [path.absolute() for path in dict.fromkeys(paths)]

    def name(path: Path) -> str:
        for count in range(1, len(path.parts)):
            tail = path.parts[-count:]
            if sum(other.parts[-count:] == tail for other in files) == 1:
                return "/".join(tail)
        return path.as_posix()

    return {name(path): sha256_of_file(path) for path in files}


def _for_tasks(
    pairs: Iterable[Pair], config: TrainingConfig, report: Callable[[str], None]
) -> list[Pair]:
    if config.tasks == "both":
        return with_both_tasks(pairs)
    every = list(pairs)
    wanted = [pair for pair in every if pair.mode == "rewrite"]
    if len(wanted) < len(every):
        report(f"{len(every) - len(wanted)} pairs to extend are left out: the task is to rewrite")
    return wanted


def set_apart(pairs: list[Pair], count: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """At most so many pairs for validation, and the others, none of which is related to those.

    Without that the loss on validation pairs falls while the model only learns its pairs by heart.
    The same seed sets the same pairs apart. Where every group of related pairs is larger than
    `count`, single pairs are drawn.
    """
    labels = related(pairs)
    sizes = Counter(labels)
    if min(sizes.values()) > count:
        labels = list(range(len(pairs)))
        sizes = Counter(labels)
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    held: set[int] = set()
    left = count
    for label in order:
        if sizes[label] <= left:
            held.add(label)
            left -= sizes[label]
    sides: tuple[list[Pair], list[Pair]] = [], []
    for label, pair in zip(labels, pairs, strict=True):
        sides[label not in held].append(pair)
    return sides


def with_both_tasks(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs; where all of them are to rewrite, the cuts of their targets, to extend, too.

    Preferences stay alone: what they teach is a difference, and a cut has none.
    """
    learned = list(pairs)
    if all(pair.mode == "rewrite" for pair in learned):
        learned += [
            replace(cut, form=pair.form)
            for pair in learned
            if pair.rejected is None and (cut := cut_prompt(pair.target))
        ]
    return learned


def _hash_of(pairs: list[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        # As it was before there were forms.
        kind = pair.mode if pair.form == "tags" else f"{pair.mode} {pair.form}"
        worse = "" if pair.rejected is None else f"\0{pair.rejected}"
        digest.update(f"{kind}\0{pair.source}\0{pair.target}{worse}\n".encode())
    return digest.hexdigest()
