"""Run folders with small pictures, as `illustrate` leaves them, and votes on them."""

import hashlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from promptlift.judging.collecting.study import Study
from promptlift.judging.records import JudgedPair, Rater
from promptlift.pictures import SIDES
from promptlift.tables import write_rows

_COLUMNS = ("prompt_index", "seed", "side", "variant", "file", "sha256", "prompt", "source")


def draw_run(folder: Path, prompts: int, *, seeds: int = 1, seed: int = 0) -> Path:
    """Originals of few colours and improved pictures of many, so that their files differ in size,
    with receipts that name the side, as real ones do."""
    rng = np.random.default_rng(seed)
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for index in range(prompts):
        for noise in range(seeds):
            for side in SIDES:
                side_px = 4 if side == SIDES[0] else 64
                few = rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
                image = Image.fromarray(few).resize((64, 64), Image.Resampling.NEAREST)
                text = PngImagePlugin.PngInfo()
                text.add_text("promptlift", json.dumps({"side": side, "prompt": f"scene {index}"}))
                buffer = io.BytesIO()
                image.save(buffer, "PNG", pnginfo=text)
                name = f"{index:06d}-s{noise}-{side}.png"
                (pictures / name).write_bytes(buffer.getvalue())
                rows.append(
                    {
                        "prompt_index": index,
                        "seed": noise,
                        "side": side,
                        "variant": None if side == SIDES[0] else 0,
                        "file": name,
                        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
                        "prompt": f"scene {index}" + (", sharp focus" if side != SIDES[0] else ""),
                        "source": f"scene {index}",
                    }
                )
    write_rows(pictures / "index.parquet", rows, _COLUMNS)
    return folder


def vote_all(study: Study, prefers: float | Callable[[JudgedPair], float], seed: int = 0) -> None:
    """Raters who prefer improved pictures so often, and answer the same of repeated pairs."""
    rng = random.Random(seed)
    for rater in study.store.raters():
        likes: dict[int, str] = {}
        while (place := study.store.place(rater, study.questions)).question is not None:
            found = study.store.task(rater, place.position)
            assert found is not None
            task, pair = found
            share = prefers(pair) if callable(prefers) else prefers
            better = "improved" if rng.random() < share else "original"
            better = likes.setdefault(pair.id, better)
            systems = ("spoiled", "whole") if task.purpose == "attention" else pair.systems
            liked = "whole" if task.purpose == "attention" else better
            left = systems[1] if task.swapped else systems[0]
            study.store.vote(
                rater,
                study.questions,
                position=place.position,
                question=place.question,
                answer="left" if left == liked else "right",
                seconds=1.0,
                page_version="test",
                key=f"{rater.name}-{place.position:04d}-{place.question}",
            )


def answer(study: Study, rater: Rater, choice: str, key: str) -> None:
    place = study.store.place(rater, study.questions)
    assert place.question is not None
    study.store.vote(
        rater,
        study.questions,
        position=place.position,
        question=place.question,
        answer=choice,
        seconds=1.5,
        page_version="test",
        key=key,
    )


def undo(study: Study, rater: Rater, key: str) -> None:
    study.store.undo(rater, study.questions, page_version="test", key=key)
