"""Targets that were written for short prompts, and the prompts that they belong to."""

import csv
import gzip
import io
import random

import pytest

from benchmarks.writer.targets import (
    COLUMNS,
    HASH,
    TARGETS,
    apart,
    checked,
    cuts,
    key_of,
    read_targets,
    turned,
    typed,
)
from promptlift.records import Pair

# textblob leaves a file open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LONG = "A red fox, sitting on a mossy log in a forest. Mist drifts behind it."


def test_prompts_are_found_again_as_people_type_them() -> None:
    found = {one for cut in cuts(LONG) for one in typed(cut)}
    assert {"a red fox", "red fox", "A red fox, sitting on a mossy log in a forest"} <= found


def test_public_prompts_stand_there_by_their_hash_and_ours_as_they_are() -> None:
    with gzip.open(TARGETS, "rb") as packed:
        rows = [*csv.DictReader(io.TextIOWrapper(packed, "utf-8"), delimiter="\t")]
    assert tuple(rows[0]) == COLUMNS and len(rows) > 8000
    hashed = next(row["prompt"] for row in rows if HASH.fullmatch(row["prompt"]))
    pairs, missing = read_targets({hashed: "a lighthouse"})
    own = [row for row in rows if not HASH.fullmatch(row["prompt"])]
    assert 20_000 < len(own) < 25_000 and len(pairs) + missing == len(rows)
    assert {pair.source for pair in pairs} == {"a lighthouse", *(row["prompt"] for row in own)}
    assert HASH.fullmatch(key_of("a lighthouse"))


def test_what_checks_drop_is_not_learned() -> None:
    tags = Pair(source="a red fox", target="bushy tail, green fox, oil painting", mode="extend")
    assert checked(tags) is None  # one phrase is left
    more = Pair(source="a red fox", target="bushy tail, oil painting, pointed ears", mode="extend")
    left = checked(more)
    assert left is not None and left.target == "bushy tail, pointed ears"
    lost = Pair(source="two red foxes at night", target="a fox in snow, bushy tail")
    assert checked(lost) is None


def test_prompts_set_apart_are_learned_in_no_form() -> None:
    pairs = [
        Pair(source=f"a fox {number}", target="bushy tail, snow", mode="extend", form=form)
        for number in range(100)
        for form in ("tags", "paragraph")
    ]
    learned, held = apart(pairs)
    assert len(held) == 10 and not {p.source for p in learned} & {p.source for p in held}


def test_a_second_pass_has_the_phrases_in_another_order() -> None:
    pair = Pair(source="a fox", target="bushy tail, deep snow, low sun, pine trees", mode="extend")
    again = turned(pair, random.Random(1))
    assert again.target != pair.target
    assert sorted(again.target.split(", ")) == sorted(pair.target.split(", "))
    prose = Pair(
        source="a fox", target=" sits in snow, and waits.", mode="extend", form="paragraph"
    )
    assert turned(prose, random.Random(1)) == prose
