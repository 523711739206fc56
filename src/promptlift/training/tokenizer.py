"""A tokenizer of our own: unigram pieces, with bytes for all that they do not cover."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"
_SPECIAL = [PAD, EOS, UNK]  # ids 0, 1, 2 as in T5


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A unigram tokenizer with byte fallback, so that every text has a spelling.

    Digits stand alone, as "4k" and "8k" share a pattern. The byte pieces score far below
    any learned piece; they are used only where nothing else fits.

    Args:
        texts: the texts to learn pieces from.
        vocab_size: number of pieces, the 3 special and 256 byte pieces included.
    """
    learner = Tokenizer(models.Unigram())
    _set_up(learner)
    learner.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=vocab_size - 256,
            special_tokens=_SPECIAL,
            unk_token=UNK,
            show_progress=False,
        ),
    )

    pieces = _in_fixed_order(json.loads(learner.to_str())["model"]["vocab"])
    lowest = min(score for _, score in pieces)
    pieces += [(f"<0x{byte:02X}>", lowest - 10.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=True))
    _set_up(tokenizer)
    tokenizer.add_special_tokens(_SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", special_tokens=[(EOS, 1)]
    )
    return tokenizer


def _in_fixed_order(learned: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The pieces, special ones first, by score and text.

    The trainer appends characters that it had pruned with scores from the lowest on, 0.0001 apart,
    in the order of a hash table: it differs from call to call. They get one score here.
    """
    special, others = learned[: len(_SPECIAL)], learned[len(_SPECIAL) :]
    lowest = round(min((score for _, score in others), default=0.0), 6)
    highest = lowest + 1e-4 * sum(len(piece) == 1 for piece, _ in others)
    even = [
        (piece, lowest if len(piece) == 1 and score <= highest else round(score, 6))
        for piece, score in others
    ]
    return [(piece, score) for piece, score in special] + sorted(
        even, key=lambda item: (-item[1], item[0])
    )


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Save it so that both `tokenizers` and `transformers` load it."""
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, unk_token=UNK
    ).save_pretrained(str(folder))


def _set_up(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(), decoders.Fuse()]
    )
