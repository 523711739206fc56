"""Tokenizers of our own."""

from promptlift.training.tokenizer import train_tokenizer
from promptlift.world.pairs import world_pairs


def test_the_same_texts_give_the_same_tokenizer() -> None:
    """The trainer's own order of rare letters changes from call to call."""
    texts = [text for pair in world_pairs(40) for text in (pair.source, pair.target)]
    first, *others = (train_tokenizer(texts, 640).to_str() for _ in range(8))
    assert all(other == first for other in others)
