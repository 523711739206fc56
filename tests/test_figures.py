"""Figures of the docs are those of the files beside them.

Each table is what the script that wrote the file makes of it today. In sentences, each figure with
an interval, and each bare one with two decimals or more, stands in the file at the precision that
is printed; what was computed from several is computed again here.
"""

import json
import re
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from benchmarks.improving import strengths, trust
from benchmarks.prompts import intent_cases
from benchmarks.steering import tables as steering_tables
from benchmarks.world import answers as world_answers
from benchmarks.world import metrics as world_metrics
from benchmarks.world import models as world_models

DOCS = Path(__file__).parents[1] / "docs"
NUMBER = r"[+-]?\d+(?:\.\d+)?"
# 0.045 (0.014 to 0.076), 79% (64 to 88), and within brackets: -0.016, -0.047 to 0.017
WITH_INTERVAL = re.compile(
    rf"(?<![\w.])({NUMBER})(%?) \(({NUMBER}) to ({NUMBER})\)"
    rf"|\(({NUMBER})(%?)(?: more)?, ({NUMBER}) to ({NUMBER})\)"
)
BARE = re.compile(r"(?<![\w.+-])\d+\.\d{2,}(%?)(?![\w.]\d)")
Triple = tuple[float, float, float]


def load(path: str) -> Any:
    return json.loads((DOCS / path).read_text("utf-8"))


def section(page: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    text = (DOCS / page).read_text("utf-8")
    [found] = [part for part in text.split("\n## ") if part.startswith(heading)]
    return found


def tables_of(text: str) -> list[str]:
    return re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)


def sentences(text: str) -> str:
    """A text without its tables, code and targets of links."""
    text = re.sub(r"^\|.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\]\([^)]*\)|`[^`]*`", "", text)


def intervals_in(value: Any) -> Iterator[Triple]:
    """All figures of a file that have an interval."""
    if isinstance(value, dict):
        if {"difference", "low", "high"} <= value.keys():
            yield value["difference"], value["low"], value["high"]
        else:
            for one in value.values():
                yield from intervals_in(one)
    elif isinstance(value, list):
        if len(value) in (3, 4) and all(isinstance(one, (int, float)) for one in value):
            yield value[0], value[1], value[2]
        else:
            for one in value:
                yield from intervals_in(one)


def is_printed(text: str, value: float) -> bool:
    """Whether a text is a value at the precision of the text; a half may go either way."""
    digits = len(text.partition(".")[2])
    return bool(abs(float(text) - value) <= 0.5 / 10**digits + 1e-9)


def is_known(texts: tuple[str, ...], scale: int, pool: list[Triple]) -> bool:
    """Whether a figure and its interval are those of a file; "costs 0.59" may be -0.59 there."""
    return any(
        all(is_printed(text, scale * one) for text, one in zip(texts, values, strict=True))
        for value, low, high in pool
        for values in ((value, low, high), (-value, -high, -low))
    )


def unknown(text: str, pool: list[Triple]) -> list[str]:
    """Figures with an interval in a text that no file has."""
    found = []
    for match in WITH_INTERVAL.finditer(text):
        value, percent, low, high = match.groups()[:4] if match[1] else match.groups()[4:]
        if not is_known((value, low, high), 100 if percent else 1, pool):
            found.append(match[0])
    return found


WORLD = {name: load(f"world/{name}.json") for name in ("answers", "metrics", "models", "wants")}
TRUST = load("trust.json")["rows"]
SETS = ("PartiPrompts", "held-out prompts")
STRENGTHS = load("strengths/strengths.json")["rows"]
PAIRS = {name: WORLD["metrics"][name]["original and improved"] for name in ("world", "control")}
ARMS = {name: WORLD["answers"][name]["arms"] for name in ("world", "control")}
STEERED = {
    name: load(f"world/{name}.json")
    for name in ("steered", "steered-preference", "steered-slips", "steered-optimisers",
                 "steered-cost", "same", "same-guided")
}  # fmt: skip
STEERING_SECTION = "2026-11 Slips and optimisers"
STRENGTH_SECTION = "2026-11 How strongly painters"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ((DOCS / "trust.md").read_text("utf-8"), tables_of(trust.tables(TRUST))),
        (section("lab-log.md", STRENGTH_SECTION), [strengths.table(STRENGTHS)]),
        (
            section("world.md", "How good the models are"),
            [
                world_models.oracle_table(WORLD["models"]),
                world_models.drawing_table(WORLD["models"]["drawing"]),
            ],
        ),
        (
            section("world.md", "Do improved prompts"),
            [world_answers.table(name, ARMS[name]) for name in ARMS],
        ),
        (section("world.md", "Can metrics tell"), [world_metrics.table(PAIRS["world"])]),
        (
            section("world.md", "Does `wants_shown`"),
            [world_metrics.table(WORLD["wants"]["original and improved"])],
        ),
        (
            section("lab-log.md", STEERING_SECTION),
            [
                steering_tables.of_slips(STEERED["steered-slips"]["slips"]),
                steering_tables.of_optimisers(STEERED["steered-optimisers"]["metrics"]),
            ],
        ),
        (
            section("steering.md", "The mathematics"),
            [steering_tables.of_cost(STEERED["steered-cost"])],
        ),
    ],
    ids=["trust", "strengths", "models", "answers", "metrics", "wants", "slips", "cost"],
)
def test_tables_are_those_of_the_scripts(text: str, expected: list[str]) -> None:
    assert tables_of(text) == expected


@pytest.mark.parametrize(
    ("text", "source", "least"),
    [
        ((DOCS / "world.md").read_text("utf-8"), WORLD, 38),
        (section("lab-log.md", STRENGTH_SECTION), STRENGTHS, 1),
        ((DOCS / "steering.md").read_text("utf-8"), STEERED, 20),
        (section("lab-log.md", STEERING_SECTION), STEERED, 8),
    ],
    ids=["world", "strengths", "steering", "slips"],
)
def test_intervals_in_sentences_are_in_the_files(text: str, source: Any, least: int) -> None:
    text = sentences(text)
    assert len(WITH_INTERVAL.findall(text)) >= least
    assert unknown(text, list(intervals_in(source))) == []


def test_a_wrong_digit_is_found() -> None:
    pool = list(intervals_in([[0.25, 0.2, 0.3], {"difference": -0.0594, "low": -0.1, "high": 0}]))
    right = "25% (20 to 30), 0.25 (0.20 to 0.30), costs 0.059 (-0.00 to 0.10), (-0.06, -0.1 to 0)"
    assert unknown(right, pool) == []
    wrong = "25% (20 to 31), 0.26 (0.20 to 0.30), gains 0.059 (0.00 to 0.11), (0.06, -0.1 to 0)"
    assert len(unknown(wrong, pool)) == len(wrong.split("), "))


# Bare figures of the sentences, each with where it comes from. What is no figure of a file:
# chances that the world was made with, and what was aimed at or measured on another day.
CHOSEN = (
    "a strength from 0.35 to 1",
    "Aimed at were 0.90",
    "of an earlier day, which broke such phrases off in the middle of a word, it was 0.079",
    "0.46 x 0.28 / (0.46 x 0.28 + 0.54 x 0.88) = 21%",
)


def half_up(value: float, digits: int) -> str:
    """A figure as one rounds by hand; format() takes halves to the even digit, or as floats lie."""
    return str(Decimal(str(value)).quantize(Decimal(10) ** -digits, ROUND_HALF_UP))


def of_the_models() -> list[str]:
    oracle, vae, clip = (WORLD["models"][name] for name in ("oracle", "vae", "clip"))
    styles = oracle["by style, clean pictures"]
    cleans = [one["probability of clean"][0] for one in styles.values()]
    backgrounds = vae["clean decoded called clean, by background"]
    looks = vae["clean decoded called clean, by style"]
    every, long = clip["world"]["all captions"], clip["world"]["four phrases or more"]
    shapes = WORLD["models"]["drawing"][0]["shape found, by shape"]
    always = ("hearts", "diamonds", "rings", "arrows", "bolts", "triangles")
    assert all(shapes[name.rstrip("s")] == 1.0 for name in always)
    relation = ARMS["world"]["original"]["facts"]["relation"]

    def listed(values: dict[str, list[float]]) -> str:
        ordered = sorted(values, key=lambda name: -values[name][0])
        return ", ".join(f"{name} {values[name][0]:.2f}" for name in ordered)

    return [
        f"cropped pictures (shape {oracle['cropped']['shape'][0]:.3f})",
        "pixel style ({:.3f} of {} clean".format(*styles["pixel"]["style"][::3]),
        f"({min(cleans):.3f} to {max(cleans):.3f} clean on average)",
        f"a mean error of {vae['mean absolute error of 255'][0]:.1f} of 255",
        f"({vae['PSNR in dB'][0]:.1f} dB; "
        f"{vae['PSNR in dB, noisy pictures left out'][0]:.1f} dB without",
        f"at best is about {vae['shape found in clean decoded'][0]:.3f}",
        f"moves it: {listed(backgrounds)}; {listed(looks)}",
        f"among {every['distinct captions']} in",
        f"and in {every['picture to caption R@5'][0]:.3f} among its first five",
        f"in {every['caption to picture R@1'][0]:.3f} and {every['caption to picture R@5'][0]:.3f}",
        f"({long['pictures']}) it finds {half_up(long['picture to caption R@1'][0], 3)} and "
        f"{long['picture to caption R@5'][0]:.3f}",
        f"Stars ({shapes['star']:.2f}), flowers ({shapes['flower']:.2f}) and crosses "
        f"({half_up(shapes['cross'], 2)})",
        f"{relation[0]:.3f} of {relation[3]} pictures show both",
    ]


def of_the_answers() -> list[str]:
    def gain(arm: str, part: str = "score", world: str = "world") -> float:
        return float(ARMS[world][arm]["less the original"][part]["difference"])

    def words(arm: str, kind: str) -> float:
        return float(ARMS["world"][arm]["words"][kind])

    unpraised = ARMS["world"]["improved"]["less the original, by praise"]["without praise"]
    never = gain("styles never")
    lock = WORLD["answers"]["world"]["what the lock brings where it acted"]
    assert ARMS["world"]["rewrite"]["words"]["same things"] == 1.0
    assert lock["prompts"] == round(300 * (1 - words("rewrite, `--no-keep-intent`", "same things")))
    return [
        f"praise alone bring {gain('praise alone'):.3f}",
        f"suffix of four brings {gain('fixed suffix'):.3f}",
        f"the rewriter adds {words('improved', 'praise'):.1f}, and none to "
        f"{unpraised['prompts']} of the 300",
        f"Alone they take {-gain('styles alone'):.3f} in the world and "
        f"{-gain('styles alone', world='control'):.3f} in",
        f"by {-gain('styles alone', 'shown'):.3f} and "
        f"{-gain('styles alone', 'shown', 'control'):.3f}",
        f"by {-gain('styles alone', 'clean'):.3f} against "
        f"{-gain('styles alone', 'clean', 'control'):.3f}",
        f"the gain is {never:.3f}",
        f"so {words('styles never', 'praise'):.1f} words of praise",
        f"without it, {lock['prompts']} ask for other things",
        f"improved prompts have {words('improved', 'CLIP tokens'):.0f}",
        f"({words('budget of 10 tokens', 'praise'):.1f} words instead of "
        f"{words('improved', 'praise'):.1f})",
        f"Long additions, {words('long additions', 'CLIP tokens'):.0f} tokens with "
        f"{words('long additions', 'praise'):.1f} words of praise, gain "
        f"{gain('long additions'):.3f}",
    ]


def of_the_metrics() -> list[str]:
    worlds = [WORLD["metrics"][name] for name in ("world", "control")]
    directions = {
        arm: [one["pairings"][arm]["directional similarity"][0] for one in worlds]
        for arm in ("improved", "shuffled additions")
    }
    means = worlds[0]["pairings"]["improved"]["means"]
    alone, verdicts = worlds[0]["words alone"], worlds[0]["verdicts"]
    more = {name: alone[f"subject, {name}"]["less the subject's"][0]
            for name in ("background", "style", "three words of praise")}  # fmt: skip
    gain = ARMS["world"]["improved"]["less the original"]["score"]["difference"]
    assert alone["true subject above one with another"]["colour"][0] == 1.0
    return [
        f"of the {PAIRS['world']['always the improved']['decided']} pairs",
        "{:.3f} for improved prompts in the world and {:.3f} in".format(*directions["improved"]),
        "shuffled additions ({:.3f}, {:.3f})".format(*directions["shuffled additions"]),
        f"of {PAIRS['control']['always the improved']['decided']} (",
        f"kept {verdicts['improved']['prompts']} improved prompts of 300, and left alone "
        f"{verdicts['original']['prompts']} whose",
        f"from {means['original prompt, original picture'][0]:.1f} to "
        f"{means['original prompt, improved picture'][0]:.1f}",
        f"score rises by {gain:.3f}",
        f"more they say that can be seen: {alone['subject']['CLIPScore'][0]:.1f} for the subject, "
        f"{more['background']:.1f} more with the background, {more['style']:.1f} with the style, "
        f"{more['three words of praise']:.1f} with three words of praise",
    ]


def of_the_strengths() -> list[str]:
    def row(kind: str, strength: float) -> Any:
        [found] = [one for one in STRENGTHS if one["set"] == "held-out heads"
                   and (one["kind"], one["strength"]) == (kind, strength)]  # fmt: skip
        return found

    top = [f"{100 * row(kind, 1.0)['top_10'][0]:.1f}%" for kind in ("both", "painters")]
    return [
        f"at 0.97 still {100 * row('painters', 0.97)['painter'][0]:.1f}% of results",
        "without them {} (81.2 to 87.6) instead of {} of the results".format(*top),
        f"lexicon lacks pass ({100 * row('painters', 1.0)['listed_artist'][0]:.1f}%)",
    ]


def of_trust() -> list[str]:
    known, heldout = (max(row["n"] for row in TRUST if row["set"] == name) for name in SETS)
    rows = {row["system"]: row for row in TRUST if row["set"] == "PartiPrompts"}
    chat = rows["SmolLM2-135M-Instruct"]["n"]
    return [
        f"answered a random {chat} of {known:,}",
        f"the bound is 3/n: {300 / known:.2f}% of {known:,}, {300 / heldout:.1f}% of {heldout}",
    ]


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ((DOCS / "world.md").read_text("utf-8"),
         [*of_the_models(), *of_the_answers(), *of_the_metrics()]),
        (section("lab-log.md", STRENGTH_SECTION), of_the_strengths()),
        ((DOCS / "trust.md").read_text("utf-8"), of_trust()),
    ],
    ids=["world", "strengths", "trust"],
)  # fmt: skip
def test_bare_figures_are_those_of_the_files(text: str, figures: list[str]) -> None:
    text = sentences(text)
    assert [figure for figure in figures if figure not in text] == []
    for figure in (*figures, *CHOSEN):
        text = text.replace(figure, "")
    text = WITH_INTERVAL.sub("", text)
    assert [text[max(0, m.start() - 40) : m.end()] for m in BARE.finditer(text)] == []


def test_figures_of_intent() -> None:
    """But for what the checker said before it saw a label, which no code says any more."""
    text = (DOCS / "intent.md").read_text("utf-8")
    rows = [line.strip("|").split("|") for line in tables_of(text)[-1].splitlines()[2:]]
    cells = [[cell.strip() for cell in row] for row in rows]
    found = [intent_cases.row(kind, cases) for kind, cases in intent_cases.measure().items()]
    assert [[*row[:2], *row[4:]] for row in cells] == found
