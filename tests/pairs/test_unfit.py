"""Texts that are no prompt to learn, and prompts that look a little like them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from promptlift.errors import InputError
from promptlift.pairs.load import Unfit, collect_pairs, fit_prompts, load_pairs, load_prompts
from promptlift.pairs.unfit import KINDS, counted, unfit
from promptlift.records import Pair
from promptlift.tables import Row

UNFIT = {
    "no text": ["nan", "None", "null", "NaN", "N/A", "[]", " undefined "],
    "refusal": [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I cannot create that image.",
        "Sorry, but I can't do this.",
        "As an AI language model, I have no eyes.",
        "As an AI, I cannot see pictures",
        "I cannot generate content of that kind",
        "I understand what you want, but I can't create that.",
        "I can't view the image you sent.",
        "I apologize, but that is not possible.",
        "Unfortunately, I am unable to do that.",
        '"I\'m unable to assist with that."',
    ],
    "preface": [
        "Here is an improved prompt: a cat, in oil",
        "Here's your detailed prompt:\n\na cat, in oil",
        "Sure! A cat in oil, soft light",
        "Sure, here is a prompt: a cat",
        "Certainly! Here's a cat.",
        "Improved prompt: a cat, in oil",
        "**Enhanced Prompt:** a cat, in oil",
        "### Prompt:\na cat, in oil",
        "Prompt 1: a cat, in oil",
        "<think>The user wants a cat.</think> a cat",
    ],
    "code fence": ["```\na cat, in oil\n```", "```json\n[1]\n```", "a cat, ``` in oil"],
    "settings": [
        "a cat, in oil\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7",
        "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7",
        "a cat Negative prompt: blurry",
        "a cat###blurry",
    ],
    "flag": ["a cat, in oil --ar 16:9", "a cat --v 6 --style raw", "a cat --no x", "cat —ar 2:3"],
    "tag": ["a cat <lora:oil:0.8>", "<lyco:x:1> a cat", "<embed:x> a cat"],
    "JSON": ['{"subject": "a cat", "style": "oil"}', '["a cat", "in oil"]', '{"n": 1}'],
}  # fmt: skip
FIT = [
    "a cat, in oil",
    "nano banana",
    "nothing but sand, none of it wet",
    "a sorry sight, rain",
    "I can't help but stare, portrait of a girl",
    "I cannot see the stars, city at night",
    "as an airship over clouds",
    "sure-footed goat on a cliff",
    "a sign that says: here is the prompt",
    "subject: a cat, style: photo",
    "here be dragons, old map",
    "{red|blue} cat",
    "[cat:dog:0.5]",
    "(a cat:1.2), [dog], BREAK, in oil",
    "a __colour__ cat",
    "f/2.8, 1:1 crop, 35mm",
    "absolutely gorgeous landscape",
    "step by step drawing, seed packets",
    "a ROCK AND ROLL band",
]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in UNFIT.items() for text in texts]
)
def test_m_texts_that_are_no_prompt_are_found(kind: str, text: str) -> None:
    assert unfit(text) == kind


@pytest.mark.parametrize("text", FIT)
def test_m_prompts_stay(text: str) -> None:
    assert unfit(text) is None


def test_m_a_source_may_hold_what_people_type() -> None:
    for kind, texts in UNFIT.items():
        chat = kind in ("no text", "refusal", "preface")
        assert {unfit(text, target=False) for text in texts} == {kind if chat else None}


def test_every_kind_has_its_words() -> None:
    assert {*UNFIT} == {*KINDS}
    assert counted(Counter({"tag": 1, "refusal": 3})) == "refusals 3, tags 1"


ROWS = [
    {"source": "a cat", "target": "a cat, in oil"},
    {"source": "a cat", "target": "nan"},
    {"source": "a dog", "target": "I'm sorry, but I can't help with that."},
    {"source": "a fox", "target": "a fox --ar 16:9"},
    {"source": "null", "target": "an owl, ink"},
    {"source": "a hen --ar 1:1", "target": "a hen, ink"},
]


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_m_unfit_rows_are_named_by_kind(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"pairs{ending}"
    lines = [json.dumps(row) for row in ROWS]
    if ending == ".csv":
        lines = ["source,target", *(f'{row["source"]},"{row["target"]}"' for row in ROWS)]
    path.write_text("\n".join(lines) + "\n")
    found = list(load_pairs(path, keep_unfit=False))
    assert [item.source for item in found if isinstance(item, Pair)] == ["a cat", "a hen --ar 1:1"]
    first = 2 if ending == ".csv" else 1
    assert [item for item in found if isinstance(item, Unfit)] == [
        Unfit(first + 1, "`target` holds no text: 'nan'", "no text"),
        Unfit(first + 2, f"`target` is a refusal: {ROWS[2]['target']!r}", "refusal"),
        Unfit(first + 3, "`target` has flags: 'a fox --ar 16:9'", "flag"),
        Unfit(first + 4, "`source` holds no text: 'null'", "no text"),
    ]
    assert len([item for item in load_pairs(path) if isinstance(item, Pair)]) == 6


def test_m_what_is_left_out_of_training_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    said: list[str] = []
    assert len(collect_pairs([path], keep_unfit=False, report=said.append)) == 2
    assert said == [
        "4 pairs are no prompts to learn and are left out: no text 2, refusals 1, flags 1. "
        f"The first is {path} line 2: `target` holds no text: 'nan'"
    ]
    assert len(collect_pairs([path], report=said.append)) == 6 and len(said) == 1
    path.write_text(path.read_text() + '{"source": "", "target": "x"}\n')
    with pytest.raises(InputError, match="line 7: `source` is empty"):
        collect_pairs([path], keep_unfit=False)


def test_m_prompts_to_build_from_are_sifted(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a cat, in oil\nNone\na dog, ink --ar 16:9\n")
    assert list(fit_prompts(load_prompts(path))) == [
        Row(1, "a cat, in oil"),
        Unfit(2, "the prompt holds no text: 'None'", "no text"),
        Unfit(3, "the prompt has flags: 'a dog, ink --ar 16:9'", "flag"),
    ]
