"""Whether a rewriter that learned from pictures beats a fixed suffix, in the pocket world.

    python -m benchmarks.world.tuned --work FOLDER prompts --output tune.jsonl
    python -m benchmarks.world.tuned --work FOLDER suffixes --prompts tune.jsonl
    python -m benchmarks.world.tuned --work FOLDER draw untuned=MODEL tuned=MODEL ...
    python -m benchmarks.world.tuned --work FOLDER measure [-o docs/world/tuned.json]
    python -m benchmarks.world.tuned rounds NAME=RUN ... [-o docs/world/rounds.json]

`prompts` writes plain prompts of training scenes, none of which is among the 300 that are measured
on. `suffixes` finds the best of thirty-two fixed suffixes on a hundred of these, by the oracle.
`draw` draws the 300 prompts as they are, with that suffix, and as each model rewrites them, four
times, from seeds that no tuning saw, with styles, mediums and backgrounds that nobody asked for
kept out; `--free` lets them in, in arms of their own. `measure` has the oracle judge all pictures
by what the original prompt asked for. `rounds` does so with the held-out pictures of each round of
`promptlift tune`. `oracle_reward` is the oracle as a reward, the upper bound:
`promptlift tune --reward benchmarks.world.tuned:oracle_reward`.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.world.answers import SUFFIX, less, svg, words
from benchmarks.world.answers import prompts as measured_prompts
from benchmarks.world.drawn import Album, interval, judged
from promptlift import Improver
from promptlift.files import write_json
from promptlift.pictures import IMPROVED, read_index
from promptlift.reporting.plots import COLOURS, styled
from promptlift.tables import write_rows
from promptlift.world import bundle
from promptlift.world.captions import BACKGROUND_WORDS, PRAISE, STYLE_WORDS
from promptlift.world.oracle import Oracle, load_oracle
from promptlift.world.pairs import world_pairs

COUNT, FIRST_SEED = 300, 1_000_000
# Words alone, too: a model whose "outline drawing" is avoided writes "outline top".
AVOID = (
    *BACKGROUND_WORDS.values(), *(words for two in STYLE_WORDS.values() for words in two),
    "outline", "neon", "pixel", "flat",
)  # fmt: skip
_CURVES = ("round", "intent_kept", "distinct_2", "added_phrases", "old_bits", "base_bits")
_ON, _SCENES = 100, 8000  # prompts that a suffix is chosen on; scenes that prompts are taken from


def oracle_reward(prompts: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
    """The oracle's score of each picture: what no user could have."""
    pictures = np.stack([np.asarray(image.convert("RGB")) for image in images])
    return [float(one) for one in judged(_oracle(), prompts, pictures)["score"]]


@cache
def _oracle() -> Oracle:
    return load_oracle(bundle.ORACLE)


def tuning_prompts() -> list[str]:
    """Plain prompts of scenes that rewriters learn from, without those that are measured on."""
    own = set(measured_prompts(COUNT))
    sources = dict.fromkeys(pair.source for pair in world_pairs(_SCENES, mode="extend"))
    return [source for source in sources if source not in own]


def suffixes() -> list[str]:
    """Two, four, six and eight words of praise, five times each, and each word alone."""
    rng = np.random.default_rng(20)
    found = [SUFFIX]
    for count in (2, 4, 6, 8):
        most = 4 if count == 4 else 5
        found += [
            ", ".join(PRAISE[i] for i in rng.permutation(len(PRAISE))[:count]) for _ in range(most)
        ]
    return [*found, *PRAISE]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_prompts(args: argparse.Namespace) -> None:
    found = tuning_prompts()
    write_rows(args.output, ({"prompt": text} for text in found), ())
    print(f"{len(found)} prompts in {args.output}")


def choose_suffix(args: argparse.Namespace) -> None:
    """Draw the training prompts with each suffix, twice, and write suffixes.json."""
    every = [str(row["prompt"]) for row in _rows(args.prompts)]
    sources = [every[i] for i in np.random.default_rng(1).permutation(len(every))[:_ON]]
    album = _album(args)
    found: list[dict[str, Any]] = []
    noise = [FIRST_SEED // 2 + place for place in range(2 * _ON)]
    for number, suffix in enumerate(suffixes()):
        texts = [f"{source}, {suffix}" for source in sources] * 2
        values = judged(_oracle(), sources * 2, album.pictures(f"suffix-{number}", texts, noise))
        found.append({"suffix": suffix, "score": float(values["score"].mean())})
        print(f"{found[-1]['score']:.4f} {suffix}", flush=True)
    found.sort(key=lambda row: -row["score"])
    write_json(args.work / "suffixes.json", {"prompts": _ON, "pictures": 2 * _ON, "found": found})


def draw(args: argparse.Namespace) -> None:
    """Draw the arms, and list them in arms.json."""
    sources = measured_prompts(args.count)
    best = json.loads((args.work / "suffixes.json").read_text())["found"][0]["suffix"]
    texts = {"original": sources, "best suffix": [f"{one}, {best}" for one in sources]}
    for given in args.arms:
        name, _, model = given.partition("=")
        texts[name] = _rewritten(model, sources, free=False)
        if args.free:
            texts[f"{name}, all additions"] = _rewritten(model, sources, free=True)
    album = _album(args)
    path = args.work / "arms.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    for name, prompts in texts.items():
        file, drawn = name.replace(",", "").replace(" ", "-"), []
        for first in range(FIRST_SEED, FIRST_SEED + args.seeds * len(prompts), len(prompts)):
            noise = range(first, first + len(prompts))
            album.pictures(file, prompts, noise)
            drawn.append(album.path(file, prompts, noise).name)
        kept[name] = {"prompts": prompts, "files": drawn}
        write_json(path, kept)
        print(f"{name} drawn", flush=True)


def _rewritten(model: str, sources: Sequence[str], *, free: bool) -> list[str]:
    options: dict[str, Any] = {"styles": "free"} if free else {"avoid": AVOID}
    improved = Improver.load(model).improve(sources, seed=0, mode="extend", **options)
    return [one.prompt for [one] in improved]


def _album(args: argparse.Namespace) -> Album:
    return Album(args.work, args.models / "base", steps=args.steps)


def measure(args: argparse.Namespace) -> None:
    """Judge every arm, and write paired differences with 95% intervals over prompts."""
    arms = json.loads((args.work / "arms.json").read_text())
    sources = arms["original"]["prompts"]
    groups = [place % len(sources) for place in range(args.seeds * len(sources))]
    values = {}
    for name, arm in arms.items():
        pictures = np.concatenate([np.load(args.work / file) for file in arm["files"]])
        values[name] = judged(_oracle(), sources * args.seeds, pictures)
    found: dict[str, Any] = {"prompts": len(sources), "seeds": args.seeds, "arms": {}}
    for name, one in values.items():
        row: dict[str, Any] = {part: interval(one[part], groups) for part in ("score", "shown",
                                                                            "clean")}  # fmt: skip
        row["less"] = {
            other: less(values[other], one, groups)
            for other in ("original", "untuned", "best suffix")
            if other in values and other != name
        }
        row["words"] = words(sources, arms[name]["prompts"])
        found["arms"][name] = row
        print(_line(name, row))
    if args.output:
        write_json(args.output, found)
        plot_arms(found, args.output.with_suffix(".svg"))


def plot_arms(found: dict[str, Any], path: Path) -> None:
    """Differences to the original prompts, with their intervals."""
    from matplotlib.figure import Figure

    arms = {name: arm["less"]["original"] for name, arm in found["arms"].items()
            if "original" in arm["less"]}  # fmt: skip
    titles = {"score": "oracle's score", "shown": "what was asked for, shown",
              "clean": "free of faults"}  # fmt: skip
    with styled():
        drawing = Figure(figsize=(8.6, 0.3 * len(arms) + 1.1), layout="constrained")
        for axes, name in zip(drawing.subplots(1, 3, sharey=True), titles, strict=True):
            for place, less in enumerate(arms.values()):
                one = less[name]
                axes.plot([one["low"], one["high"]], [place, place], color=COLOURS[0])
                axes.plot(one["difference"], place, "o", color=COLOURS[0], markersize=4)
            axes.axvline(0, color="#1b1f24", linewidth=1, linestyle=":")
            axes.set_title(titles[name], fontsize=9.5)
            axes.set_yticks(range(len(arms)), [*arms])
            axes.set_ylim(len(arms) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
        drawing.supxlabel("less the original's, same noise; 95% interval over prompts", fontsize=9)
        svg(drawing, path)


def _line(name: str, row: dict[str, Any]) -> str:
    differences = "; ".join(
        "less {} {difference:+.3f} ({low:+.3f} to {high:+.3f})".format(other, **parts["score"])
        for other, parts in row["less"].items()
    )
    return f"{name}: {row['score'][0]:.3f}; {differences}"


def judge_rounds(args: argparse.Namespace) -> None:
    """What the oracle says of the held-out pictures of each round, beside the reward."""
    every: dict[str, list[dict[str, Any]]] = {}
    for given in args.runs:
        name, _, folder = given.rpartition("=")
        run, found = Path(folder), []
        for row in _rows(run / "rounds.jsonl"):
            folder = run / "rounds" / str(row["round"]) / "held-out" / "pictures"
            scores: dict[tuple[int, int], dict[str, float]] = {}
            for picture in read_index(folder):
                image = np.asarray(Image.open(picture.path).convert("RGB"))[None]
                values = judged(_oracle(), [picture.source], image)
                key = (picture.prompt_index, picture.seed)
                scores.setdefault(key, {})[picture.side] = float(values["score"][0])
            gains = [one[IMPROVED] - one["original"] for one in scores.values()]
            left = row["prompts"] - len({prompt for prompt, _ in scores})  # as they are: no gain
            seeds = len({seed for _, seed in scores})
            groups = [prompt for prompt, _ in scores] + [-at for at in range(1, left + 1)] * seeds
            gain = interval(np.array(gains + [0.0] * left * seeds), groups)
            found.append({
                **{key: row[key] for key in _CURVES}, "reward": row["gain"], "oracle": gain,
            })  # fmt: skip
            print(f"{name or run.name} round {row['round']}: reward {row['gain'][0]:+.4f}, oracle "
                  f"{gain[0]:+.4f} ({gain[1]:+.4f} to {gain[2]:+.4f})")  # fmt: skip
        every[name or run.name] = found
    if args.output:
        write_json(args.output, every)
        plot_rounds(every, args.output.with_suffix(".svg"))


def plot_rounds(every: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Curves by round: reward and oracle, intent, diversity, length, and language."""
    from matplotlib.figure import Figure

    titles = {
        "reward": "reward", "oracle": "oracle's score", "intent_kept": "intent kept",
        "distinct_2": "distinct-2", "added_phrases": "phrases added",
        "base_bits": "bits of the first model's",
    }  # fmt: skip
    with styled():
        drawing = Figure(figsize=(8.6, 4.2), layout="constrained")
        for axes, (key, title) in zip(drawing.subplots(2, 3).flat, titles.items(), strict=True):
            for number, (name, rows) in enumerate(every.items()):
                x, values = [row["round"] for row in rows], [row[key] for row in rows]
                colour, label = COLOURS[number], name if key == "reward" else None
                if isinstance(values[0], list):
                    low, high = ([value[end] for value in values] for end in (1, 2))
                    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
                    values = [value[0] for value in values]
                axes.plot(x, values, "os"[number % 2] + "-", color=colour, markersize=4,
                          label=label)  # fmt: skip
            axes.set_title(title, fontsize=9.5)
            if key == "intent_kept":
                axes.set_ylim(min(0.9, *values), 1.01)
            axes.set_xticks(x, [f"round {at}" for at in x], fontsize=8)
        drawing.legend(loc="outside lower left", ncols=2)
        svg(drawing, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("tuned"), help="keeps the pictures")
    parser.add_argument("--models", type=Path, default=bundle.MODELS, help="of this world")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=4, help="pictures of each measured prompt")
    commands: Any = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = commands.add_parser(name)
        made.set_defaults(run=run)
        return made

    command("prompts", write_prompts).add_argument("--output", type=Path, required=True)
    command("suffixes", choose_suffix).add_argument("--prompts", type=Path, required=True)
    drawing = command("draw", draw)
    drawing.add_argument("arms", nargs="*", help="NAME=MODEL; one should be untuned")
    drawing.add_argument("--count", type=int, default=COUNT)
    drawing.add_argument("--free", action="store_true", help="arms with all additions, too")
    command("measure", measure).add_argument("-o", "--output", type=Path)
    judging = command("rounds", judge_rounds)
    judging.add_argument("runs", nargs="+", help="RUN, or NAME=RUN")
    judging.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
