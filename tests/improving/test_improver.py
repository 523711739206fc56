"""The Improver's promises: seeds, batches, modes, variants, verbatim words."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.improving.batch import PromptSource, improve_items
from promptlift.improving.improver import Improver
from promptlift.improving.keywords import Settings
from promptlift.improving.manifest import Manifest, ModelCard
from promptlift.prompts.clip_tokens import count_clip_tokens
from promptlift.prompts.syntax import parse
from promptlift.schema import OPTIONS
from tests.conftest import CopyOf

PROMPTS = ["a cat in armor", "old castle", "a lighthouse, soft light", "x " * 30, "🐱 中文", "4k"]
PER_PROMPT = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def test_results_do_not_depend_on_batch_order_or_n(improver: Improver) -> None:
    alone = [improver.improve(prompt, n=3, seed=5) for prompt in PROMPTS]
    assert improver.improve(PROMPTS, n=3, seed=5) == alone
    assert improver.improve(PROMPTS, n=3, seed=5, batch_size=1) == alone
    assert improver.improve(PROMPTS[::-1], n=3, seed=5, batch_size=4) == alone[::-1]
    assert [found[:1] for found in alone] == improver.improve(PROMPTS, n=1, seed=5)
    assert improver.improve(PROMPTS, seed=6) != [found[:1] for found in alone]


def test_a_stream_takes_prompts_as_they_are_needed(improver: Improver) -> None:
    taken = 0

    def prompts() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"castle {taken}"

    stream = improver.improve_stream(prompts(), seed=1, batch_size=1, max_new_tokens=2)
    assert next(stream)[0].source == "castle 1"
    assert taken == 16  # one window


@PER_PROMPT
@given(prompt=st.text(min_size=1, max_size=40).filter(str.strip), seed=st.integers(0, 2**40))
def test_extending_keeps_any_prompt_word_for_word(
    improver: Improver, prompt: str, seed: int
) -> None:
    try:
        [result] = improver.improve(prompt, seed=seed, max_new_tokens=12)
    except InputError:
        with pytest.raises(UnicodeEncodeError):
            prompt.encode()
        return
    assert result.prompt.startswith(prompt)
    assert (result.source, result.seed, result.variant, result.mode) == (prompt, seed, 0, "extend")
    if all(span.kind == "text" for span in parse(prompt)):  # hosts do not draw "{}" or "()"
        assert result.clip_tokens == count_clip_tokens(result.prompt)


def test_without_a_seed_one_is_drawn_and_repeats_the_result(improver: Improver) -> None:
    [first] = improver.improve("a lighthouse")
    assert improver.improve("a lighthouse", seed=first.seed) == [first]


def test_rewriting_and_the_papers_decoding(improver: Improver) -> None:
    [result] = improver.improve(
        "a lighthouse", mode="rewrite", preset="paper", seed=1, max_new_tokens=60
    )
    assert result.mode == "rewrite"
    [tokens] = improver.here.codec.encode([result.prompt])
    assert len(tokens) >= 20  # 39 at least were drawn


def test_log_probability_is_that_of_the_engine(improver: Improver) -> None:
    sources, targets = ["a cat", "a longer lighthouse on a cliff", "a cat"], ["4k", "", "oil, 4k"]
    together = improver.log_probability(sources, targets)
    alone = [improver.log_probability([s], [t])[0] for s, t in zip(sources, targets, strict=True)]
    np.testing.assert_array_equal(together, alone)
    assert (together < 0).all()
    assert improver.log_probability([], []).shape == (0,)


def test_long_targets_are_scored_whole(improver: Improver) -> None:
    long = "soft light, " * 150
    assert len(improver.here.codec.tokenizer.encode(long)) > 512  # where prompts are cut
    whole, longer = improver.log_probability(["a cat", "a cat"], [long, long + long])
    assert longer < 1.5 * whole


@pytest.mark.parametrize("top_k", [0, 50, 120])  # all logits, the largest, now these, now those
def test_exported_and_pytorch_models_give_the_same_words(
    t5v11_folder: Path, exported_fp32: Path, top_k: int
) -> None:
    exported, trained = Improver.load(exported_fp32), Improver.load(t5v11_folder)
    options: Settings = {"repetition_penalty": 1.2, "max_new_tokens": 30, "top_k": top_k}
    found = [
        [result.prompt for result in model.improve("a cat in armor", seed=3, n=4, **options)]
        for model in (exported, trained)
    ]
    assert found[0] == found[1]


def test_what_cannot_be_done_is_said_in_a_line(improver: Improver, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'expand'; it has: extend, rewrite"):
        improver.improve("a cat", mode="expand")
    with pytest.raises(ConfigError, match="threads is 0"):
        Improver.load(threads=0)
    with pytest.raises(ConfigError, match="n is 0"):
        improver.improve("a cat", n=0)
    with pytest.raises(InputError, match="prompt 1 is empty"):
        improver.improve(["a cat", " \n"])
    with pytest.raises(InputError, match="is int, not text"):
        improver.improve([3])  # type: ignore[list-item]
    with pytest.raises(InputError, match="2 sources and 1 targets"):
        improver.log_probability(["a", "b"], ["c"])
    with pytest.raises(ModelError, match="is no folder"):
        Improver.load(tmp_path / "missing")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        Improver.load("google/flan-t5-base")


def test_damaged_folders_are_told_apart(exported: Path, copy_of: CopyOf) -> None:
    folder = copy_of(exported)
    (folder / "decoder.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"decoder\.onnx is damaged"):
        Manifest.read(folder, verify=True)
    with pytest.raises(ModelError, match="cannot be loaded by ONNX Runtime"):
        Improver.load(folder)
    (folder / "decoder.onnx").unlink()
    with pytest.raises(ModelError, match=r"decoder\.onnx is missing"):
        Improver.load(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["card"]["future"] = 1
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"manifest\.json is faulty"):
        Improver.load(folder)
    (folder / "manifest.json").write_text('{"schema_version": 99}')
    with pytest.raises(ModelError, match="schema_version 99"):
        Improver.load(folder)


def test_cards_with_older_names_of_options_are_read(
    exported: Path, copy_of: CopyOf, tmp_path: Path
) -> None:
    folder = copy_of(exported)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["card"]["decoding"] = {"top_k": 7, "variety": 0.5, "budget": 30}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    improver = Improver.load(folder, threads=1)
    wanted = {"top_k": 7, "diversity": 0.5, "max_prompt_tokens": 30}
    assert improver.card.decoding == wanted
    [result] = improver.improve("a cat", seed=0)
    assert wanted.items() <= result.settings.items()
    card = {"schema_version": 1, "name": "old", "modes": {}, "decoding": {"lock": False}}
    (tmp_path / "promptlift.json").write_text(json.dumps(card))
    assert ModelCard.read(tmp_path).decoding == {"keep_intent": False}


@pytest.mark.parametrize("old", OPTIONS)
def test_older_names_of_options_are_no_aliases(improver: Improver, old: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown option '{old}'"):
        improver.improve("a cat", **{old: "never"})  # type: ignore[call-overload]


def test_a_real_model_improves_real_prompts() -> None:
    improver = Improver.load(threads=1)
    prompts = ["a cat in armor", "a lighthouse", "two dogs playing chess"] * 4
    results = improver.improve(prompts, seed=1)
    # Results of many lengths: rows leave the batch while others go on.
    assert len({len(result.additions) for [result] in results[:3]}) > 1
    assert results == [improver.improve(prompt, seed=1) for prompt in prompts]
    assert all(result.additions for [result] in results)
    assert all(result.clip_tokens <= 75 for [result] in results)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1 and must be a whole number from 0 to 18446744073709551615"),
        ({"seed": 1.5}, "seed is 1.5 and must be a whole number"),
        ({"seed": True}, "seed is True and must be a whole number"),
        ({"seed": 2**64}, "seed is 18446744073709551616 and must be"),
        ({"n": 100_000_000}, "n is 100000000 and must be a whole number from 1 to 10000"),
        ({"n": 1.0}, "n is 1.0 and must be a whole number"),
    ],
)
def test_numbers_that_no_receipt_could_hold_are_refused(
    bundled: Improver, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        bundled.improve("a cat", **options)


@pytest.mark.parametrize("threads", [0, -1, 9999, 1.5])
def test_threads_are_bounded(threads: Any) -> None:
    with pytest.raises(ConfigError, match=f"threads is {threads} and must be a whole number"):
        Improver.load(threads=threads)


@pytest.mark.parametrize("prompts", [5, None, "a cat"])
def test_what_is_no_sequence_of_prompts_is_refused(bundled: Improver, prompts: Any) -> None:
    with pytest.raises(InputError, match=r"prompts is .* and must be several texts"):
        bundled.improve_stream(prompts)


def test_a_prompt_that_is_no_text_is_named(bundled: Improver) -> None:
    with pytest.raises(InputError, match="prompt 1 is int, not text"):
        bundled.improve(["a cat", 5])  # type: ignore[list-item]


def test_a_model_with_one_mode_uses_it_where_none_is_named(paper_folder: Path) -> None:
    paper = Improver.load(paper_folder)
    [result] = paper.improve("a cat", seed=1, max_new_tokens=4)
    assert result.mode == "rewrite"
    assert result == paper.improve("a cat", seed=1, max_new_tokens=4, mode="rewrite")[0]
    prompts = PromptSource(prompts=["a"]).items()
    [[row]] = improve_items(paper.session(max_new_tokens=4), prompts, seed=0)
    assert row["mode"] == "rewrite"
    assert paper.log_probability(["a"], ["b"]) == paper.log_probability(
        ["a"], ["b"], mode="rewrite"
    )
    with pytest.raises(ConfigError, match=r"has not learned mode 'extend'; it has: rewrite"):
        paper.improve("a cat", mode="extend")
