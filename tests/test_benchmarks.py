"""The benchmarks' own arithmetic, by hand."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.improving import asked, reading
from benchmarks.improving.bits_per_character import cleaned, interval, ngram_bits
from benchmarks.improving.diversity import measure
from benchmarks.improving.processors import _packed, compare
from benchmarks.improving.prompt_sets import examine, repeats_endlessly, unsafe_share
from benchmarks.improving.said_twice import beginnings, share, signs
from benchmarks.kills import jobs
from benchmarks.kills.__main__ import kills_of_each
from benchmarks.kills.processes import Tally
from promptlift.errors import ConfigError
from promptlift.records import Improvement, Pair
from promptlift.scoring.text.diversity import distinct


def result(source: str, *additions: str) -> Improvement:
    return Improvement(
        source=source, prompt=", ".join([source, *additions]), additions=additions, clip_tokens=2,
        seed=0, variant=0, mode="extend", model="m@0",
    )  # fmt: skip


def test_witten_bell_by_hand() -> None:
    # After "a" comes the end only: order 0 knows two kinds, a and end, each seen once.
    # P(a) at the start, lowest order: (1 + 2/256) / (2 + 2); its longer contexts, all of
    # START, saw one kind once: (1 + 1 p) / (1 + 1), seven times. The end goes the same way.
    low = (1 + 2 / 256) / 4
    for _ in range(7):
        low = (1 + low) / 2
    assert ngram_bits(["a"], ["a"])[0] == pytest.approx(-2 * math.log2(low))


def test_a_text_seen_often_costs_little_and_an_unseen_one_much() -> None:
    seen, unseen = ngram_bits(["soft light"] * 50, ["soft light", "qqqqqqqqqq"])
    assert seen < 5 < 60 < unseen


def test_the_interval_holds_the_value() -> None:
    bits = np.random.default_rng(0).normal(15, 3, size=200)
    value, low, high = interval(bits, np.full(200, 10.0))
    assert low < value < high
    assert value == pytest.approx(bits.mean() / 10, abs=1e-3)


def test_pairs_of_which_nothing_is_left_are_dropped() -> None:
    pairs = [
        Pair(source="a cat", target="by greg rutkowski"),
        Pair(source="a", target="4k, ross tran"),
    ]
    assert cleaned(pairs, "words") == [Pair(source="a", target="4k")]


def test_what_must_not_happen_is_counted() -> None:
    loop = result("a cat", "very very very very very")
    assert repeats_endlessly(loop)
    assert not repeats_endlessly(result("a cat", "soft light", "soft light"))
    found = examine([loop, result("an owl")])
    assert found["endless_repetition"] == 1
    assert (found["short_prompts"], found["short_prompts_with_addition"]) == (2, 1)
    share = unsafe_share([result("a cat", "gore"), result("gore", "gore")])
    assert share == {"results": 2, "with_unsafe_word": 1, "words": {"gore": 1}}


def test_what_is_said_twice_is_found_by_three_signs() -> None:
    assert beginnings("Cinematic lighting of a cat") == {"cinem"}

    def found(*additions: str, cosine: float = 0.0) -> set[str]:
        return signs(additions, lambda one, other: cosine)

    assert found("4K", "full HD", "soft light") == {"resolution"}
    assert found("realistic", "realism") == {"words"}
    assert found("studio lighting", "volumetric lighting") == set()
    assert found("mist", "fog", cosine=0.7) == {"encoder"}
    assert found("mist") == set()
    assert share(1, 4) == [0.25, 0.0456, 0.6994]


def test_distinct_counts_by_hand() -> None:
    texts = [["soft", "light"], ["soft", "soft", "light"]]
    assert distinct(texts, 1) == 2 / 5
    assert distinct(texts, 2) == 2 / 3  # soft light twice, soft soft once
    assert distinct(texts, 1, limit=2) == 1.0
    found = measure([["Soft light"], ["soft light", "4k"], []])
    assert found["share_with_top_10"][0] == 0.667


def test_blind_reading_counts_by_majority_and_shows_who_is_who_to_the_key_alone(
    tmp_path: Path,
) -> None:
    prompts = [f"prompt {number}" for number in range(40)]
    systems = [
        ("own", [f"{prompt}, fog" for prompt in prompts]),
        reading.texts_of("raw", prompts),
        reading.texts_of("suffix=, 8k", prompts),
    ]
    key = json.loads(json.dumps(reading.draw(systems, prompts, tmp_path, seed=0)))
    sides = key["sheets"]["1"]["sides"]
    assert {"A", "B"} == {*sides.values()}

    def judged(name: str, better: str) -> Path:
        """What a reader answers who knows which is which."""
        lines = (tmp_path / "sheet1.tsv").read_text().splitlines()
        rows = [line.split("\t") for line in lines[1:]]
        answers = ["A" if (" fog" in row[2]) == (better == "own") else "B" for row in rows]
        if better == "neither":
            answers = ["="] * len(rows)
        path = tmp_path / name
        body = ["\t".join([*row[:4], answer]) for row, answer in zip(rows, answers, strict=True)]
        path.write_text("\n".join([lines[0], *body]) + "\n")
        return path

    sheets = [judged("1.tsv", "own"), judged("2.tsv", "own"), judged("3.tsv", "raw")]
    found = reading.count(sheets, key)["raw"]
    assert (found["won"], found["lost"], found["same"]) == (40, 0, 0)
    assert found["readers"] == [1.0, 1.0, 0.0]
    undecided = [judged("4.tsv", "own"), judged("5.tsv", "raw"), judged("6.tsv", "neither")]
    assert reading.count(undecided, key)["raw"]["same"] == 40
    # Two of three answers are the same, whoever is asked: less than chance has them agree.
    assert found["alpha"] < 0
    assert "40 | 0 | 0" in reading.table({"raw": found})


def test_processors_are_compared_part_by_part() -> None:
    first = np.zeros((2, 1, 2, 3), np.uint8)
    second = first.copy()
    second[1, 0, 0] = (255, 0, 3)
    ways = {"differ from alone": {"backwards": 0}}
    here = {
        "improving": {**ways, "ids": [[1], [2, 3]], "log-probabilities": [-1.0, -2.0]},
        "drawing": {**ways, "pictures": _packed(first)},
    }
    there = {
        "improving": {**ways, "ids": [[1], [2, 4]], "log-probabilities": [-1.0, -2.5]},
        "drawing": {**ways, "pictures": _packed(second)},
        "training": {},
    }
    found = compare(here, json.loads(json.dumps(there)))
    assert found["improving"]["ids"] == {"of": 2, "differ": 1}
    assert found["improving"]["log-probabilities"] == {
        "of": 2, "differ": 1, "largest": 0.5, "mean": 0.25,
    }  # fmt: skip
    assert found["drawing"]["pictures"] == {
        "of": 12, "differ": 2, "largest": 255.0, "mean": 258 / 12, "pictures": 1,
    }  # fmt: skip
    assert found.keys() == {"improving", "drawing"}


def test_kills_are_shared_by_weight_and_each_command_gets_one() -> None:
    assert kills_of_each(10, {"a": 6, "b": 3, "c": 1}) == {"a": 6, "b": 3, "c": 1}
    assert kills_of_each(2, {"a": 99, "b": 1}) == {"a": 2, "b": 1}


def test_what_a_killed_job_lost_doubled_or_left_is_told(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        (folder / "run").mkdir(parents=True)
        (folder / "run" / "times.jsonl").write_text(folder.name)  # seconds are no promise
        (folder / "run" / "a.jsonl").write_text("1\n2\n")
        (folder / "run" / "b.json").write_text("{}")
    tally = Tally("x")
    jobs.compare(killed, jobs.contents(whole), jobs.rows_in(whole), tally)
    assert (tally.jobs, tally.compared, tally.rows, tally.faults) == (1, 3, 2, [])
    (killed / "run" / "a.jsonl").write_text("1\n2\n2\n")
    (killed / "run" / "b.json").rename(killed / "run" / ".b.json.new.json")
    jobs.compare(killed, jobs.contents(whole), jobs.rows_in(whole), tally)
    assert [fault.partition(": ")[2] for fault in tally.faults] == [
        "run/.b.json.new.json was left behind",
        "run/a.jsonl differs",
        "run/b.json is missing",
        "3 rows, not 2",
    ]


def test_what_was_asked_for_and_what_was_not_is_counted(
    writer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lexicon, prompts, out = tmp_path / "lexicon", tmp_path / "prompts.txt", tmp_path / "out"
    lexicon.mkdir()
    (lexicon / "mediums.txt").write_text("an oil painting\na marble sculpture\na jigsaw puzzle\n")
    (lexicon / "movements.txt").write_text("tachisme\n")
    (lexicon / "flavors.txt").write_text("highly detailed\nchess style\n")
    (lexicon / "artists.txt").write_text("Prince\nIvan Shishkin\n")
    styles, painters = asked.listed_styles(lexicon), asked.listed_painters(lexicon / "artists.txt")
    assert styles("Tachisme, oil painting; a jigsaw puzzle") == ["jigsaw puzzle", "tachisme"]
    assert painters("prince, by ivan shishkin") == ["ivan shishkin"]
    made = [
        result("a cat", "oil painting", "in tachisme"),
        result("tachisme of a cat", "soft tachisme light", "near a wall"),
        dataclasses.replace(result("a red car"), notes=("left alone: it is long",)),
    ]
    settings = {"form": "tags"}
    checks: list[dict[str, list[str]]] = [{"styles": ["oil painting"], "painters": []}]
    checks += [{"styles": [], "painters": []}] * 2
    found = asked.figures(
        [
            dataclasses.replace(one, settings=settings, checks=check)
            for one, check in zip(made, checks, strict=True)
        ],
        styles,
        painters,
    )
    assert (found["results"], found["left_alone"]) == (3, 1)
    assert (found["style"][0], found["listed_style"][0]) == (0.5, 0.5)
    assert found["listed_style_found"] == {"tachisme": 1}
    assert (found["kept"][0], found["verbatim"][0]) == (1.0, 1.0)
    assert found["new_words"][0] == 3.0  # oil, painting, tachisme; soft, light, wall
    same = asked.sameness([["near a Wall", "soft light"], ["white wall"], ["fog"]], limit=8)
    assert (same["common_head"][0], same["top_heads"]["wall"]) == (1.0, 2)

    prompts.write_text("a cat in armor\na castle\na dragon\n")
    command = ["asked", str(prompts), "-o", str(out), "--model", str(writer_folder), "--threads",
               "1", "--lexicon", str(lexicon), "--option", "force=true"]  # fmt: skip
    monkeypatch.setattr("sys.argv", command)
    asked.main()
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert {"rewrite_alone_paragraph.jsonl", "extend.tsv"} < first.keys()
    assert json.loads(first["figures.json"])["extend"]["kept"][0] == 1.0
    path = out / "extend.jsonl"  # killed while it wrote the second
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"\n") + 9])
    asked.main()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    monkeypatch.setattr("sys.argv", [*command, "--seed", "1"])
    with pytest.raises(ConfigError, match="other prompts, options or another model"):
        asked.main()
