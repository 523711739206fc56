"""The paper's three CLIPScore pairings, here and by three calls of TorchMetrics.

    python -m benchmarks.scoring.clipscore_speed [--pairs 16] [--rounds 5] [--size 512] \
        [--output FILE]

Both begin with the same PNG files and the same ViT-B/16 with random weights (time does not depend
on their values), already loaded, and give the mean of each pairing: original prompt with original
picture, improved with improved, original prompt with improved picture. TorchMetrics is called as
its users call it, a call a pairing over all pairs in batches of the same size, with files decoded
once and no gradients kept, which its functional form would otherwise keep. Ours hashes and decodes
the files, and starts each round with an empty cache on disk. Rounds alternate; no picture or text
is cut, and the means must agree.
"""

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchmetrics
import transformers
from PIL import Image
from torchmetrics.functional.multimodal import clip_score as torchmetrics_clip_score
from transformers import AutoModel, AutoProcessor, CLIPConfig, CLIPModel, CLIPProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.similarity import clip_score
from tests.scoring.clip_models import (
    COLOURS,
    ENDS,
    SHAPES,
    clip_tokenizer,
    shape_picture,
    sources,
)

Means = list[float]


def make_model(folder: Path) -> Path:
    """CLIP ViT-B/16 as published, with random weights; its features share a direction."""
    torch.manual_seed(0)
    tokenizer = clip_tokenizer()
    text = {
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model = CLIPModel(CLIPConfig(text_config=text, vision_config={"patch_size": 16}))
    for projection in (model.text_projection, model.visual_projection):
        projection.weight.data.abs_()
    model.text_model.final_layer_norm.bias.data += 1.0
    model.vision_model.post_layernorm.bias.data += 1.0
    model.save_pretrained(str(folder))
    CLIPProcessor(CLIPImageProcessorPil(), tokenizer).save_pretrained(str(folder))
    return folder


def draw(folder: Path, pairs: int, size: int) -> list[Picture]:
    """Pictures of shapes: first the original ones, then the improved ones."""
    found = []
    for side in ("original", "improved"):
        for index, source in enumerate(sources(pairs)):
            path = folder / f"{side}-{index}.png"
            shape = SHAPES[index // len(COLOURS) % len(SHAPES)]
            seed = 2 * index + (side == "improved")
            shape_picture(shape, COLOURS[index % len(COLOURS)], seed=seed, size=size).save(path)
            found.append(
                Picture(
                    prompt_index=index,
                    seed=0,
                    side=side,
                    variant=0,
                    path=path,
                    sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    prompt=source if side == "original" else f"{source}, {ENDS[index % len(ENDS)]}",
                    source=source,
                )
            )
    return found


def ours(folder: Path, pictures: list[Picture], batch_size: int, work: Path) -> Callable[[], Means]:
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    count = len(pictures) // 2
    texts = [picture.prompt for picture in pictures]
    encoder = ClipEncoder(model.eval(), processor, "vit-b-16", batch_size=batch_size)

    def run() -> Means:
        path = work / "features.sqlite"
        path.unlink(missing_ok=True)
        cache = FeatureCache(path)
        encoder._cache, encoder._reader = cache, PictureReader(batch_size)
        shown = [
            encoder.pictures(pictures[start : start + batch_size])
            for start in range(0, len(pictures), batch_size)
        ]
        features, read = np.concatenate(shown), encoder.texts(texts)
        original, improved = slice(0, count), slice(count, None)
        pairings = ((original, original), (improved, improved), (original, improved))
        cache.close()
        return [float(clip_score(read[a], features[b]).mean()) for a, b in pairings]

    return run


def theirs(folder: Path, pictures: list[Picture], batch_size: int) -> Callable[[], Means]:
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    model.eval()
    count = len(pictures) // 2

    class Unwrapped:
        """The model as TorchMetrics expects it: transformers 5 wraps features in an output."""

        config = model.config

        def to(self, device: object) -> "Unwrapped":
            return self

        def get_image_features(self, *args: Any) -> Any:
            return model.get_image_features(*args).pooler_output

        def get_text_features(self, *args: Any) -> Any:
            return model.get_text_features(*args).pooler_output

    wrapped: Any = lambda: (Unwrapped(), processor)  # noqa: E731

    @torch.inference_mode()
    def run() -> Means:
        images = []
        for picture in pictures:
            with Image.open(picture.path) as image:
                pixels = np.array(image.convert("RGB"))
            images.append(torch.from_numpy(pixels).permute(2, 0, 1))
        texts = [picture.prompt for picture in pictures]
        original, improved = slice(0, count), slice(count, None)
        means = []
        for a, b in ((original, original), (improved, improved), (original, improved)):
            total = 0.0
            for start in range(0, count, batch_size):
                part = slice(start, start + batch_size)
                score = torchmetrics_clip_score(images[b][part], texts[a][part], wrapped)
                total += float(score) * len(texts[a][part])
            means.append(total / count)
        return means

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=512, help="side of the pictures, in pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    times: dict[str, list[float]] = {"promptlift": [], "torchmetrics": []}
    cpu: dict[str, list[float]] = {"promptlift": [], "torchmetrics": []}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        folder = make_model(work / "model")
        pictures = draw(work, args.pairs, args.size)
        calls = {
            "promptlift": ours(folder, pictures, args.batch_size, work),
            "torchmetrics": theirs(folder, pictures, args.batch_size),
        }
        for number in range(args.rounds + 1):
            means = {}
            for name, call in calls.items():
                started, busy = time.perf_counter(), time.process_time()
                means[name] = call()
                if number:  # the first round warms up
                    times[name].append(time.perf_counter() - started)
                    cpu[name].append(time.process_time() - busy)
            gap = max(abs(np.subtract(means["promptlift"], means["torchmetrics"])))
            print(f"round {number}: " + ", ".join(f"{n} {t[-1]:.2f} s" for n, t in times.items()
                                                  if t) + f", means {gap:.1e} apart")  # fmt: skip
            assert gap < 1e-4, means
    ratios = [b / a for a, b in zip(times["promptlift"], times["torchmetrics"], strict=True)]
    busy_ratios = [b / a for a, b in zip(cpu["promptlift"], cpu["torchmetrics"], strict=True)]
    report = {
        "pairs": args.pairs,
        "side_px": args.size,
        "batch_size": args.batch_size,
        "rounds": args.rounds,
        "promptlift_s": round(statistics.median(times["promptlift"]), 3),
        "torchmetrics_s": round(statistics.median(times["torchmetrics"]), 3),
        "times_faster": round(statistics.median(ratios), 2),
        "slowest_pair": round(min(ratios), 2),
        # Seconds of the processor: what other programs take at the same time does not count.
        "promptlift_cpu_s": round(statistics.median(cpu["promptlift"]), 3),
        "torchmetrics_cpu_s": round(statistics.median(cpu["torchmetrics"]), 3),
        "times_less_cpu": round(statistics.median(busy_ratios), 2),
        "smallest_cpu_ratio": round(min(busy_ratios), 2),
        "means": means["promptlift"],
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "torchmetrics": torchmetrics.__version__,
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
        },
    }
    print(json.dumps(report, indent=2))
    if args.output:
        args.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
