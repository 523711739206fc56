"""How many tokens a prompt has for the text encoder of a picture model.

CLIP is counted exactly. Other encoders are counted with their own tokenizer where its file is on
this machine, and estimated otherwise; nothing is ever downloaded.
"""

import math
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from promptlift.errors import InputError
from promptlift.prompts.clip_tokens import count_parts
from promptlift.prompts.parts import parts_of
from promptlift.prompts.picture_models.table import CLIP
from promptlift.prompts.syntax import parse

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Names a folder with NAME.json or NAME/tokenizer.json, such as t5.json.
TOKENIZERS_VARIABLE = "PROMPTLIFT_TOKENIZERS"
# Repositories of the Hub, in whose cached files the tokenizer is looked for. Those of a family
# have one vocabulary: T5 and FLAN-T5 of any size, Qwen2.5 and Qwen3.
ENCODERS: dict[str, tuple[str, ...]] = {
    CLIP: (),
    "t5": (
        "google/t5-v1_1-xxl", "google/flan-t5-base", "google/flan-t5-small", "google-t5/t5-base",
        "google-t5/t5-small", "google/flan-t5-large", "google/flan-t5-xl", "google/flan-t5-xxl",
        "black-forest-labs/FLUX.1-dev:tokenizer_2", "black-forest-labs/FLUX.1-schnell:tokenizer_2",
        "stabilityai/stable-diffusion-3.5-large:tokenizer_3",
        "stabilityai/stable-diffusion-3.5-medium:tokenizer_3",
    ),
    "mistral": (
        "black-forest-labs/FLUX.2-dev:tokenizer", "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
        "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
    ),
    "qwen": (
        "Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-4B", "Qwen/Qwen3-8B",
        "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-8B-Instruct",
        "Qwen/Qwen-Image:tokenizer", "Tongyi-MAI/Z-Image-Turbo:tokenizer",
        "krea/Krea-2:tokenizer", "ideogram-ai/ideogram-4-fp8:tokenizer",
    ),
}  # fmt: skip
TITLES = {CLIP: "CLIP", "t5": "T5", "mistral": "Mistral", "qwen": "Qwen"}

# The estimate: pieces of a text, a word five letters each (two where capitals stand within it), a
# digit or sign one, any other character as many as it has bytes; then a quarter more and four.
# SmolLM2's tokenizer (49,152 pieces) needs more than that for 0.11% of 4,594 evaluation prompts. Of
# the 484 prompts with 100 pieces or more none needs more: 0.80 tokens a piece on average, 0.98 at
# most. MiniLM's (30,522 pieces) needs more for 0.02%, CLIP's for none.
_PIECE = re.compile(r"[A-Za-z]+|[^\sA-Za-z]")
_WORD, _SHOUTED = 5, 2
_FACTOR, _MORE = 1.25, 4
# Left to the tool that runs the picture model, which takes them out before it encodes.
_UNREAD = ("tag", "comment", "flag", "negative")


@dataclass(frozen=True)
class Count:
    """A number of tokens, and whether it is an estimate."""

    tokens: int
    estimated: bool


def count_tokens(prompt: str, encoder: str, *, markup: bool = False) -> Count:
    """The tokens of a prompt, without those of a template or an end.

    Args:
        prompt: the prompt.
        encoder: a key of `ENCODERS`.
        markup: whether weights and brackets are markup, and so not read. CLIP's tokens are those of
            the longest part around `BREAK` and `AND`.

    Raises:
        InputError: the tokenizer in the folder that PROMPTLIFT_TOKENIZERS names cannot be read.
    """
    if encoder == CLIP:
        return Count(max(count_parts(parts_of(parse(prompt)))), False)
    text = "".join(span.seen for span in parse(prompt)) if markup else prompt
    tokenizer = _tokenizer(encoder, os.environ.get(TOKENIZERS_VARIABLE, ""), _hub_cache())
    if tokenizer is None:
        return Count(estimate(text), True)
    return Count(len(tokenizer.encode(text, add_special_tokens=False).ids), False)


def read_by_tools(prompt: str) -> str:
    """A prompt without what tools take out before they encode it."""
    return "".join(span.text for span in parse(prompt) if span.role not in _UNREAD)


def estimate(text: str) -> int:
    """A number of tokens that few tokenizers exceed; see above."""
    pieces = 0
    for piece in _PIECE.findall(text):
        if not piece.isascii():
            pieces += len(piece.encode("utf-8", "replace"))
        elif piece.isalpha():
            pieces += -(
                -len(piece) // (_WORD if piece[1:].islower() or not piece[1:] else _SHOUTED)
            )
        else:
            pieces += 1
    return math.ceil(_FACTOR * pieces + _MORE) if pieces else 0


def _hub_cache() -> Path:
    """Where huggingface_hub keeps what was downloaded."""
    if found := os.environ.get("HF_HUB_CACHE"):
        return Path(found)
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else Path.home() / ".cache" / "huggingface") / "hub"


@lru_cache(16)
def _tokenizer(encoder: str, folder: str, cache: Path) -> "Tokenizer | None":
    from tokenizers import Tokenizer

    if folder:
        for path in (Path(folder, f"{encoder}.json"), Path(folder, encoder, "tokenizer.json")):
            if path.is_file():
                return _read(path)
    for name in ENCODERS[encoder]:
        repository, _, within = name.partition(":")
        snapshots = cache / f"models--{repository.replace('/', '--')}" / "snapshots"
        for path in sorted(snapshots.glob(f"*/{within or '.'}/tokenizer.json")):
            try:
                return _plain(Tokenizer.from_file(str(path)))
            except Exception:  # tokenizers raises nothing narrower; another file may do
                continue
    return None


def _read(path: Path) -> "Tokenizer":
    from tokenizers import Tokenizer

    try:
        return _plain(Tokenizer.from_file(str(path)))
    except Exception as error:  # tokenizers raises nothing narrower
        raise InputError(f"{path} is no tokenizer: {error}") from error


def _plain(tokenizer: "Tokenizer") -> "Tokenizer":
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
