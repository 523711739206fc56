"""Which metrics of pictures see what the oracle knows, in the pocket world.

    python -m benchmarks.world.metrics --work FOLDER --clip CLIP [--clip-control CLIP] \
        [-o docs/world]

Reads the pictures that `benchmarks.world.answers draw` kept in FOLDER. For each metric: how well
its differences between original and improved picture of one noise follow the oracle's (Kendall's
tau-b), how often it finds the better of the two where the oracle's scores differ by 0.05 or more,
and tau over single pictures; intervals are 95%, bootstrap over prompts. Then CLIPScore of all four
pairings of prompts and pictures, and what words alone do to it: captions of clean held-out renders
that say more and more, all of it true. Writes metrics.json and metrics.svg.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.world.answers import drawn, svg
from benchmarks.world.drawn import Pictures, judged
from benchmarks.world.render import render
from promptlift.files import write_json
from promptlift.judging.statistics.metrics_agreement import metric_agreement
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.clip_loading import load_clip
from promptlift.scoring.pictures.learned_preference import joined, weights_of
from promptlift.scoring.pictures.measures import MEASURES, measure
from promptlift.scoring.pictures.pair_scores import Values
from promptlift.scoring.pictures.similarity import clip_score, directional_similarity
from promptlift.scoring.pictures.verdicts import judge
from promptlift.scoring.pictures.wants_shown import ClipAnswerer
from promptlift.statistics import mean_interval, paired_test
from promptlift.world import bundle
from promptlift.world.captions import BACKGROUND_WORDS, PRAISE, STYLE_WORDS, subject
from promptlift.world.oracle import Oracle, load_oracle
from promptlift.world.scenes import COLOURS, HELD_OUT, SHAPES, Scene, draw_scene

DECIDED = 0.05  # oracle's scores that differ by less are no better and no worse
RENDERS = 500
ALWAYS = "always the improved"
NAMES = {
    ALWAYS: "Always the improved picture",
    "clipscore_original_prompt": "CLIPScore (original prompt)",
    "clipscore_improved_prompt": "CLIPScore (improved prompt)",
    "clipscore_own_prompt": "CLIPScore (each with its own)",
    "directional_similarity": "Directional similarity",
    "entropy": "Entropy",
    "sharpness": "Sharpness",
    "contrast": "RMS contrast",
    "learned": "Preference learned from simulated votes",
    "wants_shown_by_reader": "`wants_shown` (the reader)",
    "wants_shown_by_clip": "`wants_shown` (CLIP)",
}


class Arm:
    """An arm's pictures with all that is known of them, picture by picture.

    Attributes:
        texts, features: of what was drawn and of the pictures, by the world's CLIP.
        measures: by name, of what is seen in each picture, and what is shown of the sources' wants.
        oracle: see `judged`.
    """

    def __init__(
        self, sources: Sequence[str], prompts: Sequence[str], pictures: Pictures,
        encoder: ClipEncoder, oracle: Oracle, reader: Oracle, head: Values | None,
    ) -> None:  # fmt: skip
        images = [Image.fromarray(picture) for picture in pictures]
        self.texts, self.features = encoder.texts(prompts), encoder.encode_images(images)
        found = np.array([measure(image) for image in images], np.float64)
        self.measures = {metric.name: found[:, at] for at, metric in enumerate(MEASURES)}
        if head is not None:
            asked = encoder.texts(sources)
            self.measures["learned"] = joined(self.features, asked, found) @ head
        self.measures["wants_shown_by_reader"] = judged(reader, sources, pictures)["shown"]
        shown = ClipAnswerer(encoder).compare(sources, self.features)
        self.measures["wants_shown_by_clip"] = np.array([np.mean([*one.values()]) for one in shown])
        self.oracle = judged(oracle, sources, pictures)


def agreement(prompts: Sequence[int], metric: Values, better: dict[str, Values]) -> dict[str, Any]:
    """How a metric's differences agree with the oracle's.

    Args:
        prompts: of the pairs.
        metric: its differences, NaN where it has none: such pairs are left out.
        better: differences of the oracle's `score`, `shown` and `clean`.
    """
    known = ~np.isnan(metric)
    groups = np.asarray(prompts)[known].tolist()
    values, truth = metric[known], {name: one[known] for name, one in better.items()}
    decided = np.where(np.abs(truth["score"]) < DECIDED, 0.0, truth["score"])
    choosing = metric_agreement(groups, values.tolist(), decided.tolist())
    taus = {name: metric_agreement(groups, values.tolist(), truth[name].tolist()) for name in truth}
    both = (values != 0) & (truth["shown"] != 0)
    same = np.sign(values[both]) == np.sign(truth["shown"][both])
    mine = np.asarray(groups)[both].tolist()
    alike = rounded(*mean_interval(same.astype(np.float64), mine)) if mine else None
    return {
        "pairs": len(groups),
        "decided": choosing.decided,
        "as shown, where both differ": [*alike, len(mine)] if alike else None,
        "accuracy": rounded(*astuple(choosing.accuracy)),
        "tau": rounded(*astuple(taus["score"].tau)),
        **{f"tau with {name}": rounded(*astuple(taus[name].tau)) for name in ("shown", "clean")},
    }


def rounded(*values: float | None) -> list[float] | None:
    """Values to four digits; None where one is unknown."""
    known = [round(value, 4) for value in values if value is not None]
    return known if len(known) == len(values) else None


def of_pairs(original: Arm, improved: Arm) -> dict[str, Values]:
    """Each metric's difference, improved less original; a metric of pairs as it is."""
    old, new, told, asked = original.features, improved.features, improved.texts, original.texts
    return {
        "clipscore_original_prompt": clip_score(asked, new) - clip_score(asked, old),
        "clipscore_improved_prompt": clip_score(told, new) - clip_score(told, old),
        "clipscore_own_prompt": clip_score(told, new) - clip_score(asked, old),
        "directional_similarity": directional_similarity(asked, told, old, new),
        ALWAYS: np.ones(len(old)),
        **{name: improved.measures[name] - original.measures[name] for name in improved.measures},
    }


def differences(original: Arm, improved: Arm) -> dict[str, Values]:
    """Of the oracle's score and its two parts."""
    return {
        name: improved.oracle[name] - original.oracle[name] for name in ("score", "shown", "clean")
    }


def measure_pairs(original: Arm, improved: Arm, groups: Sequence[int]) -> dict[str, Any]:
    """Agreement of each metric, and of one that likes every improved picture better."""
    better, found = differences(original, improved), of_pairs(original, improved)
    return {name: agreement(groups, found[name], better) for name in NAMES if name in found}


def measure_seeds(original: Arm, count: int) -> dict[str, Any]:
    """Agreement over the two pictures of one prompt, which differ in their noise alone."""
    first, second = slice(0, count), slice(count, 2 * count)
    columns = {"clipscore_original_prompt": clip_score(original.texts, original.features)}
    columns |= original.measures
    better = {name: original.oracle[name] for name in ("score", "shown", "clean")}
    return {
        name: agreement(
            range(count),
            values[second] - values[first],
            {key: one[second] - one[first] for key, one in better.items()},
        )
        for name, values in columns.items()
        if name in NAMES
    }


def measure_singles(original: Arm, improved: Arm, groups: Sequence[int]) -> dict[str, Any]:
    """Tau of each metric with the oracle's score over all pictures, whatever their prompt."""
    both = [*groups, *groups]
    score = np.concatenate([original.oracle["score"], improved.oracle["score"]])
    asked = np.concatenate([original.texts, original.texts])
    shown = np.concatenate([original.features, improved.features])
    columns = {"clipscore_original_prompt": clip_score(asked, shown)}
    for name in original.measures:
        columns[name] = np.concatenate([original.measures[name], improved.measures[name]])
    found = {}
    for name in (name for name in columns if name in NAMES):
        one = metric_agreement(both, columns[name].tolist(), score.tolist())
        found[name] = rounded(*astuple(one.tau))
    return found


def pairings(original: Arm, improved: Arm, groups: Sequence[int]) -> dict[str, Any]:
    """CLIPScore of both prompts with both pictures, and what of the change is due to what."""
    texts = {"original prompt": original.texts, "improved prompt": improved.texts}
    pictures = {"original picture": original.features, "improved picture": improved.features}
    scores = {
        (text, picture): clip_score(texts[text], pictures[picture])
        for text in texts
        for picture in pictures
    }
    old, new = ("original prompt", "original picture"), ("improved prompt", "improved picture")

    def less(one: tuple[str, str], other: tuple[str, str]) -> dict[str, float]:
        found = paired_test(scores[other], scores[one], groups)
        return {name: round(value, 4) for name, value in found.items()}

    direction = of_pairs(original, improved)["directional_similarity"]
    known = ~np.isnan(direction)
    return {
        "means": {
            f"{text}, {picture}": rounded(*mean_interval(values, groups))
            for (text, picture), values in scores.items()
        },
        "directional similarity": rounded(
            *mean_interval(direction[known], np.asarray(groups)[known].tolist())
        ),
        "improved with its prompt, less original with its": less(new, old),
        "improved picture less original, both with the original prompt": less(
            (old[0], new[1]), old
        ),
        "improved prompt less original, both with the original picture": less(
            (new[0], old[1]), old
        ),
        "improved picture less original, both with the improved prompt": less(
            new, (new[0], old[1])
        ),
    }


def verdicts(original: Arm, improved: Arm, groups: Sequence[int]) -> dict[str, Any]:
    """What promptlift's rule makes of CLIPScore with the original prompt, by the oracle's score."""
    gains = of_pairs(original, improved)["clipscore_original_prompt"]
    chosen = judge({"clipscore": gains}, groups, [0] * len(groups))
    better = differences(original, improved)["score"]
    found: dict[str, Any] = {}
    for choice in ("improved", "original"):
        kept = {verdict.prompt_index for verdict in chosen if verdict.choice == choice}
        places = [place for place, group in enumerate(groups) if group in kept]
        found[choice] = {"prompts": len(kept)}
        if places:
            mine = [groups[place] for place in places]
            found[choice]["oracle's difference"] = rounded(*mean_interval(better[places], mine))
    return found


def words_alone(encoder: ClipEncoder) -> dict[str, Any]:
    """CLIPScore of true captions of clean renders, by what they say beside the subject."""
    numbers = iter(range(HELD_OUT + 1_000_000, HELD_OUT + 2_000_000))
    scenes: list[Scene] = []
    while len(scenes) < RENDERS:
        scene = draw_scene(next(numbers))
        if scene.fault == "clean":
            scenes.append(scene)
    images = encoder.encode_images([Image.fromarray(render(scene)) for scene in scenes])
    rngs = [np.random.default_rng((9, place)) for place in range(RENDERS)]
    plain = [subject(scene, rng) for scene, rng in zip(scenes, rngs, strict=True)]
    praise = [
        ", ".join(PRAISE[i] for i in rng.choice(len(PRAISE), 3, replace=False)) for rng in rngs
    ]
    background = [BACKGROUND_WORDS[scene.background] for scene in scenes]
    style = [STYLE_WORDS[scene.style][0] for scene in scenes]
    kinds: dict[str, list[Sequence[str]]] = {
        "subject": [plain],
        "subject, three words of praise": [plain, praise],
        "subject, background": [plain, background],
        "subject, style": [plain, style],
        "subject, background, style": [plain, background, style],
        "subject, background, style, praise": [plain, background, style, praise],
    }
    scores = {
        name: clip_score(encoder.texts([", ".join(one) for one in zip(*parts)]), images)  # noqa: B905
        for name, parts in kinds.items()
    }
    found: dict[str, Any] = {"true subject above one with another": {}}
    for what, names in (("shape", SHAPES), ("colour", tuple(COLOURS))):
        wrong = [another(text, names, rng) for text, rng in zip(plain, rngs, strict=True)]
        above = scores["subject"] > clip_score(encoder.texts(wrong), images)
        found["true subject above one with another"][what] = rounded(
            *mean_interval(above.astype(np.float64))
        )
    for name, values in scores.items():
        less = paired_test(scores["subject"], values)
        found[name] = {
            "CLIPScore": rounded(*mean_interval(values)),
            "less the subject's": rounded(less["difference"], less["low"], less["high"]),
        }
    return found


def another(text: str, names: Sequence[str], rng: np.random.Generator) -> str:
    """A caption with another name in place of the first of these names."""
    first = min((name for name in names if name in text), key=text.index)
    return text.replace(first, str(rng.choice([name for name in names if name not in text])), 1)


def measure_world(
    folder: Path, clip: Path, oracle: Oracle, reader: Oracle, head: Values | None
) -> dict[str, Any]:
    """All figures of a world."""
    encoder = load_clip(str(clip), offline=True, device="cpu")
    sources, drawings, _ = drawn(folder)
    count = len(sources)
    arms = {
        name: Arm(
            [sources[i % count] for i in range(len(texts))],
            texts,
            pictures,
            encoder,
            oracle,
            reader,
            head,
        )
        for name, (texts, pictures) in drawings.items()
        if name in ("original", "improved", "fixed suffix", "shuffled additions")
    }
    original, improved = arms["original"], arms["improved"]
    groups = [place % count for place in range(len(original.features))]
    return {
        "clip": encoder.model_id,
        "prompts": count,
        "pairs": len(groups),
        "original and improved": measure_pairs(original, improved, groups),
        "two pictures of one original prompt": measure_seeds(original, count),
        "tau over single pictures": measure_singles(original, improved, groups),
        "pairings": {
            name: pairings(original, arm, groups)
            for name, arm in arms.items()
            if name != "original"
        },
        "verdicts": verdicts(original, improved, groups),
        "words alone": words_alone(encoder),
    }


def table(rows: dict[str, Any]) -> str:
    """Agreement of each metric as Markdown."""
    lines = [
        "| metric | accuracy | tau with the score | with `shown` | with `clean` |",
        "| --- |" + " ---: |" * 4,
    ]
    for metric, row in rows.items():
        cells = [
            "{:.3f} ({:.3f} to {:.3f})".format(*row[key]) if row[key] else ""
            for key in ("accuracy", "tau", "tau with shown", "tau with clean")
        ]
        lines.append(f"| {NAMES[metric]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(found: dict[str, Any], path: Path) -> None:
    """Accuracy and tau of each metric in both worlds."""
    from matplotlib.figure import Figure

    from promptlift.reporting.plots import COLOURS, styled

    with styled():
        drawing = Figure(figsize=(8.6, 3.3), layout="constrained")
        titles = {"accuracy": "better of a pair found", "tau": "tau with the oracle's difference"}
        for axes, key in zip(drawing.subplots(1, 2, sharey=True), titles, strict=True):
            for number, world in enumerate(found):
                rows = found[world]["original and improved"]
                for place, name in enumerate(NAMES):
                    if not rows.get(name, {}).get(key):
                        continue
                    value, low, high = rows[name][key]
                    y = place + 0.26 * (number - 0.5)
                    axes.plot([low, high], [y, y], color=COLOURS[number])
                    label = {"world": "world", "control": "control world"}[world]
                    axes.plot(
                        value, y, "os"[number], color=COLOURS[number], markersize=4,
                        label=label if key == "accuracy" and place == 0 else None,
                    )  # fmt: skip
            axes.axvline(0.5 if key == "accuracy" else 0, color="#1b1f24", lw=1, linestyle=":")
            axes.set_title(titles[key], fontsize=9.5)
            axes.set_yticks(range(len(NAMES)), NAMES.values())
            axes.tick_params(axis="y", length=0)
            axes.set_ylim(len(NAMES) - 0.5, -0.5)
            axes.grid(visible=False, axis="y")
        drawing.supxlabel("95% intervals over prompts; dotted: chance", fontsize=9)
        drawing.legend(loc="outside lower left", ncols=2)
        svg(drawing, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="of benchmarks.world.answers")
    parser.add_argument("--clip", type=Path, default=bundle.CLIP, help="the world's")
    parser.add_argument("--clip-control", type=Path, help="the control world's")
    parser.add_argument("--oracle", type=Path, default=bundle.ORACLE)
    parser.add_argument("--reader", type=Path, default=bundle.READER, help="that wants_shown asks")
    parser.add_argument("--head", type=Path, help="that votes learn wrote, of the world's CLIP")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/world"))
    args = parser.parse_args()
    oracle, reader = load_oracle(args.oracle), load_oracle(args.reader)
    head = weights_of(args.head) if args.head else None
    found = {}
    for world, clip in (("world", args.clip), ("control", args.clip_control)):
        if clip is None or not (args.work / world / "arms.json").exists():
            continue
        found[world] = measure_world(args.work / world, clip, oracle, reader, head)
        print(world, table(found[world]["original and improved"]), sep="\n\n")
        print(json.dumps({k: v for k, v in found[world].items() if k != "clip"}, indent=1))
    args.output.mkdir(parents=True, exist_ok=True)
    write_json(args.output / "metrics.json", found)
    plot(found, args.output / "metrics.svg")


if __name__ == "__main__":
    main()
