"""What plug-ins share, and what keeps them off the graphics card."""

import json
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError, ModelError
from promptlift.improving.engines.onnx_t5 import T5Engine
from promptlift.improving.improver import Improver
from promptlift.improving.tokenizer_file import in_old_format, read_tokenizer
from promptlift.improving.tools import ToolOptions, bundled_improver, improve_in_tool
from promptlift.prompts.picture_models.table import NAMES
from tests.conftest import POCKET


def test_each_prompt_has_its_own_seed_and_blank_ones_none(bundled: Improver) -> None:
    prompts, seeds = ["a cat", "", "a cat", "a lighthouse", "a cat"], [1, 2, 3, 1, 1]
    results = improve_in_tool(prompts, seeds, ToolOptions())
    for prompt, seed, result in zip(prompts, seeds, results, strict=True):
        expected = bundled.improve(prompt, seed=seed)[0].prompt if prompt else None
        assert (result and result.prompt) == expected


def test_the_picture_model_decides_what_the_options_leave_open(bundled: Improver) -> None:
    for name in NAMES:
        [result] = improve_in_tool(["a cat"], [3], ToolOptions(picture_model=name))
        [expected] = bundled.improve("a cat", seed=3, picture_model=name)
        assert result is not None
        assert (result.prompt, result.checks) == (expected.prompt, expected.checks)
        assert result.settings["form"] == expected.settings["form"]
    [result] = improve_in_tool(
        ["a cat"], [3], ToolOptions(picture_model="flux2", form="json", max_prompt_tokens=100)
    )
    assert result is not None and result.prompt.startswith('{"scene":')
    assert result.checks["encoder_limit"] == 100


def test_the_engine_runs_on_the_processor_alone() -> None:
    engine = bundled_improver().here.engine
    assert isinstance(engine, T5Engine)
    for session in (engine.encoder, engine.decoder):
        assert session.get_providers() == ["CPUExecutionProvider"]


@pytest.mark.parametrize(
    "wrong", [{"max_prompt_tokens": 0}, {"max_prompt_tokens": 7.5}, {"variant": 32}]
)
def test_numbers_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(ConfigError, match=f"{name} is .* a whole number from"):
        ToolOptions(**wrong)


def reads_the_same(folder: Path, old: Path) -> str:
    """The old format of a model's tokenizer, once it is seen to cut texts alike."""
    path = folder / "tokenizer.json"
    old.write_text(in_old_format(path.read_text("utf-8")))
    texts = ["extend: a cat in armor", "  two  spaces ", "naïve 猫", ""]
    new = [item.ids for item in read_tokenizer(path).encode_batch(texts)]
    assert [item.ids for item in read_tokenizer(old).encode_batch(texts)] == new
    return old.read_text()


def test_a_tokenizer_reads_the_same_in_the_old_format(llama_folder: Path, tmp_path: Path) -> None:
    unigram = reads_the_same(POCKET, tmp_path / "unigram.json")
    assert '"add_prefix_space": true' in unigram and "prepend_scheme" not in unigram
    bpe = json.loads(reads_the_same(llama_folder, tmp_path / "bpe.json"))
    merges = bpe["model"]["merges"]
    assert merges and all(isinstance(one, str) and one.count(" ") == 1 for one in merges)


def test_a_tokenizer_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text('{"model": 1}')
    with pytest.raises(ModelError, match=r"tokenizer.json cannot be read by tokenizers \d"):
        read_tokenizer(path)
