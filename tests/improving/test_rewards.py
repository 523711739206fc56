"""A reward head, and the best phrases of several drafts."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.errors import ConfigError, ModelError
from promptlift.export.export import export_model
from promptlift.improving.codec import Codec
from promptlift.improving.config import DecodingConfig, resolve_options
from promptlift.improving.decoding.drafts import best_of, streams_of
from promptlift.improving.decoding.loop import Generated, generate, random_stream
from promptlift.improving.engines.onnx import onnx_engine
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.improver import Improver
from promptlift.improving.manifest import Manifest, ModelCard
from promptlift.improving.reward_head import REWARD_FILE, Fluency, RewardHead
from tests.conftest import HEADS, NEEDS_BUNDLED

LAYER = 1


@pytest.fixture(scope="module")
def judging(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with a reward head."""
    folder = tmp_path_factory.mktemp("judging") / "llama"
    shutil.copytree(llama_folder, folder)
    width = load_torch(str(folder)).engine.model.config.hidden_size
    weight = np.random.default_rng(2).normal(size=width).astype(np.float32)
    RewardHead(LAYER, weight, 0.25, Fluency(0.5, 0.25)).write(folder)
    return folder


@pytest.fixture(scope="module", params=["fp32", "int8", "int4"])
def exported_judging(
    request: pytest.FixtureRequest,
    judging: Path,
    own_words: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "export"
    export_model(judging, folder, precision=request.param, calibration=own_words)
    return folder


def test_a_reward_is_the_product_with_the_hidden_state(judging: Path) -> None:
    import torch

    loaded = load_torch(str(judging))
    head = RewardHead.read(judging)
    assert head is not None and loaded.engine.fluency == Fluency(0.5, 0.25)
    [source] = loaded.codec.encode(["a cat in armor"])
    input_ids, mask = loaded.codec.pad([source])
    state = loaded.engine.start(input_ids, mask)
    start, token = loaded.codec.special.decoder_start, source[0]
    found = [state.step(np.array([one])).rewards for one in (start, token)]
    with torch.no_grad():
        hidden = loaded.engine.model.model(
            torch.tensor([[*source, start, token]]), output_hidden_states=True
        ).hidden_states[LAYER][0, -2:]
    expected = hidden.numpy() @ head.weight + head.bias
    assert np.concatenate([one for one in found if one is not None]) == pytest.approx(
        expected, abs=1e-4
    )


def test_exports_give_the_rewards_of_pytorch_in_any_batch(
    judging: Path, exported_judging: Path
) -> None:
    loaded = load_torch(str(judging))
    precision = Manifest.read(exported_judging).precision
    engine = onnx_engine(exported_judging, "llama", threads=1)
    assert engine.fluency == loaded.engine.fluency == Fluency(0.5, 0.25)
    sources = loaded.codec.encode(HEADS)
    start = np.full(len(sources), loaded.codec.special.decoder_start)
    tokens = np.array([source[0] for source in sources])

    def rewards(engine: object, rows: slice) -> np.ndarray:
        input_ids, mask = loaded.codec.pad(sources[rows])
        state = engine.start(input_ids, mask)  # type: ignore[attr-defined]
        state.step(start[rows])
        return np.asarray(state.step(tokens[rows]).rewards)

    together = rewards(engine, slice(None))
    expected = rewards(loaded.engine, slice(None))
    tolerance = {"fp32": 1e-4, "int8": 0.2, "int4": 1.0}[precision]
    assert np.abs(together - expected).max() < tolerance * np.abs(expected).max()
    if precision != "fp32":
        alone = [rewards(engine, slice(row, row + 1))[0] for row in range(len(sources))]
        assert alone == together.tolist()


def test_results_with_drafts_do_not_depend_on_the_batch(exported_judging: Path) -> None:
    if Manifest.read(exported_judging).precision == "fp32":
        pytest.skip("its logits depend on the batch")
    improver = Improver.load(exported_judging, threads=1)
    options: dict[str, Any] = {"seed": 3, "best_of": 3, "max_new_tokens": 8, "guards": False}
    together = [one.prompt for [one] in improver.improve(HEADS, batch_size=4, **options)]
    assert together == [improver.improve(head, **options)[0].prompt for head in HEADS]


def test_a_model_without_a_head_is_told(exported: Path, llama_folder: Path) -> None:
    for folder in (exported, llama_folder):
        with pytest.raises(ConfigError, match="has no reward head"):
            Improver.load(folder).improve("a cat", best_of=2)


def test_a_damaged_head_and_one_of_another_model_are_told(judging: Path, tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    shutil.copytree(judging, folder)
    (folder / REWARD_FILE).write_bytes(b"no archive")
    with pytest.raises(ModelError, match="is no reward head"):
        load_torch(str(folder))
    RewardHead(LAYER, np.ones(3, dtype=np.float32), 0.0).write(folder)
    with pytest.raises(ModelError, match="belongs to another model"):
        load_torch(str(folder))


@pytest.fixture(scope="module")
def codec(llama_folder: Path) -> Codec:
    return load_torch(str(llama_folder)).codec


def draft(codec: Codec, text: str, rewards: dict[str, float], *, ended: bool = True) -> Generated:
    """A text whose phrases have these rewards at their last token, and high ones elsewhere.

    The tokens of a phrase are all unlikely, or, in every second one, the first alone, and more so;
    commas are the most unlikely.
    """
    tokens, found, likely = [], list[float](), list[float]()
    for place, (phrase, reward) in enumerate(rewards.items()):
        assert phrase in text
        [own] = codec.encode_targets([f", {phrase}" if place else phrase])
        tokens += own[:-1]
        found += [9.0] * (len(own) - 2) + [reward]
        comma = [-50.0] if place else []
        size = len(own) - 1 - len(comma)
        likely += comma + ([-4.0] + [0.0] * (size - 1) if place % 2 else [-2.0] * size)
    assert codec.decode(tokens) == text
    return Generated(tokens, ended, found if ended else found[:-1], likely)


def test_the_best_phrases_of_all_drafts_are_kept(codec: Codec) -> None:
    first = draft(codec, "soft light, sharp focus", {"soft light": 0.5, "sharp focus": -0.9})
    second = draft(codec, "misty morning, 4k", {"misty morning": 0.8, "4k": -0.4})
    both = [first, second]
    assert best_of(both, codec, Fluency()).text == "misty morning, soft light"
    asked = best_of(both, codec, Fluency(), included=["Sharp Focus"])
    assert asked.text == "sharp focus, misty morning, soft light"
    # As many are added as the first draft has; the others wait for one that cannot be.
    third = draft(codec, "blue sky, sea", {"blue sky": 0.9, "sea": 0.4})
    more = best_of([*both, third], codec, Fluency())
    assert (more.text, more.most) == ("blue sky, misty morning, soft light, sea", 2)
    # Of nothing good the best is kept.
    poor = draft(codec, "4k, sharp focus", {"4k": -0.9, "sharp focus": -0.8})
    assert best_of([poor, poor], codec, Fluency()).text == "sharp focus"


def test_likely_phrases_come_before_unlikely_ones(codec: Codec) -> None:
    both = draft(codec, "soft light, misty morning", {"soft light": 0.4, "misty morning": 0.3})
    assert len(codec.encode_targets([", misty morning"])[0]) > 4  # a comma, two and more, the end
    for fluency, first in (
        (Fluency(), "soft light"),
        (Fluency(mean=1), "misty morning"),  # -2 and less than that
        (Fluency(least=1), "soft light"),  # -2 and -4
    ):
        text = best_of([both], codec, fluency).text
        assert text is not None and text.startswith(first)


def test_probabilities_are_those_of_the_model_without_rules(judging: Path) -> None:
    loaded = load_torch(str(judging))
    special = loaded.codec.special
    input_ids, mask = loaded.codec.pad(loaded.codec.encode(HEADS[:3]))
    found = generate(
        loaded.engine,
        input_ids,
        mask,
        DecodingConfig(temperature=1.7, repetition_penalty=1.5, top_k=5, max_new_tokens=9),
        [random_stream(3, 0, head) for head in HEADS[:3]],
        decoder_start=special.decoder_start,
        eos=special.eos,
        suppressed=np.arange(20, 60),
    )
    for row, one in enumerate(found):
        source = input_ids[row : row + 1, : mask[row].sum()]
        expected = loaded.engine.token_log_probabilities(source, one.tokens)
        assert one.log_probabilities[: len(one.tokens)] == pytest.approx(expected, abs=1e-4)


@NEEDS_BUNDLED
def test_as_many_are_added_as_the_first_draft_has() -> None:
    improver = Improver.load("writer", threads=1)
    options: dict[str, Any] = {"temperature": 0.8, "seed": 0, "max_new_tokens": 16}
    unchecked: dict[str, Any] = {"guards": False, "coherent": False, "keep_intent": False}
    for [one], [several] in zip(
        improver.improve(HEADS, **options, **unchecked, best_of=1),
        improver.improve(HEADS, **options, best_of=8),
        strict=True,
    ):
        assert 1 <= len(several.additions) <= max(1, len(one.additions))


def test_what_was_forced_comes_first_and_what_is_unfinished_not_at_all(codec: Codec) -> None:
    first = draft(codec, "4k, soft light", {"4k": -0.9, "soft light": 0.1})
    second = draft(codec, "4k, misty morning", {"4k": -0.9, "misty morning": 0.8}, ended=False)
    forced = len(codec.encode_targets(["4k"])[0]) - 1
    assert best_of([first, second], codec, Fluency(), forced).text == "4k, soft light"


@given(seed=st.integers(0, 2**64 - 1), count=st.integers(2, 8))
def test_drafts_have_random_numbers_of_their_own(seed: int, count: int) -> None:
    first, *others = streams_of(random_stream(seed, 0, "a cat"), count)
    assert first.random() == random_stream(seed, 0, "a cat").random()
    assert len({stream.random() for stream in others} | {first.random()}) == count


def test_greedy_results_need_no_drafts(exported_judging: Path) -> None:
    improver = Improver.load(exported_judging, threads=1)
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 8, "guards": False}
    one, four = (improver.improve("a cat", best_of=count, **options)[0] for count in (1, 4))
    assert one.prompt == four.prompt


def test_a_temperature_that_is_given_is_that_of_the_drafts_too() -> None:
    card = ModelCard(
        name="judging",
        modes={"extend": ""},
        decoding={"temperature": 0.4, "best_of": 4, "draft_temperature": 0.8},
    )
    for options, expected in (
        ({}, (0.4, 0.8)),
        ({"temperature": 1.5}, (1.5, 1.5)),
        ({"temperature": 1.5, "draft_temperature": 0.9}, (1.5, 0.9)),
    ):
        decoding, _ = resolve_options(card, None, dict(options))
        assert (decoding.temperature, decoding.draft_temperature) == expected


def test_a_quotation_mark_in_the_comma_stays(codec: Codec) -> None:
    text = 'a sign "open", soft light'
    tokens = codec.encode_targets([text])[0][:-1]
    found = best_of([Generated(tokens, True, *[[0.5] * len(tokens)] * 2)] * 2, codec, Fluency())
    assert found.text is not None and sorted(found.text.split(", ")) == sorted(text.split(", "))
