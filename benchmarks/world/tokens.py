"""The tokenizer of the pocket world: CLIP's kind, with pieces learned from its captions."""

import json
from functools import cache

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from benchmarks.world.captions import caption
from promptlift.world.scenes import draw_scene

START, END, PAD = "<|startoftext|>", "<|endoftext|>", "!"
MAX_LENGTH = 77
_PIECES = 1024
_CAPTIONS = 4000


@cache
def _learned() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    """Pieces and merges, with the start and the end last, as in CLIP."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=_PIECES - len(alphabet), end_of_word_suffix="</w>", show_progress=False
    )
    texts = [caption(draw_scene(i), np.random.default_rng((4, i))) for i in range(_CAPTIONS)]
    tokenizer.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    pieces = [*alphabet, *(char + "</w>" for char in alphabet)]
    pieces += [left + right for left, right in merges if left + right not in pieces]
    vocab = {piece: index for index, piece in enumerate([*pieces, START, END])}
    return vocab, tuple((left, right) for left, right in merges)


def world_tokenizer(*, pad: str = END) -> CLIPTokenizer:
    """The tokenizer; padded with the end token as CLIP's, or with "!" as that of SDXL's second
    text encoder."""
    vocab, merges = _learned()
    return CLIPTokenizer(
        vocab=dict(vocab),
        merges=list(merges),
        pad_token=pad,
        unk_token=END,
        model_max_length=MAX_LENGTH,
    )
