"""Splitting pairs into training and test without leaks."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path

from promptlift.errors import InputError
from promptlift.files import check_overwrites, sha256_of_file, write_json
from promptlift.pairs.config import ColumnsConfig, SplitConfig
from promptlift.pairs.faults import Faults
from promptlift.pairs.load import load_pairs, write_pairs
from promptlift.pairs.near import THRESHOLD, groups, similar_pairs
from promptlift.prompts.clauses import split_clauses
from promptlift.records import Pair

# Below this, the closest pair is not looked for: the search is exact, and slower the lower it is.
SEARCHED_FROM = 0.3
# Words from which a target to extend with is compared itself: shorter ones are stock phrases, which
# unrelated prompts share.
LONG_TARGET = 8


@dataclass(frozen=True, kw_only=True)
class Split:
    """Two sides of a set of pairs, and the evidence that they are apart.

    Attributes:
        train: pairs to learn from, in their order.
        test: pairs to measure on, in their order.
        left_out: pairs of the test side whose target, of `LONG_TARGET` words or more, is almost a
            target of the training side though their prompts are unlike.
        closest: the highest similarity of a test prompt with a training prompt, found by a search
            of its own after the split; 0 where none reaches `SEARCHED_FROM`.
        closest_prompts: those two prompts, that of the test first.
        closest_target: the same for long targets.
        closest_targets: those two targets.
    """

    train: list[Pair]
    test: list[Pair]
    left_out: list[Pair]
    closest: float
    closest_prompts: tuple[str, str] | None
    closest_target: float
    closest_targets: tuple[str, str] | None


def whole_prompt(pair: Pair) -> str:
    """The detailed prompt that a pair was made of; uncleaned cuts of one prompt share it."""
    return f"{pair.source}, {pair.target}" if pair.mode == "extend" else pair.target


def related(pairs: Sequence[Pair]) -> list[int]:
    """A label for each pair; near-duplicates, and prompts with the same first clause, share it.

    A first clause counts from four words on. So the cuts of one prompt stay together, too.
    """
    prompts = [whole_prompt(pair) for pair in pairs]
    return groups(prompts, keys=[_head(prompt) for prompt in prompts])


def split_file(
    path: Path,
    output: Path,
    config: SplitConfig,
    columns: ColumnsConfig,
    *,
    report: Callable[[str], None],
) -> tuple[Split, Faults]:
    """Split a file of pairs into `train.jsonl` and `test.jsonl` of a folder.

    `split.json` beside them has counts, settings and the evidence that they are apart.

    Args:
        path: file of pairs.
        output: the folder.
        config: how they are split.
        columns: of the file.
        report: takes the columns and the faulty rows.

    Raises:
        InputError: the file cannot be read, or one side would be empty.
    """
    train, test = output / "train.jsonl", output / "test.jsonl"
    check_overwrites([train, test], [path])
    faults = Faults(report)
    rows = load_pairs(path, **vars(columns), report=report)
    split = split_pairs(list(faults.sound(path, rows)), config)
    write_pairs(train, split.train)
    write_pairs(test, split.test)
    sides = ("train", "test", "left_out")
    evidence = {name: len(value) if name in sides else value for name, value in vars(split).items()}
    write_json(
        output / "split.json",
        {
            "schema_version": 1,
            "pairs": path.name,
            "sha256": sha256_of_file(path),
            **asdict(config),
            "threshold": THRESHOLD,
            "faulty": len(faults.rows),
            **evidence,
            "long_target_words": LONG_TARGET,
            "searched_from": SEARCHED_FROM,
        },
    )
    return split, faults


def split_pairs(pairs: Sequence[Pair], config: SplitConfig) -> Split:
    """Split so that related pairs stand on one side, see `related`.

    Unlike prompts may end alike: pairs of the test side whose long target is almost a training
    target are left out.

    A group's side follows from the seed and its first prompt in alphabetical order alone, so
    the order of the pairs does not matter, and the share of the test side is met roughly.

    Raises:
        InputError: one side would be empty.
    """
    prompts = [whole_prompt(pair) for pair in pairs]
    labels = related(pairs)
    keys: dict[int, str] = {}
    for label, prompt in zip(labels, prompts, strict=True):
        keys[label] = min(keys.get(label, prompt), prompt)
    held = {label for label, key in keys.items() if _draw(config.seed, key) < config.test_share}
    train = [pair for pair, label in zip(pairs, labels, strict=True) if label not in held]
    apart = [pair for pair, label in zip(pairs, labels, strict=True) if label in held]
    across = _across(_long_targets(train), _long_targets(apart), THRESHOLD)
    almost_known = {target for target, _, _ in across}
    test = [pair for pair in apart if pair.target not in almost_known]
    if not train or not test:
        raise InputError(
            f"{len(pairs)} pairs in {len(keys)} groups of near-duplicates leave one side empty. "
            "Give more pairs, another share or another seed."
        )
    closest, closest_prompts = _closest([*map(whole_prompt, train)], [*map(whole_prompt, test)])
    closest_target, closest_targets = _closest(_long_targets(train), _long_targets(test))
    assert max(closest, closest_target) < THRESHOLD, "a near-duplicate crossed the split"
    return Split(
        train=train,
        test=test,
        left_out=[pair for pair in apart if pair.target in almost_known],
        closest=closest,
        closest_prompts=closest_prompts,
        closest_target=closest_target,
        closest_targets=closest_targets,
    )


def _head(prompt: str) -> str | None:
    """The first clause, which cuts of one prompt share even where cleaning changed the rest.

    None where it is shorter than four words: "a cat" begins many prompts.
    """
    head = " ".join(next(iter(split_clauses(prompt)), "").lower().split())
    return head if len(head.split()) >= 4 else None


def _draw(seed: int, key: str) -> float:
    """A number in [0, 1) that only seed and key decide."""
    digest = hashlib.sha256(f"{seed}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _long_targets(pairs: list[Pair]) -> list[str]:
    return [pair.target for pair in pairs if len(pair.target.split()) >= LONG_TARGET]


def _closest(train: list[str], test: list[str]) -> tuple[float, tuple[str, str] | None]:
    found = _across(train, test, SEARCHED_FROM)
    text, other, best = max(found, key=itemgetter(2), default=("", "", 0.0))
    return best, (text, other) if best else None


def _across(
    train: list[str], test: list[str], threshold: float
) -> Iterator[tuple[str, str, float]]:
    """Test text, training text and their similarity, from the threshold on."""
    train, test = sorted(set(train)), sorted(set(test))
    texts = train + test
    for one, other, similarity in similar_pairs(texts, threshold):
        if one >= len(train) > other:
            yield texts[one], texts[other], similarity
