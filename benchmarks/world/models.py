"""How good the models of the pocket world are: oracle and reader, VAE, CLIP, drawing models.

    python -m benchmarks.world.models --work FOLDER [--models FOLDER] [--clip-control FOLDER] \
        [--parts oracle reader vae clip drawing sheet] [-o docs/world]

On 1,000 held-out renders: how often oracle and reader find what is there, by fault; the VAE's
error; how often CLIP finds a picture's caption and a caption's picture. On 96 prompts, one for each
colour and shape: how often the oracle finds both in what is drawn, by guidance, steps and refiner.
A sheet of 64 pictures of random captions, none picked. Pictures are kept in the work folder, so
that it goes on where it was stopped. Writes models.json and sheet.png.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from benchmarks.world.captions import caption
from benchmarks.world.drawn import GUIDANCE, STEPS, Album, Pictures, interval, judged
from benchmarks.world.renders import renders_of
from benchmarks.world.vae import encode, to_pictures
from promptlift.files import atomic_path, write_json
from promptlift.scoring.pictures.clip_loading import load_clip
from promptlift.scoring.pictures.pair_scores import Values
from promptlift.scoring.pictures.similarity import unit
from promptlift.statistics import paired_test, wilson
from promptlift.world import bundle
from promptlift.world.oracle import judge, load_oracle
from promptlift.world.scenes import COLOURS, FAULTS, HELD_OUT, PROMPTS, SHAPES, Scene, draw_scene
from promptlift.world.wanted import Wanted

COUNT = 1000
SEEDS = 3  # of each of the 96 prompts, with the settings of the preset; 1 with others
OTHERS = [(1.0, STEPS), (3.0, STEPS), (5.0, STEPS), (10.0, STEPS), (GUIDANCE, 10), (GUIDANCE, 50)]
PRAISE = "highly detailed, sharp focus"
COMBINATIONS = [f"{colour} {shape}" for shape in SHAPES for colour in COLOURS]


def share(values: npt.ArrayLike) -> list[float]:
    """Share with its 95% interval (Wilson), and of how many."""
    array = np.asarray(values, bool)
    low, high = wilson(int(array.sum()), len(array))
    return [round(float(array.mean()), 4), round(low, 4), round(high, 4), len(array)]


def truth(scene: Scene) -> Wanted:
    """All that is true of a scene."""
    first, *others = scene.things
    return Wanted(
        shape=first.shape,
        colour=first.colour,
        number=None if scene.relation else len(scene.things),
        size=scene.size,
        relation=scene.relation,
        other_shape=others[0].shape if scene.relation else None,
        other_colour=others[0].colour if scene.relation else None,
        position=scene.position,
        background=scene.background,
        style=scene.style,
    )


def measure_oracle(folder: Path, scenes: list[Scene], pictures: Pictures) -> dict[str, Any]:
    """Share of true facts that an oracle finds, by fault and style; and what it sees wrongly."""
    readings = load_oracle(folder).read(pictures)
    rows = []
    for scene, reading in zip(scenes, readings, strict=True):
        there = {thing.shape for thing in scene.things}
        rows.append(
            {
                **judge(truth(scene), reading),
                "clean or not": (reading.fault == "clean") == (scene.fault == "clean"),
                "fault": reading.fault == scene.fault,
                "sees a shape that is not there": any(t.shape not in there for t in reading.things),
            }
        )

    def table(chosen: Callable[[Scene], bool]) -> dict[str, list[float]]:
        mine = [row for scene, row in zip(scenes, rows, strict=True) if chosen(scene)]
        names = dict.fromkeys(name for row in mine for name in row)
        return {name: share([row[name] for row in mine if name in row]) for name in names}

    cleans = np.array([reading.clean for reading in readings])
    return {
        "all": table(lambda scene: True),
        **{fault: table(lambda scene, f=fault: scene.fault == f) for fault in FAULTS},  # type: ignore[misc]
        # A metric that likes a style would make what adds that style look good.
        "by style, clean pictures": {
            style: {
                **table(lambda scene, s=style: scene.style == s and scene.fault == "clean"),  # type: ignore[misc]
                "probability of clean": interval(
                    cleans[[scene.style == style and scene.fault == "clean" for scene in scenes]]
                ),
            }
            for style in dict.fromkeys(sorted(scene.style for scene in scenes))
        },
    }


def measure_vae(models: Path, scenes: list[Scene], pictures: Pictures) -> dict[str, Any]:
    """Error of decoded latents in grey levels, and what the oracle still finds in them."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(models / "base", subfolder="vae").float().eval()
    latents = encode(vae, pictures)
    with torch.no_grad():
        parts = [
            to_pictures(vae.decode(latents[at : at + 50]).sample) for at in range(0, COUNT, 50)
        ]
    decoded = np.concatenate(parts)
    error = decoded.astype(np.float64) - pictures
    squares = (error**2).mean((1, 2, 3))
    oracle = load_oracle(models / "oracle")
    found: dict[str, Any] = {
        "mean absolute error of 255": interval(np.abs(error).mean((1, 2, 3))),
        "PSNR in dB": interval(10 * np.log10(255**2 / squares)),
        "PSNR in dB, noisy pictures left out": interval(
            10 * np.log10(255**2 / squares[[scene.fault != "noisy" for scene in scenes]])
        ),
    }
    for name, shown in (("renders", pictures), ("decoded", decoded)):
        readings = oracle.read(shown)
        facts = [
            judge(truth(scene), reading) for scene, reading in zip(scenes, readings, strict=True)
        ]
        clean = np.array([scene.fault == "clean" for scene in scenes])
        for fact in ("shape", "colour", "style", "background"):
            values = [one[fact] for one in facts]
            found[f"{fact} found in {name}"] = share(values)
            found[f"{fact} found in clean {name}"] = share(np.array(values)[clean])
        called = np.array([reading.fault == "clean" for reading in readings])
        found[f"clean {name} called clean"] = share(called[clean])
        found[f"faulty {name} called clean"] = share(called[~clean])
        for what in ("style", "background"):  # what a prompt adds changes what the VAE blurs
            kinds = np.array([getattr(scene, what) for scene in scenes])
            found[f"clean {name} called clean, by {what}"] = {
                kind: share(called[clean & (kinds == kind)]) for kind in np.unique(kinds).tolist()
            }
    return found


def retrieval(similarity: npt.NDArray[np.float64], captions: list[str]) -> dict[str, Any]:
    """R@1 and R@5 both ways, where equal captions are one caption.

    A caption finds its picture if any picture that was given the same caption is among the first
    k; a picture finds its caption among the distinct captions. A picture that fits a caption but
    was given another is a miss.

    Args:
        similarity: of captions with pictures, [captions, pictures].
        captions: of the pictures.
    """
    first: dict[str, int] = {}
    for place, text in enumerate(captions):
        first.setdefault(text, place)
    distinct = list(first)
    number = {text: place for place, text in enumerate(distinct)}
    own = np.array([number[text] for text in captions])
    rows = similarity[[first[text] for text in distinct]]
    found: dict[str, Any] = {"pictures": len(captions), "distinct captions": len(distinct)}
    pictures_of = np.argsort(-rows, axis=1, kind="stable")
    captions_of = np.argsort(-rows, axis=0, kind="stable").T
    for k in (1, 5):
        hits = (own[pictures_of[:, :k]] == np.arange(len(distinct))[:, None]).any(1)
        found[f"caption to picture R@{k}"] = share(hits)
        found[f"picture to caption R@{k}"] = share((captions_of[:, :k] == own[:, None]).any(1))
    return found


def measure_clip(folder: Path, scenes: list[Scene], pictures: Pictures, control: bool) -> Any:
    """Retrieval among all captions, and among the detailed ones."""
    encoder = load_clip(str(folder), offline=True, device="cpu")
    texts = [
        caption(scene, np.random.default_rng((7, place)), control=control)
        for place, scene in enumerate(scenes)
    ]
    features = encoder.encode_images([Image.fromarray(picture) for picture in pictures])
    similarity = unit(encoder.texts(texts)) @ unit(features).T
    long = [place for place, text in enumerate(texts) if text.count(",") > 2]
    return {
        "all captions": retrieval(similarity, texts),
        "four phrases or more": retrieval(similarity[np.ix_(long, long)], [texts[i] for i in long]),
    }


def measure_drawing(models: Path, work: Path) -> list[dict[str, Any]]:
    """What the oracle finds in pictures of one thing, by settings; intervals over prompts."""
    oracle = load_oracle(models / "oracle")
    found = []
    scores: dict[tuple[str, bool], Values] = {}

    def add(refiner: bool, guidance: float, steps: int, seeds: int, suffix: str = "") -> None:
        album = Album(
            work / "drawing",
            models / "base",
            models / "refiner" if refiner else None,
            steps=steps,
            guidance=guidance,
        )
        asked = [prompt for prompt in COMBINATIONS for _ in range(seeds)]
        noise = [number * SEEDS + seed for number in range(96) for seed in range(seeds)]
        name = f"{'refined' if refiner else 'base'}-{guidance:g}-{steps}{'-praise' * bool(suffix)}"
        pictures = album.pictures(name, [prompt + suffix for prompt in asked], noise)
        values = judged(oracle, asked, pictures)
        row = {"prompts": "praised" if suffix else "plain", **album.settings}
        for fact in ("shape", "colour", "number", "clean", "score"):
            row[fact] = interval(values[fact], asked)
        readings = oracle.read(pictures)
        row["colour of anything"] = interval(
            np.array(
                [
                    float(any(thing.colour == prompt.split()[0] for thing in reading.things))
                    for prompt, reading in zip(asked, readings, strict=True)
                ]
            ),
            asked,
        )
        row["called clean"] = interval(
            np.array([float(reading.fault == "clean") for reading in readings]), asked
        )
        by_shape = {
            shape: values["shape"][[one.endswith(f" {shape}") for one in asked]].mean()
            for shape in SHAPES
        }
        if (guidance, steps) == (GUIDANCE, STEPS):
            scores[suffix, refiner] = values["score"]
        if refiner:
            less = paired_test(scores[suffix, False], values["score"], asked)
            row["score less without the refiner"] = {k: round(v, 4) for k, v in less.items()}
        row["shape found, by shape"] = {name: round(v, 3) for name, v in by_shape.items()}
        found.append(row)
        print(json.dumps(row), flush=True)

    add(False, GUIDANCE, STEPS, SEEDS)
    add(False, GUIDANCE, STEPS, 1, f", {PRAISE}")
    for guidance, steps in OTHERS:
        add(False, guidance, steps, 1)
    if (models / "refiner").exists():
        add(True, GUIDANCE, STEPS, SEEDS)
        add(True, GUIDANCE, STEPS, 1, f", {PRAISE}")
    return found


def make_sheet(models: Path, work: Path, path: Path) -> dict[str, Any]:
    """64 pictures of random captions, eight in a row, and the captions."""
    captions = [
        caption(draw_scene(PROMPTS + 5_000_000 + place), np.random.default_rng((8, place)))
        for place in range(64)
    ]
    album = Album(work / "drawing", models / "base")
    pictures = album.pictures("sheet", captions, range(64))
    rows = [np.concatenate(list(pictures[at : at + 8]), axis=1) for at in range(0, 64, 8)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        Image.fromarray(np.concatenate(rows)).quantize(256).save(temporary, "PNG", optimize=True)
    return {**album.settings, "captions, row by row": captions}


def shown(values: list[float]) -> str:
    """A figure with its interval."""
    return "{:.3f} ({:.3f} to {:.3f})".format(*values[:3])


def oracle_table(found: dict[str, Any]) -> str:
    """Facts that the oracle finds in renders, and after the VAE, as Markdown."""
    oracle, vae = found["oracle"], found["vae"]
    of_clean, of_all = (f"{oracle[name]['shape'][3]:,}" for name in ("clean", "all"))
    lines = [
        f"| | found in clean renders ({of_clean}) | in all ({of_all}) | in clean renders that went "
        "through the VAE |",
        "| --- |" + " ---: |" * 3,
    ]
    for fact, name in (
        ("shape", "shape"),
        ("colour", "colour of that shape"),
        ("style", "style"),
        ("background", "background"),
        ("clean or not", "clean or not"),
        ("position", "position, of one thing"),
    ):
        decoded = vae.get(f"{fact} found in clean decoded")
        cells = [shown(oracle["clean"][fact]), shown(oracle["all"][fact])]
        cells.append(shown(decoded) if decoded else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def drawing_table(rows: list[dict[str, Any]]) -> str:
    """What the oracle finds in drawings, by prompts and settings, as Markdown."""
    lines = [
        "| prompts | refiner | steps | guidance | pictures | shape | colour, anywhere "
        "| called clean | oracle's score |",
        "| --- | --- |" + " ---: |" * 7,
    ]
    for row in rows:
        cells = [
            f'"red star{f", {PRAISE}" if row["prompts"] == "praised" else ""}"',
            "yes" if row["refiner"] else "no",
            str(row["num_inference_steps"]),
            f"{row['guidance_scale']:g}",
            str(row["shape"][3]),
            *(shown(row[key]) for key in ("shape", "colour of anything", "called clean", "score")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", type=Path, default=bundle.MODELS)
    parser.add_argument("--clip-control", type=Path, help="CLIP of the control world")
    parser.add_argument("--work", type=Path, required=True, help="keeps renders and pictures")
    parts = ["oracle", "reader", "vae", "clip", "drawing", "sheet"]
    parser.add_argument("--parts", nargs="+", default=parts)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/world"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.output / "models.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    scenes = [draw_scene(HELD_OUT + place) for place in range(COUNT)]
    pictures = np.array(renders_of(args.work, HELD_OUT, COUNT, print))
    for part in args.parts:
        if part in ("oracle", "reader"):
            found[part] = measure_oracle(args.models / part, scenes, pictures)
        elif part == "vae":
            found[part] = measure_vae(args.models, scenes, pictures)
        elif part == "clip":
            found[part] = {"world": measure_clip(args.models / "clip", scenes, pictures, False)}
            if args.clip_control:
                found[part]["control"] = measure_clip(args.clip_control, scenes, pictures, True)
        elif part == "drawing":
            found[part] = measure_drawing(args.models, args.work)
        elif part == "sheet":
            found[part] = make_sheet(args.models, args.work, args.output / "sheet.png")
        else:
            parser.error(f"{part} is no part")
        args.output.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
        print(part, json.dumps(found[part], indent=1), flush=True)
    if "oracle" in found and "vae" in found:
        print(oracle_table(found))
    if "drawing" in found:
        print(drawing_table(found["drawing"]))


if __name__ == "__main__":
    main()
