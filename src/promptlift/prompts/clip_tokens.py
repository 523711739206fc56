"""Length of a prompt as CLIP's text encoders count it."""

import gzip
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from promptlift.prompts.parts import Part

CLIP_BUDGET = 75  # tokens of a prompt that SDXL's encoders read, start and end token aside


def count_parts(parts: Sequence["Part"]) -> list[int]:
    """Number of CLIP tokens of each part, without start and end token.

    Counted is what the encoders see: no tags, brackets and weights, each part by itself, an
    embedding as one token, since only its file says how many it has.
    """
    return [count_clip_tokens(part.seen) + part.embeddings for part in parts]


def count_clip_tokens(prompt: str) -> int:
    """Number of CLIP tokens of a text as it stands, without start and end token.

    As `CLIPTokenizer` of transformers counts them: lower case, white space collapsed, byte
    pairs within words (Radford et al., 2021; vocabulary of OpenAI's CLIP, MIT licence). Both
    encoders of SDXL have this tokenizer.
    """
    return sum(map(_count_word, prompt.split(" ")))


# No piece of CLIP's spans a blank, and prompts share most of their words.
@lru_cache(20_000)
def _count_word(word: str) -> int:
    return len(_tokenizer().encode(word, add_special_tokens=False).ids)


@cache
def _tokenizer() -> "Tokenizer":
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    packed = (files("promptlift.prompts") / "clip_merges.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").splitlines()
    pairs = (line.split(" ") for line in lines)
    merges = [(left, right) for left, right in pairs]
    # Ids differ from CLIP's own order of the alphabet; a count does not depend on them.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *(char + "</w>" for char in alphabet)]
    pieces += [line.replace(" ", "") for line in lines]
    tokenizer = Tokenizer(
        models.BPE(
            vocab={piece: index for index, piece in enumerate(pieces)},
            merges=merges,
            end_of_word_suffix="</w>",
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer
