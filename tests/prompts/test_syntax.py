"""Prompt syntax comes back byte for byte, and the words in it are found."""

import gc
import os
import re
import time
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from promptlift import Improver
from promptlift.prompts.clip_tokens import count_clip_tokens, count_parts
from promptlift.prompts.frames import pieces_of
from promptlift.prompts.parts import insert, main_part, parts_of
from promptlift.prompts.reading import read
from promptlift.prompts.syntax import (
    Span,
    _Parser,
    parse,
    render,
)

_TOKENS = """( ) [ ] { } | : :: :1.2 \\ \\( < > <lora:a:1> __ __a/b__ $$ 2$$ ${x} BREAK AND , . 0.5
--ar --no --AR 1:1 embedding:a cat CAT Red é 🐱 " # ADDCOMM ADDBASE ADDCOL ADDROW —ar
// /* */ ### #fff <random: <segment:a> <base> <foo: 1.2:: -1::a ++ .swap( .blend(1,1) ("a","b")
MASK( --prompt --sref "a" {"subject": "a" } ] ``` COUPLE(1) Steps:"""
SIGNS = st.sampled_from([*_TOKENS.split(), " ", "\n", "\nNegative prompt:", "\u200b"])
PROMPTS = st.one_of(st.text(max_size=60), st.lists(SIGNS, max_size=25).map("".join))


def improved(prompt: str) -> str:
    """The prompt with `+` where additions go."""
    part = main_part(parts_of(parse(prompt)))
    return prompt if part is None else f"{prompt[: part.end]}+{prompt[part.end :]}"


# Roles of spans that may stand between the last words of a part and its end.
AFTER = {"weight", "tag", "flag", "negative", "comment", "frame", "aside"}


def may_be_seen(span: Span) -> set[str]:
    """What an encoder may read in place of a span; nothing of an alternative that is not drawn."""
    if span.kind == "text":
        return {"", span.text}
    if span.kind == "escape":
        return {"", span.text[1:]}
    if span.kind == "mark":
        return {"", ", "}  # between alternatives that are all drawn
    if span.kind == "wildcard":
        return {"", " ".join(re.findall(r"[^\W_]+", span.seen))}
    if span.kind in ("doubt", "aside", "frame"):
        return {span.seen}
    return {""}


@given(PROMPTS)
@example("__/__ __~a/b__ __a(b)__")
@example("{2$$a|b|{c|dd}} [a:bb:0.5] \\( <lora:a:1>")
def test_parsing_loses_nothing(prompt: str) -> None:
    spans = parse(prompt)
    assert render(spans) == prompt
    assert all(span.text for span in spans)
    assert all(span.seen in may_be_seen(span) for span in spans)


@given(PROMPTS)
@example("(a cat:1.2) BREAK <lora:a:1> AND a dog, --ar 1:1")
@example("(a cat BREAK a dog:1.2), hat")
def test_additions_go_to_the_end_of_a_parts_words(prompt: str) -> None:
    spans = parse(prompt)
    inside: list[list[tuple[int, Span]]] = [[]]  # of each part, its spans with their places
    place = 0
    for span in spans:
        if span.role == "part":
            inside.append([])
        else:
            inside[-1].append((place, span))
        place += len(span.text)
    parts = parts_of(spans)
    assert len(parts) == len(inside)
    depth = 0
    for part, its in zip(parts, inside, strict=True):
        assert part.seen == "".join(span.seen for _, span in its)
        assert part.embeddings == [span.kind for _, span in its].count("embedding")
        marks = [span.text for _, span in its if span.kind == "mark"]
        depth += sum(mark in ("(", "[", "{") or mark[0] == "<" for mark in marks)
        depth -= sum(mark in (")", "]", "}", ">") for mark in marks)
        ends = [at + len(span.text.rstrip()) for at, span in its
                if span.role not in AFTER and span.text.strip()]  # fmt: skip
        if not re.search(r"#|//|/\*|::", prompt):  # nothing that a tool may take for a comment
            assert part.end == (ends[-1] if ends and not depth else None)


@given(PROMPTS)
# One of each form that keeps a prompt from being taken as text without a parse, and two of none.
@example("a cat, soft light")
@example("A CAT and no dog - really")
@example("a cat BREAK a dog")
@example("a cat AND a dog")
@example("a cat ADDCOMM a dog")
@example("a cat ADDBASE a dog")
@example("a cat ADDCOL a dog")
@example("a cat ADDROW a dog")
@example("(a cat)")
@example("[a cat]")
@example("{a|cat}")
@example("a | cat")
@example("a \\( cat")
@example("a <cat>")
@example("a cat::2")
@example("a __cat__")
@example("a cat --tile")
@example("a cat —ar 1")
@example("Negative prompt: a cat")
def test_plain_prompts_are_parsed_as_the_parser_would(prompt: str) -> None:
    assume(pieces_of(prompt) is None)
    assert parse(prompt) == _Parser(prompt).parse()


def test_plain_prompts_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: _Parser) -> tuple[Span, ...]:
        raise AssertionError("parsed")

    monkeypatch.setattr(_Parser, "parse", refuse)
    assert parse("a cat, soft light") == (Span("text", "a cat, soft light", "a cat, soft light"),)
    with pytest.raises(AssertionError, match="parsed"):
        parse("(a cat)")


@given(PROMPTS)
@example("A:BREAK:BREAK")
@example("A CAT AND --AR 16:9")
def test_additions_change_no_syntax(prompt: str) -> None:
    # Where a part ends in the middle of a word, `red+BREAK`, the plus becomes a weight.
    assume(not re.search(r"[+-](?:BREAK|ADD|AND)", prompt))
    spans = parse(prompt)
    longer = read(prompt).extended(["soft light"])
    marks = [(span.kind, span.text) for span in spans if span.kind != "text"]
    assert marks == [(span.kind, span.text) for span in parse(longer) if span.kind != "text"]


WITHOUT_SIGNS = st.one_of(
    st.text(st.characters(exclude_characters="()[]{}<>|\\:_$—-#/+"), max_size=40),
    st.lists(st.sampled_from(["AND", "BREAK", "and", "cat", "CAT", ",", " "])).map("".join),
)


@given(WITHOUT_SIGNS)
@example("a cat AND a dog")
def test_text_without_signs_is_text(prompt: str) -> None:
    spans = parse(prompt)
    assert all(span.seen == span.text for span in spans if span.kind == "text")
    assert all((span.kind, span.text) in (("break", "BREAK"), ("and", "AND"))
               for span in spans if span.kind != "text")  # fmt: skip
    if not re.search("AND|BREAK|ADD", prompt):
        assert [span.text for span in spans] == [prompt][: len(prompt)]


@pytest.mark.parametrize(
    ("prompt", "seen"),
    [
        ("(a cat:1.2), [dog], ((hat))", "a cat, dog, hat"),
        (r"a cat \(animal\) \\", "a cat (animal) \\"),
        ("[cat:dogs:0.5] [hat:3] [coat::0.2] [red]", "dogs hat coat red"),
        ("[a|long one|b] {x|yy|{z|wwww}} {2$$a|b} {1-2$$ and $$c}", "long one wwww a, b c"),
        ("{0.5::red|2::blue} car", "blue car"),
        ("a __color/warm_tones__ __~hat__ cat", "a color warm tones hat cat"),
        ("a <lora:foo bar:0.8> <hypernet:x:1> cat <cat-toy>", "a cat"),
        ("(embedding:bad-hands.pt:1.2) cat, ${x=red} ${x}", "cat"),
        ("hot:: dog::2 moon::-.5", "hot dog moon"),
        ("a clock at 10:30, 16 : 9", "a clock at 10:30, 16 : 9"),
        ("smile :) :-( a > b", "smile :) :-( a > b"),
        ("a cat --ar 16:9 --v 5 --tile --no dogs, people --q 2", "a cat"),
        ("a cat—ar 16:9", "a cat—ar 16:9"),
        ("a cat —ar 16:9", "a cat"),
        ("(unclosed [a|b] and ]", "(unclosed a and ]"),
        ("a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler", "a cat"),
        ("A CAT AND A DOG, BREAK DANCE", "A CAT AND A DOG, BREAK DANCE"),
    ],
)
def test_what_the_encoder_reads(prompt: str, seen: str) -> None:
    [part] = parts_of(parse(prompt))
    assert " ".join(part.seen.split()).strip(" ,") == seen


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a cat", "a cat+"),
        ("a cat, \n", "a cat,+ \n"),
        ("a cat BREAK a dog", "a cat+ BREAK a dog"),
        ("a cat :1.2 AND a dog :0.5", "a cat+ :1.2 AND a dog :0.5"),
        ("BREAK a cat --ar 16:9", "BREAK a cat+ --ar 16:9"),
        ("(a cat:1.2)", "(a cat:1.2)+"),
        ("(a cat BREAK a dog:1.1), hat", "(a cat BREAK a dog:1.1), hat+"),
        ("a cat <lora:x:1> <lora:y:1>", "a cat+ <lora:x:1> <lora:y:1>"),
        ("<lora:x:1> a cat", "<lora:x:1> a cat+"),
        ("a cat::2 a dog::1", "a cat::2 a dog+::1"),
        ("a cat\nNegative prompt: dog", "a cat+\nNegative prompt: dog"),
        ("<lora:x:1>", "<lora:x:1>"),
        ("--ar 16:9", "--ar 16:9"),
        ("A CAT AND A DOG", "A CAT AND A DOG+"),
    ],
)
def test_additions_go_behind_the_words(prompt: str, expected: str) -> None:
    assert improved(prompt) == expected


# Prompts of users who lost their syntax to other tools, each named after its thread, and the words
# that a model should read. In sd-dynamic-prompts #707 the prompts are pictures: with a LoRA in a
# short prompt, "<", "[" and "unknown" were added.
THREADS = (
    (
        "sd-dynamic-prompts #241",
        "(8k, RAW photo, best quality, masterpiece:1.2), (realistic, photo-realistic:1.37),"
        "<lora:liuyifei_10:0.3>, omertosa,1lady,city, ,professional lighting",
        "8k, RAW photo, best quality, masterpiece, realistic, photo-realistic, omertosa,1lady,"
        "city, professional lighting",
    ),
    ("sd-dynamic-prompts #327", "<lora:loraname:0.7>", ""),
    ("sd-dynamic-prompts #434", "a knight <lora:ArtNouveauAI:{1|.9|.8|.7}>", "a knight"),
    (
        "sd-dynamic-prompts #685",
        "a knight <lora:SomethingSomething__0.3~0.6.safetensors:1>, __hat__",
        "a knight, hat",
    ),
    (
        "sd-dynamic-prompts #670",
        "{ (lora:metalic renders:1.1), vibrant colorful, psychedelic } mech warrior",
        "lora:metalic renders, vibrant colorful, psychedelic mech warrior",
    ),
    (
        "InvokeAI #4185",
        "a gumball machine full of { apples | pineapples | bananas }",
        "a gumball machine full of pineapples",
    ),
    (
        "sd-webui-lora-block-weight #73",
        'a knight <lora:"lora name":1:lbw=1,1,1,0,0,0>, night',
        "a knight, night",
    ),
    ("sd-dynamic-prompts #707", "a knight <lora:add-detail-xl:1>", "a knight"),
    (
        "sd-dynamic-prompts #825",
        "beautiful woman wearing {2$$red|white|black} dress",
        "beautiful woman wearing red, white, black dress",
    ),
    (
        "sd-dynamic-prompts #825, wildcards",
        "beautiful woman wearing __color__ dress, black shoes",
        "beautiful woman wearing color dress, black shoes",
    ),
)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [found for _, *found in THREADS],
    ids=[thread for thread, *_ in THREADS],
)
def test_prompts_of_threads(bundled: Improver, prompt: str, words: str) -> None:
    spans = parse(prompt)
    assert render(spans) == prompt
    parts = parts_of(spans)
    assert [part.words for part in parts] == [words]
    [result] = bundled.improve(prompt, seed=0, force=True)
    assert result.prompt == insert(prompt, parts[0], result.additions)
    assert bool(result.additions) == bool(words)
    assert not set("<>[](){}|_") & set("".join(result.additions))
    assert "unknown" not in "".join(result.additions)


@pytest.mark.parametrize(
    "piece",
    [
        *("(", "[", "{a|", "[a:", "(a:1.2", "__a", "<a:", "--no ", "AND "),
        *("/* ", "<random:", "1::a", "(a)1.3", "a#b ", "--sref 1 ", "COUPLE(", '{"a":', "###"),
    ],
)
def test_time_is_linear_in_the_length(piece: str) -> None:
    def seconds(count: int) -> float:
        gc.disable()  # its passes over the heap of the other tests are not ours
        start = time.process_time()
        parts_of(parse(piece * count))
        used = time.process_time() - start
        gc.enable()
        return used

    assert seconds(16_000) < 10 * max(seconds(4_000), 0.025)


def test_tokens_are_those_of_each_part() -> None:
    prompt = "(a cat in armor:1.2) <lora:x:0.8> BREAK a dog, <cat-toy> --ar 16:9"
    first, second = parts_of(parse(prompt))
    assert count_parts([first, second]) == [
        count_clip_tokens("a cat in armor"),
        count_clip_tokens("a dog,") + 1,
    ]


@pytest.mark.slow
def test_prompts_of_the_collection_come_back() -> None:
    data = Path(os.environ.get("PROMPTLIFT_DATA") or Path(__file__).parents[3] / "shared" / "data")
    files = sorted((data / "eval").glob("*.txt"))
    if not files:
        pytest.skip("the collection of prompts is not here")
    import pyarrow.parquet as parquet

    prompts = [line for path in files for line in path.read_text("utf-8").split("\n")]
    for path in sorted(data.glob("*.parquet")):
        for column in parquet.read_table(path).columns:
            prompts += [value for value in column.to_pylist() if isinstance(value, str)]
    assert all(render(parse(prompt)) == prompt for prompt in prompts)
