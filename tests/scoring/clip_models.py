"""Tiny real CLIP and SigLIP models, preference weights, and runs with pictures of shapes."""

import gzip
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
import torch
from PIL import Image, ImageDraw
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
    CLIPTokenizer,
    SiglipConfig,
    SiglipModel,
    SiglipProcessor,
    SiglipTokenizer,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from promptlift.tables import write_rows

SHAPES = ("disc", "square", "cross", "bars")
COLOURS = ("red", "green", "blue", "gold")
ENDS = ("soft light, highly detailed", "oil on canvas", "sharp focus, 4k", "misty morning")
_BLOCK = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4
}  # fmt: skip


def clip_tokenizer() -> CLIPTokenizer:
    """OpenAI's CLIP tokenizer with its first merges alone: all of them take a second to load."""
    packed = (files("promptlift.prompts") / "clip_merges.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").splitlines()[:4000]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    alphabet = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]
    pieces = [*alphabet, *(char + "</w>" for char in alphabet), *(a + b for a, b in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def make_clip(
    folder: Path, *, seed: int = 0, width: int = 24, old_eos: bool = False, limit: int = 77
) -> Path:
    """A CLIP with random weights; `old_eos` as OpenAI's own configs have it."""
    torch.manual_seed(seed)
    tokenizer = clip_tokenizer()
    text = {
        **_BLOCK,
        "vocab_size": len(tokenizer),
        "max_position_embeddings": limit,
        "bos_token_id": 0 if old_eos else tokenizer.bos_token_id,
        "eos_token_id": 2 if old_eos else tokenizer.eos_token_id,
        "pad_token_id": 1 if old_eos else tokenizer.pad_token_id,
    }
    vision = {**_BLOCK, "image_size": 32, "patch_size": 8}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=width))
    _stir(model)
    # A direction that texts and pictures share, so that cosines are mostly above 0 as in a
    # trained CLIP.
    model.visual_projection.weight.data = model.text_projection.weight.data.clone()
    shared = torch.randn(_BLOCK["hidden_size"])
    model.text_model.final_layer_norm.bias.data += shared
    model.vision_model.post_layernorm.bias.data += shared
    model.save_pretrained(folder)
    prepare = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    CLIPProcessor(prepare, tokenizer).save_pretrained(folder)
    return folder


def make_siglip(folder: Path, *, seed: int = 0) -> Path:
    """A SigLIP with random weights and a SentencePiece tokenizer of a few hundred pieces."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model_file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"a {c} {s}, {e}" for c in COLOURS for s in SHAPES for e in ENDS]),
        model_writer=model_file,
        vocab_size=90,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    pieces = folder / "spiece.model"
    pieces.write_bytes(model_file.getvalue())
    tokenizer = SiglipTokenizer(vocab_file=str(pieces), model_max_length=16)
    text = {**_BLOCK, "vocab_size": 96, "max_position_embeddings": 16, "projection_size": 32}
    text |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    vision = {**_BLOCK, "image_size": 32, "patch_size": 8}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    _stir(model)
    model.logit_scale.data.fill_(1.5)
    model.logit_bias.data.fill_(-1.0)
    model.save_pretrained(folder)
    prepare = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    SiglipProcessor(prepare, tokenizer).save_pretrained(folder)
    return folder


def make_head(path: Path, *, width: int = 24, seed: int = 0) -> torch.nn.Sequential:
    """LAION's head with random weights, saved as it is published; returned to compare with."""
    torch.manual_seed(seed)
    layers = torch.nn.Sequential(
        torch.nn.Linear(width, 1024),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(1024, 128),
        torch.nn.Dropout(0.2),
        torch.nn.Linear(128, 64),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(64, 16),
        torch.nn.Linear(16, 1),
    ).eval()
    state = {f"layers.{name}": value for name, value in layers.state_dict().items()}
    torch.save(state, path)
    return layers


def shape_picture(shape: str, colour: str, *, seed: int = 0, size: int = 48) -> Image.Image:
    """A shape on a grey ground, where the seed puts it, with some grain."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (size, size), (120, 120, 120))
    draw = ImageDraw.Draw(image)
    x, y = (int(place) for place in random.integers(size // 4, size // 2, size=2))
    box = (x - size // 5, y - size // 5, x + size // 5, y + size // 5)
    if shape == "disc":
        draw.ellipse(box, fill=colour)
    elif shape == "square":
        draw.rectangle(box, fill=colour)
    elif shape == "cross":
        draw.line((box[0], y, box[2], y), fill=colour, width=4)
        draw.line((x, box[1], x, box[3]), fill=colour, width=4)
    else:
        for place in range(box[0], box[2], 6):
            draw.line((place, box[1], place, box[3]), fill=colour, width=3)
    grain = random.integers(-20, 21, size=(size, size, 1))
    pixels = np.clip(np.asarray(image, dtype=np.int64) + grain, 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def sources(count: int) -> list[str]:
    """So many different plain prompts."""
    found = [f"a {colour} {shape}" for shape in SHAPES for colour in COLOURS]
    return [f"{found[n % len(found)]}{' again' * (n // len(found))}" for n in range(count)]


def draw_run(
    folder: Path,
    *,
    prompts: int = 4,
    seeds: Sequence[int] = (1, 2),
    variants: int = 1,
    sides: Iterable[str] = ("original", "improved"),
) -> Path:
    """A run folder with pictures and their index, as `promptlift illustrate` leaves it."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for index, source in enumerate(sources(prompts)):
        for seed in seeds:
            for side in sides:
                for variant in range(variants if side == "improved" else 1):
                    improved = f"{source}, {ENDS[(index + variant) % len(ENDS)]}"
                    file = f"{index:06d}-{seed}-{side}-{variant}.png"
                    image = shape_picture(
                        SHAPES[index // len(COLOURS) % len(SHAPES)],
                        COLOURS[index % len(COLOURS)],
                        seed=1000 * index + 10 * seed + variant + (side == "improved"),
                    )
                    image.save(pictures / file)
                    rows.append(
                        index_row(
                            pictures / file,
                            prompt_index=index,
                            seed=seed,
                            side=side,
                            variant=variant,
                            prompt=improved if side == "improved" else source,
                            source=source,
                        )
                    )
    write_index(folder, rows)
    return folder


def index_row(path: Path, **values: Any) -> dict[str, Any]:
    """A row of the index for a picture file."""
    with Image.open(path) as image:
        width, height = image.size
    return {
        **values,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "width": width,
        "height": height,
        "negative": None,
        "settings": json.dumps({"num_inference_steps": 2}),
        "model": json.dumps([{"name": "tiny", "sha256": "0" * 64}]),
        "seconds": 0.1,
        "cut_tokens": 0,
    }


def write_index(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the index of a run's pictures."""
    write_rows(folder / "pictures" / "index.parquet", rows, list(rows[0]))


def _stir(model: Any) -> None:
    """Random weights as they begin put all features into nearly one direction."""
    for name, weight in model.named_parameters():
        if "logit" not in name and "norm" not in name:
            weight.data += 0.2 * torch.randn_like(weight)
