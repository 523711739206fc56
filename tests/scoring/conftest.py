"""Small encoders with random weights, built from config, small sets of pairs, drawn runs."""

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizer

from promptlift.records import Pair
from tests.scoring.clip_models import make_clip, make_siglip

WORDS = (
    "a the cat dog two in armor lighthouse old castle of fruit bowl soft light highly detailed "
    "sharp focus 4k oil on canvas misty morning by night painting , . ##s ##ed"
)
PAIRS = (
    Pair(source="a cat in armor", target="soft light, oil on canvas", mode="extend"),
    Pair(source="two dogs", target="a misty morning, 4k", mode="extend"),
    Pair(source="old castle", target="an old castle by night, painting"),
    Pair(source="bowl of fruit", target="highly detailed, sharp focus", mode="extend"),
)


def make_bert(folder: Path, *, positions: int = 64, seed: int = 0) -> Path:
    """A BERT of three layers that reads at most so many tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    vocab = {word: index for index, word in enumerate(vocabulary)}
    tokenizer = BertTokenizer(vocab=vocab, model_max_length=positions)
    tokenizer.save_pretrained(str(folder))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=positions,
    )
    model = BertModel(config)
    for weight in model.parameters():  # far from the even start, where all words look alike
        weight.data += 0.2 * torch.randn_like(weight)
    model.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("encoders") / "bert")


@pytest.fixture
def pairs() -> list[Pair]:
    return [*PAIRS]


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_siglip(tmp_path_factory.mktemp("models") / "siglip")
