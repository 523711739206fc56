"""CLIP's token count, by hand and against transformers' tokenizer on the same merges."""

import gzip
import os
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from promptlift.prompts.clip_tokens import count_clip_tokens


@pytest.fixture(scope="module")
def reference() -> CLIPTokenizer:
    packed = (files("promptlift.prompts") / "clip_merges.txt.gz").read_bytes()
    merges = [tuple(line.split()) for line in gzip.decompress(packed).decode().splitlines()]
    alphabet = sorted(ByteLevel.alphabet())
    pieces = [*alphabet, *(char + "</w>" for char in alphabet), *("".join(pair) for pair in merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    assert len(pieces) == 49_408  # the size of CLIP's vocabulary
    return CLIPTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("", 0),
        ("a cat in armor", 4),
        ("A  CAT\tin\narmor", 4),
        ("8k", 2),
        ("a cat, 35 mm", 6),  # a, cat, comma, 3, 5, mm
    ],
)
def test_counts_known_prompts(prompt: str, tokens: int) -> None:
    assert count_clip_tokens(prompt) == tokens


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_counts_as_transformers_does(reference: CLIPTokenizer, prompt: str) -> None:
    ids = reference(prompt, add_special_tokens=False)["input_ids"]
    if "<|" not in prompt:  # special tokens written out are text to us
        assert count_clip_tokens(prompt) == len(ids)


@pytest.mark.slow
def test_counts_the_collection_as_transformers_does(reference: CLIPTokenizer) -> None:
    """All that people wrote and the evaluation sets; SDXL's two tokenizers have one vocabulary."""
    data = Path(os.environ.get("PROMPTLIFT_DATA") or Path(__file__).parents[3] / "shared" / "data")
    files_ = sorted((data / "eval").glob("*.txt"))
    if not files_:
        pytest.skip("the collection of prompts is not here")
    import pyarrow.parquet as parquet

    prompts = {line for path in files_ for line in path.read_text("utf-8").split("\n")}
    for path in sorted(data.glob("*.parquet")):
        for column in parquet.read_table(path).columns:
            prompts.update(value for value in column.to_pylist() if isinstance(value, str))
    chosen = sorted(prompts)
    expected = reference(chosen, add_special_tokens=False)["input_ids"]
    wrong = [
        prompt
        for prompt, ids in zip(chosen, expected, strict=True)
        if count_clip_tokens(prompt) != len(ids) and "<|" not in prompt
    ]
    assert wrong == []
