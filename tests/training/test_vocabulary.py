"""A pruned vocabulary cuts the given texts as before, and spells all others."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, T5ForConditionalGeneration

from promptlift.errors import ModelError
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.improver import Improver
from promptlift.improving.manifest import ModelCard
from promptlift.training.vocabulary import prune, prune_vocabulary
from tests.conftest import HEADS, make_llama

TEXTS = ["extend: a lighthouse", "two dogs playing chess, soft light", "café ☕"]


@pytest.fixture(scope="module", params=[False, True], ids=["tied", "own head"])
def pruned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A Llama before and after."""
    folder = tmp_path_factory.mktemp("pruned")
    before = make_llama(folder / "before", own_head=request.param)
    counts = prune_vocabulary(str(before), TEXTS, folder / "after")
    assert counts[0] == 340 and counts[1] < 340
    assert load_torch(str(folder / "after")).engine.vocab_size == counts[1]
    return before, folder / "after"


def tokenizer_of(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def test_given_texts_are_cut_into_the_same_pieces(pruned: tuple[Path, Path]) -> None:
    before, after = map(tokenizer_of, pruned)
    for text in TEXTS:
        assert before.encode(text).tokens == after.encode(text).tokens


def test_no_text_is_lost(pruned: tuple[Path, Path]) -> None:
    tokenizer = tokenizer_of(pruned[1])

    @given(st.text())
    def round_trip(text: str) -> None:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text

    round_trip()


@given(st.lists(st.sampled_from(" ".join(HEADS).split()), min_size=1).map(" ".join))
def test_whichever_texts_are_given_their_pieces_stay(llama_folder: Path, text: str) -> None:
    loaded = load_torch(str(llama_folder))
    tokenizer = AutoTokenizer.from_pretrained(str(llama_folder))
    _, smaller = prune(loaded.engine.model, tokenizer, [text])
    assert smaller.tokenize(text) == tokenizer.tokenize(text)


def test_kept_pieces_have_the_logits_they_had(pruned: tuple[Path, Path]) -> None:
    [old, new] = [load_torch(str(folder)) for folder in pruned]
    ids = [torch.tensor([one.codec.tokenizer.encode(TEXTS[0]).ids]) for one in (old, new)]
    names = new.codec.tokenizer.get_vocab()
    rows = [old.codec.tokenizer.token_to_id(name) for name in sorted(names, key=names.__getitem__)]
    with torch.no_grad():
        expected, found = (
            one.engine.model(input_ids=row).logits for one, row in zip((old, new), ids, strict=True)
        )
    torch.testing.assert_close(found, expected[:, :, rows])
    assert vars(new.codec.special) == vars(old.codec.special)


def test_the_card_goes_along_and_the_model_improves(pruned: tuple[Path, Path]) -> None:
    assert ModelCard.read(pruned[1]) == ModelCard.read(pruned[0])
    improved = Improver.load(pruned[1]).improve("a lighthouse in the mist", seed=1)
    assert improved[0].prompt.startswith("a lighthouse in the mist")


def test_a_t5_is_refused(t5_folder: Path) -> None:
    model = T5ForConditionalGeneration.from_pretrained(t5_folder)
    with pytest.raises(ModelError, match="cannot be pruned"):
        prune(model, AutoTokenizer.from_pretrained(str(t5_folder)), TEXTS)
