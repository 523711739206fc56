"""Characters that no model learns, since its tokenizer does not know them."""

from pathlib import Path

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from promptlift.improving.engines.torch import load_torch
from promptlift.records import Pair
from promptlift.training.models import Start
from promptlift.training.unknown import unknown_characters


@pytest.fixture(scope="module")
def like_t5() -> Start:
    """Letters, digits and a comma, without bytes for the rest; line breaks become blanks."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(char, -3.0) for char in "abcdefghijklmnopqrstuvwxyz0123456789,.()"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r"[\s\u200b]"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return Start(None, tokenizer, {"pad": 0, "eos": 1, "unk": 2, "decoder_start": 0})


def found(targets: list[str], start: Start) -> dict[str, int]:
    pairs = [Pair(source="a cat", target=target) for target in targets]
    return dict(unknown_characters(pairs, start).characters)


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("a cat, in oil", set()),
        ("{red|blue} cat", {"'{'", "'|'", "'}'"}),
        ("a cat <b>", {"'<'", "'>'"}),
        ("a cat\nin oil\r\n", {"line break"}),
        ("a 😀 cat", {"'😀'"}),
        ("a\u200bcat", {"U+200B"}),
        ("a ｃａｔ\u00a0in\toil", set()),  # written in another way, but not lost
    ],
)
def test_m_characters_that_the_tokenizer_lacks_are_named(
    like_t5: Start, target: str, names: set[str]
) -> None:
    assert {*found([target], like_t5)} == names


def test_m_the_commonest_characters_are_named_with_their_share(like_t5: Start) -> None:
    targets = ["{a}\n"] * 3 + ["<b>"] + ["~ ^ ` @"] + ["a cat"] * 95
    pairs = [Pair(source="a cat", target=target) for target in targets]
    line = unknown_characters(pairs, like_t5).line()
    assert line is not None and line.startswith(
        "warning: the tokenizer does not know characters in 5 of 100 pairs (5.0%): "
        "'{' in 3, '}' in 3, line break in 3, '<' in 1, '>' in 1 and 4 others. "
    )
    seldom = [*pairs[:1], *pairs[-95:] * 3]
    assert (unknown_characters(seldom, like_t5).line() or "").startswith("the tokenizer")
    assert unknown_characters(pairs[-95:], like_t5).line() is None


def test_m_a_tokenizer_with_bytes_lacks_line_breaks_alone(t5v11_folder: Path) -> None:
    loaded = load_torch(str(t5v11_folder))
    start = Start(loaded.engine.model, loaded.codec.tokenizer, vars(loaded.codec.special))
    assert found(["{a} <b> ~ 😀 日本\n"], start) == {"line break": 1}
