"""What the encoders are given: parity with diffusers, weights, chunks, and what is cut."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from hypothesis import given
from hypothesis import strategies as st

from promptlift.illustrating.attention import read_weights
from promptlift.illustrating.encoding import PromptEncoder, _chunks
from promptlift.prompts.syntax import parse

PROMPTS = ["a cat in armor", "", "Old castle,  oil on canvas!", "köln, 猫", "word " * 200]
LONG = ", ".join(f"detail number {number} of a photograph" for number in range(40))


@pytest.fixture(scope="module")
def base(sdxl: Path) -> Any:
    return StableDiffusionXLPipeline.from_pretrained(sdxl, add_watermarker=False)


@pytest.fixture(scope="module")
def sd(sd15: Path) -> Any:
    return StableDiffusionPipeline.from_pretrained(sd15)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_base_agrees_with_diffusers(base: Any, prompt: str) -> None:
    found = PromptEncoder(base, chunked=False).encode(prompt, "a second prompt")
    embeds, _, pooled, _ = base.encode_prompt(prompt, prompt_2="a second prompt")
    assert torch.equal(found.embeds, embeds)
    assert found.pooled is not None and torch.equal(found.pooled, pooled)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_stable_diffusion_agrees_with_diffusers(sd: Any, prompt: str) -> None:
    found = PromptEncoder(sd, chunked=False).encode(prompt)
    embeds, _ = sd.encode_prompt(prompt, "cpu", 1, False)
    assert torch.equal(found.embeds, embeds)
    assert found.pooled is None


def test_refiner_agrees_with_diffusers(base: Any, refiner: Path) -> None:
    pipeline = StableDiffusionXLImg2ImgPipeline.from_pretrained(
        refiner, text_encoder_2=base.text_encoder_2, vae=base.vae, add_watermarker=False
    )
    found = PromptEncoder(pipeline, chunked=False).encode("a cat", "two dogs")
    embeds, _, pooled, _ = pipeline.encode_prompt("a cat", prompt_2="two dogs")
    assert torch.equal(found.embeds, embeds) and found.embeds.shape[-1] == 32
    assert found.pooled is not None and torch.equal(found.pooled, pooled)


@pytest.mark.parametrize(
    ("prompt", "runs"),
    [
        ("a cat", [("a cat", 1)]),
        ("(a) b", [("a", 1.1), (" b", 1)]),
        ("((a))", [("a", 1.21)]),
        ("[a]", [("a", 1 / 1.1)]),
        ("(a:1.3), b", [("a", 1.3), (", b", 1)]),
        ("(a (b:1.5):2)", [("a ", 2), ("b", 3)]),
        (r"a \(b\)", [("a (b)", 1)]),
        ("(a", [("(a", 1)]),
        ("a <lora:x:0.8>b", [("a b", 1)]),
        ("{red|crimson} cat", [("crimson cat", 1)]),
        ("[cat:tiger:0.5]", [("tiger", 1)]),
        ("(:1.2)", []),
        ("(a <random:b,cc>:1.2) # d", [("a cc", 1.2), (" ", 1)]),
    ],
)
def test_weights_by_hand(prompt: str, runs: list[tuple[str, float]]) -> None:
    [part] = read_weights(prompt).parts
    assert [text for text, _ in part] == [text for text, _ in runs]
    assert [weight for _, weight in part] == pytest.approx([weight for _, weight in runs])


def test_what_is_not_applied_is_named() -> None:
    found = read_weights("a <lora:x:0.8> __animal__ [cat:dog:0.5] --ar 16:9").not_applied
    assert found[:2] == ("<lora:x:0.8>", "__animal__ (not filled in)")
    assert any("longest" in item for item in found) and any("--ar" in item for item in found)
    assert read_weights("(a:1.2) BREAK [b]").not_applied == ()


@given(st.text(alphabet="ab ,()[]{}|:<>.129BREAKND_\\", max_size=60))
def test_all_that_is_seen_is_read(prompt: str) -> None:
    reading = read_weights(prompt)
    read = "".join(text for part in reading.parts for text, _ in part)
    assert read == "".join(span.seen for span in parse(prompt))
    assert all(weight >= 0 or ":-" in prompt for part in reading.parts for _, weight in part)


def test_weight_one_changes_nothing_and_others_only_their_tokens(base: Any) -> None:
    encoder = PromptEncoder(base, chunked=False)
    plain, empty = encoder.encode("a cat in armor"), encoder.encode("")
    assert torch.equal(encoder.encode("a (cat:1.0) in armor").embeds, plain.embeds)
    strong = encoder.encode("a (cat:1.5) in armor")
    place = 2  # behind the start token and "a"
    expected = empty.embeds[0, place] + 1.5 * (plain.embeds[0, place] - empty.embeds[0, place])
    assert torch.allclose(strong.embeds[0, place], expected, atol=1e-6)
    others = [index for index in range(77) if index != place]
    assert torch.equal(strong.embeds[0, others], plain.embeds[0, others])
    assert torch.equal(strong.pooled, plain.pooled)  # type: ignore[arg-type]


def test_chunks_hold_every_token_in_order(base: Any) -> None:
    encoder = PromptEncoder(base, chunked=True)
    tokens = base.tokenizer(LONG, add_special_tokens=False, verbose=False).input_ids
    found = encoder.encode(LONG)
    assert (found.cut, found.cut_tokens) == ("", 0)
    assert len(found.embeds) == -(-len(tokens) // 75) > 3
    chunks, _ = _chunks(read_weights(LONG), base.tokenizer, chunked=True)
    assert [token for ids, _ in chunks for token in ids] == tokens
    for (ids, _), embeds in zip(chunks, found.embeds, strict=True):
        # Each chunk is what diffusers makes of its words alone.
        expected, _, _, _ = base.encode_prompt(base.tokenizer.decode(ids))
        assert torch.allclose(embeds, expected[0], atol=1e-5)


def test_words_are_not_split_between_chunks(base: Any) -> None:
    prompt = "cat " * 74 + "hyperphotorealisticness " * 3
    chunks, _ = _chunks(read_weights(prompt), base.tokenizer, chunked=True)
    assert len(chunks[0][0]) == 74
    for ids, _ in chunks:
        assert base.tokenizer.convert_ids_to_tokens(ids)[-1].endswith("</w>")


def test_the_default_cuts_and_says_what(base: Any) -> None:
    found = PromptEncoder(base, chunked=False).encode(LONG)
    assert len(found.embeds) == 1
    tokens = base.tokenizer(LONG, add_special_tokens=False, verbose=False).input_ids
    assert found.cut_tokens == len(tokens) - 75 > 0
    assert found.cut == base.tokenizer.decode(tokens[75:]).strip()


@pytest.mark.parametrize("count", [74, 75, 76, 150, 151])
def test_chunks_at_their_edges(base: Any, count: int) -> None:
    prompt = " ".join(["cat"] * count)
    assert len(PromptEncoder(base, chunked=True).encode(prompt).embeds) == -(-count // 75)
    assert PromptEncoder(base, chunked=False).encode(prompt).cut_tokens == max(0, count - 75)


def test_a_word_longer_than_a_chunk_is_split(base: Any) -> None:
    found = PromptEncoder(base, chunked=True).encode("q" * 400)
    assert found.cut_tokens == 0 and len(found.embeds) > 1


def test_break_begins_a_chunk(base: Any) -> None:
    encoder = PromptEncoder(base, chunked=False)
    found, first = encoder.encode("a cat BREAK two dogs"), encoder.encode("a cat")
    for chunk, prompt in zip(found.embeds, ("a cat ", " two dogs"), strict=True):
        assert torch.allclose(chunk, encoder.encode(prompt).embeds[0], atol=1e-5)
    assert found.pooled is not None and first.pooled is not None
    assert torch.allclose(found.pooled, first.pooled, atol=1e-5)


def test_a_second_prompt_of_another_length_is_padded(base: Any) -> None:
    encoder = PromptEncoder(base, chunked=True)
    found = encoder.encode("a cat", LONG)
    assert len(found.embeds) > 3
    # The padding is encoded among the chunks of its prompt, whose number may move rounding.
    torch.testing.assert_close(
        found.embeds[1, :, :32], encoder.encode("").embeds[0, :, :32], atol=1e-5, rtol=0
    )
