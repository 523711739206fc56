"""What changes from one kind of processor to another, and what does not change on one.

    python -m benchmarks.improving.processors write HERE.json \
        [--parts improving drawing ...] [--prompts N]
    python -m benchmarks.improving.processors compare HERE.json THERE.json

`write` improves prompts with the bundled model, draws with the pocket world, trains a tiny model
and encodes renders with the pocket world's CLIP. It does each in several ways that are promised
to give the same (alone and in batches, with one thread and two, stopped and resumed), and counts
what differs. `compare` says how far two such files are apart.

Run `write` on two machines, or twice on one: environment variables hide instructions from
PyTorch and NumPy, but not from ONNX Runtime, which asks the processor itself; for that,
`qemu-x86_64 -cpu Haswell python -m benchmarks.improving.processors write ...` is a processor
without AVX-512. docs/determinism.md has the variables and the figures. The improving part needs
the base install alone.
"""

import argparse
import base64
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift import Improver

PROMPTS = Path(__file__).parents[1] / "prompts" / "intent_labels.jsonl"
VARIABLES = (
    "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS",
)  # fmt: skip
SHAPES = ("circle", "triangle", "ring", "square", "heart")
COLOURS = ("red", "yellow", "white", "blue")

Array = npt.NDArray[Any]


def improving(count: int, *, variants: int = 1, once: bool = False) -> dict[str, Any]:
    """Results by prompt, log-probabilities of fixed targets, and how many depend on the way.

    Args:
        count: prompts.
        variants: results of each that are kept.
        once: leave out the other ways.
    """
    rows = [json.loads(line) for line in PROMPTS.read_text("utf-8").splitlines()]
    phrases = {row["source"]: row["phrase"] for row in rows if "phrase" in row}
    sources = list(phrases)[:count]
    targets = [phrases[source] for source in sources]
    improver = Improver.load(threads=1)
    results = improver.improve(sources, seed=0, n=variants)
    kept = [result.prompt for several in results for result in several]
    scores = improver.log_probability(sources, targets)
    found = {
        "prompts": kept,
        "ids": improver.here.codec.encode_targets(kept),
        "log-probabilities": scores.tolist(),
    }
    if once:
        return {"differ from alone": {}, **found}
    other = Improver.load(threads=2)
    alone = [improver.improve(source, seed=0)[0] for source in sources]
    ways = {
        "in batches of 7": improver.improve(sources, seed=0, batch_size=7),
        "in batches of 64": improver.improve(sources, seed=0, batch_size=64),
        "backwards": improver.improve(sources[::-1], seed=0)[::-1],
        "with two threads": other.improve(sources, seed=0),
    }
    one_by_one = [
        improver.log_probability([source], [target])[0]
        for source, target in zip(sources, targets, strict=True)
    ]
    two_threads = other.log_probability(sources, targets)
    differing = {
        way: sum(one != result for one, [result] in zip(alone, results, strict=True))
        for way, results in ways.items()
    }
    differing["log-probabilities alone"] = int((scores != one_by_one).sum())
    differing["log-probabilities with two threads"] = int((scores != two_threads).sum())
    return {"differ from alone": differing, **found}


def drawing(count: int) -> dict[str, Any]:
    """Pictures of the pocket world, and how many depend on the way."""
    import torch

    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.illustrating.records import Request
    from promptlift.illustrating.sampling import noise_of

    prompts = [f"{colour} {shape}" for shape in SHAPES for colour in COLOURS][:count]
    requests = [Request(prompt=prompt, seed=seed) for seed, prompt in enumerate(prompts)]
    illustrator = Illustrator.load()

    def drawn(requests: Sequence[Request]) -> Array:
        return np.stack([np.asarray(item.image) for item in illustrator.draw_all(requests)])

    torch.set_num_threads(1)
    pictures, backwards = drawn(requests), drawn(requests[::-1])[::-1]
    torch.set_num_threads(2)
    two_threads = drawn(requests)
    torch.set_num_threads(1)
    base, size = (
        illustrator.diffusers.pipelines.base,
        {"width": illustrator.diffusers.width, "height": illustrator.diffusers.height},
    )
    noise = torch.cat([noise_of(base, seed, size)[0] for seed in range(count)]).numpy()
    return {
        "differ from alone": {
            "backwards": _pictures_that_differ(pictures, backwards),
            "with two threads": _pictures_that_differ(pictures, two_threads),
            "with two threads, levels": _largest(pictures, two_threads),
        },
        "noise": _packed(noise),
        "pictures": _packed(pictures),
    }


def training(count: int) -> dict[str, Any]:
    """Log and weights of a tiny model, and whether they depend on a stop or on threads."""
    import torch
    from safetensors.numpy import load_file

    from promptlift.records import Pair
    from promptlift.training.config import TrainingConfig
    from promptlift.training.train import train

    heads, ends = ("a cat", "an owl", "two dogs", "old castle"), ("4k", "soft light", "oil, mist")
    pairs = [Pair(source=head, target=end, mode="extend") for head in heads for end in ends] * 2
    config = TrainingConfig(
        vocab_size=300, d_model=32, d_ff=48, num_layers=1, num_decoder_layers=1, num_heads=2,
        batch_size=8, warmup_steps=2, epochs=4.0, precision="fp32", save_steps=2, logging_steps=1,
    )  # fmt: skip

    def stop(line: str) -> None:
        if line.startswith("step 5 of"):
            raise KeyboardInterrupt

    def weights(run: Path) -> Array:
        found = load_file(run / "model" / "model.safetensors")
        return np.concatenate([found[name].ravel() for name in sorted(found)])

    def unlike(first: Path, second: Path) -> int:
        logs = [(run / "log.csv").read_bytes() for run in (first, second)]
        return int(logs[0] != logs[1] or not np.array_equal(weights(first), weights(second)))

    with tempfile.TemporaryDirectory() as name:
        whole, parts, two = (Path(name) / part for part in ("whole", "parts", "two"))
        torch.set_num_threads(1)
        train(pairs, whole, config)
        try:
            train(pairs, parts, config, report=stop)
        except KeyboardInterrupt:
            train(pairs, parts, config)
        torch.set_num_threads(2)
        train(pairs, two, config)
        torch.set_num_threads(1)
        loss = np.genfromtxt(whole / "log.csv", delimiter=",", names=True)["loss"]
        return {
            "differ from alone": {
                "stopped and resumed": unlike(whole, parts),
                "with two threads": unlike(whole, two),
                "with two threads, weights": _largest(weights(whole), weights(two)),
            },
            "loss": _packed(loss[~np.isnan(loss)]),  # rows of an evaluation have none
            "weights": _packed(weights(whole)),
        }


def scoring(count: int) -> dict[str, Any]:
    """CLIPScores of renders of the pocket world, and how far they depend on the batch."""
    from PIL import Image

    from benchmarks.world.render import render
    from promptlift.scoring.pictures.clip_loading import load_clip
    from promptlift.scoring.pictures.similarity import clip_score
    from promptlift.world.captions import subject
    from promptlift.world.scenes import draw_scene

    scenes = [draw_scene(10_000_000 + seed) for seed in range(5 * count)]
    pictures = [Image.fromarray(render(scene)) for scene in scenes]
    captions = [subject(scene, np.random.default_rng(0)) for scene in scenes]
    clip = load_clip("pocket")
    scores = clip_score(clip.texts(captions), clip.encode_images(pictures))
    alone = np.concatenate([clip.encode_images([picture]) for picture in pictures])
    difference = np.abs(scores - clip_score(clip.texts(captions), alone)).max()
    return {
        "differ from alone": {"largest difference of a score in batches": float(difference)},
        "renders": _packed(np.stack([np.asarray(picture) for picture in pictures])),
        "scores": _packed(scores),
    }


PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "improving": improving, "drawing": drawing, "training": training, "scoring": scoring,
}  # fmt: skip


def compare(here: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """How far the results of two files are apart, part by part."""
    found: dict[str, Any] = {}
    for part in PARTS.keys() & here.keys() & there.keys():
        one, other = here[part], there[part]
        report: dict[str, Any] = {}
        for name in one.keys() - {"differ from alone"}:
            report[name] = _difference(one[name], other[name])
        found[part] = dict(sorted(report.items()))
    return dict(sorted(found.items()))


def _difference(one: Any, other: Any) -> dict[str, Any]:
    if isinstance(one, dict):
        one, other = _unpacked(one), _unpacked(other)
    if isinstance(one, list) and not isinstance(one[0], float):
        both = list(zip(one, other, strict=False))
        return {"of": len(both), "differ": sum(a != b for a, b in both)}
    first, second = np.asarray(one), np.asarray(other)
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
    return {
        "of": int(apart.size),
        "differ": int((apart > 0).sum()),
        "largest": _largest(first, second),
        "mean": float(apart.mean()),
        **({"pictures": _pictures_that_differ(first, second)} if first.dtype == np.uint8 else {}),
    }


def _pictures_that_differ(one: Array, other: Array) -> int:
    return sum(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _largest(one: Array, other: Array) -> float:
    return float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max())


def _packed(array: Array) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": str(array.dtype), "shape": list(array.shape), "data": data}


def _unpacked(given: dict[str, Any]) -> Array:
    data = np.frombuffer(base64.b64decode(given["data"]), dtype=given["dtype"])
    found: Array = data.reshape(given["shape"])
    return found


def _about(parts: Sequence[str]) -> dict[str, Any]:
    """What the figures were made with. PyTorch says which instructions it uses."""
    names = ["numpy", "onnxruntime"]
    about: dict[str, Any] = {"platform": platform.platform(), "parts": list(parts)}
    if set(parts) - {"improving"}:
        import torch

        names += ["torch", "diffusers", "transformers"]
        about["torch"] = torch.backends.cpu.get_cpu_capability()
    return {
        **about,
        "versions": {name: version(name) for name in names},
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("write")
    writing.add_argument("file", type=Path)
    writing.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    writing.add_argument("--prompts", type=int, default=179)
    writing.add_argument("--variants", type=int, default=1, help="Results of each prompt.")
    writing.add_argument("--once", action="store_true", help="Improve in one way, not in five.")
    writing.add_argument("--pictures", type=int, default=20)
    comparing = commands.add_parser("compare")
    comparing.add_argument("files", type=Path, nargs=2)
    args = parser.parse_args()
    if args.command == "compare":
        print(json.dumps(compare(*(json.loads(file.read_text()) for file in args.files)), indent=1))
        return
    found: dict[str, Any] = {"about": _about(args.parts)}
    print(json.dumps(found["about"]), flush=True)
    for part in args.parts:
        if part == "improving":
            found[part] = improving(args.prompts, variants=args.variants, once=args.once)
        else:
            found[part] = PARTS[part](args.pictures)
        print(part, json.dumps(found[part]["differ from alone"]), flush=True)
    args.file.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
