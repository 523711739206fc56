"""Whether improved prompts draw better pictures, where the answer is known: the pocket world.

    python -m benchmarks.world.answers draw --world world --models MODELS --rewriter REWRITER \
        --own REWRITER --work FOLDER
    python -m benchmarks.world.answers draw --world control --models MODELS --rewriter REWRITER \
        --own CONTROL_REWRITER --work FOLDER
    python -m benchmarks.world.answers measure --work FOLDER [-o docs/world]

300 plain prompts of scenes that nothing learned, drawn as they are and as each arm changes them,
original and changed from the same noise. Both worlds draw the same words: those of `--rewriter`,
the world's; `--own` is the rewriter of the world in question. The oracle judges every picture by
what the original prompt asked for. Pictures are kept in FOLDER, so `draw` goes on where it was
stopped. `measure` writes answers.json and answers.svg: mean scores, and paired differences to the
originals with 95% intervals over prompts.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.world.drawn import Album, Pictures, interval, judged
from promptlift import Improver
from promptlift.files import write_json, write_text
from promptlift.prompts.clip_tokens import count_clip_tokens
from promptlift.records import Improvement
from promptlift.scoring.text.baselines import shuffle
from promptlift.statistics import paired_test
from promptlift.world import bundle
from promptlift.world.captions import (
    BACKGROUND_WORDS,
    BLAME,
    PAINTERS,
    PLACES,
    PRAISE,
    STYLE_WORDS,
    background_words,
    subject,
)
from promptlift.world.oracle import load_oracle
from promptlift.world.scenes import PROMPTS, draw_scene
from promptlift.world.wanted import wanted_of

COUNT = 300
PARTS = ("score", "shown", "clean")
SUFFIX = "highly detailed, sharp focus, 8k, best quality"
_NAMED = 0.15  # share of prompts that name the background, as of the world's plain captions
STYLES = {words for several in STYLE_WORDS.values() for words in several} | {*PAINTERS.values()}
SURROUNDINGS = {*PLACES.values(), *BACKGROUND_WORDS.values()}
BLAMES = {words for several in BLAME.values() for words in several} | {"low quality", "amateur"}
OWN = "this world's own rewriter"
ORDER = (
    "original", "improved", "shuffled additions", "fixed suffix", "praise alone", "styles alone",
    "surroundings alone", "budget of 10 tokens", "long additions", "styles never", "rewrite",
    "rewrite, `--no-keep-intent`", OWN,
)  # fmt: skip
# Two pictures of each prompt in these arms, one in the others.
TWICE = ("original", "improved", "shuffled additions", "fixed suffix")


def prompts(count: int) -> list[str]:
    """Distinct plain prompts of scenes that nothing learned."""
    found: dict[str, None] = {}
    number = PROMPTS
    while len(found) < count:
        scene, rng = draw_scene(number), np.random.default_rng((6, number))
        text = subject(scene, rng)
        if rng.random() < _NAMED:
            text = f"{text}, {background_words(scene, rng)}"
        found[text] = None
        number += 1
    return list(found)


def kind_of(phrase: str) -> str:
    """What an added phrase is: praise, style, surroundings, blame or other."""
    kinds = {"praise": PRAISE, "style": STYLES, "surroundings": SURROUNDINGS, "blame": BLAMES}
    return next((kind for kind, phrases in kinds.items() if phrase in phrases), "other")


def arms_of(sources: Sequence[str], improver: Improver, own: Improver) -> dict[str, list[str]]:
    """The prompts of each arm, in the order of the sources."""

    def results(rewriter: Improver = improver, **options: Any) -> list[Improvement]:
        # Styles are what some arms are about; by default they would stay out.
        options = {"styles": "free", **options}
        return [result for [result] in rewriter.improve(sources, seed=0, **options)]

    def behind(parts: Sequence[Sequence[str]]) -> list[str]:
        return [", ".join([one, *more]) for one, more in zip(sources, parts, strict=True)]

    def only(kind: str) -> list[str]:
        return behind([[p for p in one.additions if kind_of(p) == kind] for one in improved])

    improved = results()
    others = shuffle(len(sources))
    return {
        "original": list(sources),
        "improved": [result.prompt for result in improved],
        "shuffled additions": behind([improved[other].additions for other in others]),
        "fixed suffix": behind([[SUFFIX]] * len(sources)),
        "praise alone": only("praise"),
        "styles alone": only("style"),
        "surroundings alone": only("surroundings"),
        OWN: [result.prompt for result in results(own)],
        "rewrite": [result.prompt for result in results(mode="rewrite")],
        "rewrite, `--no-keep-intent`": [
            result.prompt for result in results(mode="rewrite", keep_intent=False)
        ],
        "budget of 10 tokens": [result.prompt for result in results(max_prompt_tokens=10)],
        "long additions": [result.prompt for result in results(length="long")],
        "styles never": [result.prompt for result in results(styles="never")],
    }


def draw(args: argparse.Namespace) -> None:
    """Draw the arms of one world into `WORK/WORLD`, and list them in its arms.json.

    The noise of a prompt is the same in all arms, and that of no other prompt.
    """
    folder = args.work / args.world
    sources = prompts(args.count)
    arms = arms_of(sources, Improver.load(args.rewriter), Improver.load(args.own))
    album = Album(folder, args.models / "base", args.refiner, guidance=args.guidance)
    for seed in range(2):
        for arm in args.arms or arms:
            if seed and arm not in TWICE:
                continue
            name = arm.replace(",", "").replace(" ", "-")
            noise = range(seed * len(sources), (seed + 1) * len(sources))
            album.pictures(name, arms[arm], noise)
            kept = listed(folder)
            if (kept["sources"], kept["settings"]) != (sources, album.settings):
                kept = {"sources": sources, "settings": album.settings, "arms": {}}
            row = kept["arms"].get(arm, {})
            file = album.path(name, arms[arm], noise).name
            files = [] if row.get("prompts") != arms[arm] else row["files"]
            files = sorted({*files, file}, key=[*files, file].index)
            kept["arms"][arm] = {"prompts": arms[arm], "files": files}
            write_json(folder / "arms.json", kept)
            print(f"{args.world}: {arm} drawn, seed {seed}", flush=True)


def listed(folder: Path) -> dict[str, Any]:
    """What was drawn in a world's folder."""
    path = folder / "arms.json"
    found = json.loads(path.read_text()) if path.exists() else {"sources": [], "settings": {}}
    return {"arms": {}, **found}


def drawn(folder: Path) -> tuple[list[str], dict[str, tuple[list[str], Pictures]], dict[str, Any]]:
    """Sources, of each arm its prompts and pictures, and the settings, from a world's folder.

    Pictures of the second seed follow those of the first, with the same prompts again.
    """
    found = listed(folder)
    arms = {}
    for arm, row in sorted(found["arms"].items(), key=lambda item: ORDER.index(item[0])):
        files = [np.load(folder / file) for file in row["files"]]
        arms[arm] = row["prompts"] * len(files), np.concatenate(files)
    return found["sources"], arms, found["settings"]


def less(
    before: dict[str, Any], after: dict[str, Any], groups: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Paired differences of score, shown and clean; the first pictures where one has more."""
    count = len(groups)
    return {
        name: {
            key: round(value, 4)
            for key, value in paired_test(before[name][:count], after[name][:count], groups).items()
        }
        for name in PARTS
    }


def places_of(arm: str, gains: dict[str, dict[str, Any]], sources: Sequence[str]) -> list[int]:
    """Prompt of each picture that both worlds drew of an arm."""
    count = min(len(one[arm]["score"]) for one in gains.values())
    return [place % len(sources) for place in range(count)]


def compared(sources: Sequence[str], arms: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means of each arm, and differences to pictures of the same noise."""
    found = {}
    for arm, values in arms.items():
        count = len(values["score"])
        groups = [place % len(sources) for place in range(count)]
        row: dict[str, Any] = {"pictures": count, "prompts": len(sources)}
        row |= {name: interval(values[name], groups) for name in PARTS}
        row["facts"] = {
            name: interval(values[name], groups) for name in values if name not in PARTS
        }
        if arm != "original":
            row["less the original"] = less(arms["original"], values, groups)
        if arm not in ("original", "improved") and "improved" in arms:
            row["improved less this"] = less(values, arms["improved"], groups)
        found[arm] = row
    return found


def split_by_praise(
    sources: Sequence[str], texts: Sequence[str], values: dict[str, Any], original: dict[str, Any]
) -> dict[str, Any]:
    """Differences of those pictures whose prompt has a word of praise, and of the others."""
    praised = np.array([any(kind_of(p) == "praise" for p in text.split(", ")) for text in texts])
    found: dict[str, Any] = {}
    for name, chosen in (("with praise", praised), ("without praise", ~praised)):
        groups = [place % len(sources) for place in np.flatnonzero(chosen).tolist()]
        found[name] = {"prompts": len(set(groups))}
        if groups:
            before, after = (
                {part: one[part][: len(texts)][chosen] for part in PARTS}
                for one in (original, values)
            )
            found[name] |= less(before, after, groups)
    return found


def of_the_lock(
    arms: dict[str, tuple[list[str], Pictures]], values: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Differences of rewritings with the lock to those without, of prompts where they differ."""
    (locked, _), (free, _) = arms["rewrite"], arms["rewrite, `--no-keep-intent`"]
    places = [at for at, pair in enumerate(zip(locked, free, strict=True)) if pair[0] != pair[1]]
    before, after = (
        {part: values[arm][part][places] for part in PARTS}
        for arm in ("rewrite, `--no-keep-intent`", "rewrite")
    )
    return {"prompts": len(places), **less(before, after, places)}


def things_of(prompt: str) -> tuple[Any, ...]:
    """The things that a prompt asks for, and how they stand."""
    found = wanted_of(prompt)
    first = (found.shape, found.colour, found.number, found.size)
    return (*first, found.relation, found.other_shape, found.other_colour)


def words(sources: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """What became of the prompts: tokens, phrases of each kind that were added, in the mean, and
    the share that still asks for the same things."""
    added = [
        kind_of(phrase)
        for source, text in zip(sources, texts, strict=True)
        for phrase in text.split(", ")
        if phrase not in source.split(", ")
    ]
    kinds = ("praise", "style", "surroundings", "blame", "other")
    same = [things_of(one) == things_of(text) for one, text in zip(sources, texts, strict=True)]
    return {
        "CLIP tokens": round(float(np.mean([count_clip_tokens(text) for text in texts])), 2),
        **{kind: round(added.count(kind) / len(sources), 3) for kind in kinds},
        "same things": round(float(np.mean(same)), 4),
    }


def measure(args: argparse.Namespace) -> None:
    """Read every picture, compare the arms, write the figures and the plot."""
    oracle = load_oracle(args.oracle)
    found: dict[str, Any] = {"suffix": SUFFIX}
    gains: dict[str, dict[str, Any]] = {}
    for world in ("world", "control"):
        if not (args.work / world / "arms.json").exists():
            continue
        sources, arms, settings = drawn(args.work / world)
        values = {
            arm: judged(oracle, [sources[i % len(sources)] for i in range(len(texts))], pictures)
            for arm, (texts, pictures) in arms.items()
        }
        rows = compared(sources, values)
        for arm, (texts, _) in arms.items():
            rows[arm]["words"] = words(sources, texts[: len(sources)])
            if arm != "original":
                rows[arm]["less the original, by praise"] = split_by_praise(
                    sources, texts, values[arm], values["original"]
                )
        found[world] = {"settings": settings, "arms": rows}
        if "rewrite" in arms and "rewrite, `--no-keep-intent`" in arms:
            found[world]["what the lock brings where it acted"] = of_the_lock(arms, values)
        gains[world] = {
            arm: {name: one[name] - values["original"][name][: len(one[name])] for name in PARTS}
            for arm, one in values.items()
        }
        print(table(world, rows))
    if len(gains) == 2 and sources == drawn(args.work / "world")[0]:
        # The same words and noise: what differs is what words of praise mean.
        both = [arm for arm in gains["world"] if arm in gains["control"] and arm != OWN]
        found["gain in the world less gain in the control world"] = {
            arm: less(gains["control"][arm], gains["world"][arm], places_of(arm, gains, sources))
            for arm in both
            if arm != "original"
        }
    args.output.mkdir(parents=True, exist_ok=True)
    write_json(args.output / "answers.json", found)
    plot(found, args.output / "answers.svg")


def table(world: str, rows: dict[str, Any]) -> str:
    """Scores and differences of a world as Markdown."""
    lines = [
        f"| {world} | pictures | score | shown | clean | score, less the original's | shown "
        "| clean |",
        "| --- |" + " ---: |" * 7,
    ]
    for arm, row in rows.items():
        cells = [str(row["pictures"])]
        cells += [f"{row[name][0]:.3f}" for name in PARTS]
        less = row.get("less the original", {})
        cells += [
            "{difference:+.3f} ({low:+.3f} to {high:+.3f})".format(**less[name]) if less else ""
            for name in PARTS
        ]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(found: dict[str, Any], path: Path) -> None:
    """Differences of score, shown and clean in both worlds, with their intervals."""
    from matplotlib.figure import Figure

    from promptlift.reporting.plots import COLOURS, styled

    worlds = [world for world in ("world", "control") if world in found]
    shown = {arm for world in worlds for arm in found[world]["arms"]}
    arms = [arm for arm in ORDER[1:] if arm in shown]
    with styled():
        drawing = Figure(figsize=(8.6, 0.3 * len(arms) + 1.3), layout="constrained")
        titles = {
            "score": "oracle's score",
            "shown": "what was asked for, shown",
            "clean": "free of faults",
        }
        for axes, name in zip(drawing.subplots(1, 3, sharey=True), titles, strict=True):
            for number, world in enumerate(worlds):
                rows = found[world]["arms"]
                for place, arm in enumerate(arms):
                    if arm not in rows:
                        continue
                    less, y = rows[arm]["less the original"][name], place + 0.26 * (number - 0.5)
                    axes.plot([less["low"], less["high"]], [y, y], color=COLOURS[number])
                    axes.plot(
                        less["difference"], y, "os"[number], color=COLOURS[number], markersize=4,
                        label={"world": "world", "control": "control world"}[world]
                        if place == 0 and name == "score" else None,
                    )  # fmt: skip
            axes.axvline(0, color="#1b1f24", linewidth=1, linestyle=":")
            axes.set_title(titles[name], fontsize=9.5)
            axes.set_yticks(range(len(arms)), arms)
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(len(arms) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
        drawing.supxlabel("less the original's, same noise; 95% interval over prompts", fontsize=9)
        drawing.legend(loc="outside lower left", ncols=2)
        svg(drawing, path)


def svg(drawing: Any, path: Path) -> None:
    """Write a figure as SVG, the same at each run."""
    import io

    text = io.StringIO()
    drawing.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    write_text(path, text.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps the pictures")
    commands: Any = parser.add_subparsers(required=True)
    one: argparse.ArgumentParser = commands.add_parser("draw")
    one.add_argument("--world", choices=("world", "control"), required=True)
    one.add_argument("--models", type=Path, default=bundle.MODELS, help="of this world")
    one.add_argument("--rewriter", type=Path, required=True, help="exported; the world's")
    one.add_argument("--own", type=Path, required=True, help="exported; this world's own")
    one.add_argument("--refiner", type=Path, help="folder of a refiner; none unless given")
    one.add_argument("--guidance", type=float, default=7.5)
    one.add_argument("--count", type=int, default=COUNT)
    one.add_argument("--arms", nargs="+", help="only these")
    one.set_defaults(run=draw)
    other: argparse.ArgumentParser = commands.add_parser("measure")
    other.add_argument("--oracle", type=Path, default=bundle.ORACLE)
    other.add_argument("-o", "--output", type=Path, default=Path("docs/world"))
    other.set_defaults(run=measure)
    args = parser.parse_args()
    if getattr(args, "world", None) == "control" and args.models == bundle.MODELS:
        parser.error("the control world's models are not shipped: name their folder with --models")
    run: Callable[[argparse.Namespace], None] = args.run
    run(args)


if __name__ == "__main__":
    main()
