"""The PyTorch engine of decoder-only models against transformers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM, MistralConfig

from promptlift.errors import ModelError
from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.loop import generate
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.engines.torch_llama import LlamaEngine
from promptlift.improving.generation import Generator
from promptlift.improving.improver import Improver
from promptlift.improving.likelihood import token_log_probabilities
from promptlift.improving.model import LoadedModel

SOURCES = [[5, 9, 11, 300, 40], [7, 8], [30, 31, 32, 33, 34, 35, 36, 37, 38]]
STEPS = 12


@pytest.fixture(scope="module")
def loaded(llama_folder: Path) -> LoadedModel:
    return load_torch(str(llama_folder))


@pytest.fixture(scope="module")
def reference(llama_folder: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(llama_folder).eval()


def expected(model: LlamaForCausalLM, source: list[int], tokens: np.ndarray) -> np.ndarray:
    """Logits of transformers' own forward over one row, without padding or cache."""
    ids = torch.tensor([[*source, *tokens.tolist()]])
    with torch.no_grad():
        logits: np.ndarray = model(input_ids=ids).logits[0, len(source) :].numpy()
    return logits


def test_logits_equal_those_of_transformers_for_unequal_lengths(
    loaded: LoadedModel, reference: LlamaForCausalLM
) -> None:
    state = loaded.engine.start(*loaded.codec.pad(SOURCES))
    tokens = np.random.default_rng(5).integers(2, 340, size=(len(SOURCES), STEPS))
    found = [state.step(tokens[:, step]) for step in range(STEPS)]
    for row, source in enumerate(SOURCES):
        wanted = expected(reference, source, tokens[row])
        own = np.stack([logits.all()[row] for logits in found])
        np.testing.assert_allclose(own, wanted, atol=1e-4)
    np.testing.assert_array_equal(
        np.take_along_axis(found[0].all(), found[0].ids, axis=1), found[0].values
    )


def test_rows_may_be_repeated_and_left_out(
    loaded: LoadedModel, reference: LlamaForCausalLM
) -> None:
    state = loaded.engine.start(*loaded.codec.pad(SOURCES))
    state.step(np.array([0, 0, 0]))
    state.keep(np.array([2, 0, 2]))
    state.step(np.array([4, 5, 6]))
    state.keep(np.array([2, 1]))
    found = state.step(np.array([7, 8])).all()
    for row, (source, tokens) in enumerate([(2, [0, 6, 7]), (0, [0, 5, 8])]):
        wanted = expected(reference, SOURCES[source], np.array(tokens))[-1]
        np.testing.assert_allclose(found[row], wanted, atol=1e-4)


def test_greedy_output_equals_transformers_token_for_token(
    loaded: LoadedModel, reference: LlamaForCausalLM
) -> None:
    config = DecodingConfig(do_sample=False, min_new_tokens=0, max_new_tokens=30)
    results = generate(
        loaded.engine, *loaded.codec.pad(SOURCES), config, [np.random.default_rng(0)] * 3,
        decoder_start=0, eos=1,
    )  # fmt: skip
    for source, result in zip(SOURCES, results, strict=True):
        ids = torch.tensor([[*source, 0]])
        row = reference.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30,
            pad_token_id=1,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
        assert result.tokens == row[: row.index(1) if 1 in row else len(row)]


def test_log_probabilities_are_those_of_one_pass(loaded: LoadedModel) -> None:
    assert isinstance(loaded.engine, LlamaEngine)
    targets = [[5, 9, 1], [4, 1], [7, 7, 7, 7, 1]]
    found = token_log_probabilities(
        loaded.engine, *loaded.codec.pad(SOURCES), targets, decoder_start=0
    )
    for row, (source, target) in enumerate(zip(SOURCES, targets, strict=True)):
        alone = loaded.engine.token_log_probabilities(np.array([source]), target)
        assert list(found[row][: len(target)]) == pytest.approx(alone, abs=1e-3)


def test_a_prompt_alone_has_the_words_that_it_has_in_a_batch(llama_folder: Path) -> None:
    improver = Improver.load(llama_folder)
    prompts = ["a cat", "an old castle on a hill above the misty sea", "two dogs", "fruit"]
    together = [items[0].prompt for items in improver.improve_stream(prompts, seed=1)]
    assert together == [improver.improve(prompt, seed=1)[0].prompt for prompt in prompts]


def test_tokens_that_the_tokenizer_lacks_are_the_end(loaded: LoadedModel) -> None:
    special = loaded.codec.special
    assert (special.decoder_start, special.eos, special.pad, special.unk) == (0, 1, 1, 1)
    improver = Improver(loaded)
    session = improver.session()
    assert isinstance(session.writer, Generator)
    assert session.writer._suppressed.tolist() == [0]  # the end may be chosen


def test_another_family_is_refused_in_one_line(llama_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(llama_folder, folder)
    MistralConfig(vocab_size=340, hidden_size=32).save_pretrained(str(folder))
    with pytest.raises(ModelError, match=r"is a 'mistral' model; only t5 and llama kinds"):
        load_torch(str(folder))
