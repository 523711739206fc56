"""Run folders with small pictures, as `illustrate` leaves them."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

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
