"""Cleaned answers, and the notes that say what was removed."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promptlift.llm.cleaning import MOST_WORDS, cleaned

GOOD = "warm lamplight, crashing waves, low clouds"
THOUGHT = "Okay, the user wants a lighthouse.\n\nI should add light."
MARKS = re.compile(r"</?think>|\[/?THINK\]|<\|\w*\|>|```", re.I)


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (GOOD, None),
        (f"  {GOOD}.\n", None),
        (f"<think>{THOUGHT}</think>\n\n{GOOD}", "reasoning"),
        (f"{THOUGHT}</think>\n\n{GOOD}", "reasoning"),
        (f"{GOOD}\n<think>{THOUGHT}", "reasoning"),
        (f"<THINKING>{THOUGHT}</THINKING>{GOOD}", "reasoning"),
        (f"[THINK]{THOUGHT}[/THINK]{GOOD}", "reasoning"),
        (f"<think>a<think>b</think>c</think>{GOOD}", "reasoning"),
        (
            f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
            f"<|channel|>final<|message|>{GOOD}<|return|>",
            "reasoning, marks of a chat",
        ),
        (f"analysisWe need a lighthouse.assistantfinal{GOOD}", "reasoning"),
        (f"{GOOD}<|im_end|>", "marks of a chat"),
        (f"{GOOD}</s>", "marks of a chat"),
        (f"```\n{GOOD}\n```", "a fence"),
        (f"```text\n{GOOD}", "a fence"),
        (f"Sure! Here you go:\n```\n{GOOD}\n```\nEnjoy!", "a fence"),
        (f"Here is the improved prompt:\n\n{GOOD}", "a preface"),
        (f"Sure! Here are some phrases: {GOOD}", "a preface"),
        (f"**Prompt:** {GOOD}", "a preface, quotation marks or a label"),
        (f"{GOOD}\n\nLet me know if you want another one!", "what follows the answer"),
        (f"{GOOD}\n\n**Explanation:** waves add motion.", "what follows the answer"),
        (f'"{GOOD}"', "quotation marks or a label"),
        (f"“{GOOD}”", "quotation marks or a label"),
        ("1. warm lamplight\n2. crashing waves\n3. low clouds", "marks of a list"),
        ("- warm lamplight,\n- crashing waves,\n- low clouds", "marks of a list"),
        (
            f"1. {GOOD}, gulls above a wooden pier\n2. {GOOD}, fog over the dark water",
            "further candidates",
        ),
        (f"{GOOD}\n{GOOD}, fog", "further lines"),
        ("warm lamplight\ncrashing waves\n\nlow clouds.", None),
        ('"warm lamplight", "crashing waves", "low clouds"', "quotation marks"),
        ("“warm lamplight”\n“crashing waves”\n“low clouds”", "quotation marks"),
        (
            "- 'warm lamplight'\n- 'crashing waves'\n- 'low clouds'",
            "marks of a list, quotation marks",
        ),
        ("`warm lamplight`, `crashing waves`, `low clouds`", "quotation marks"),
        (f"&quot;{GOOD}&quot;", "quotation marks or a label"),
        ("warm lamplight, crashing `waves`, low clouds", "stray marks"),
        (f"## Lighthouse\n{GOOD}", "headings"),
        (f"### Prompt: {GOOD}", "a preface"),
        (f"{GOOD}\nHope you like it!", "further lines"),
        (json.dumps({"additions": GOOD.split(", ")}), None),
        (json.dumps({"additions": GOOD}), None),
        (json.dumps({"phrases": GOOD.split(", ")}), None),
        (json.dumps(GOOD.split(", ")), None),
        (f"Here is the JSON: {json.dumps({'additions': GOOD.split(', ')})}", "a preface"),
        (f"```json\n{json.dumps({'additions': GOOD.split(', ')})}\n```", "a fence"),
        (f"{json.dumps({'additions': GOOD.split(', ')})}\nI hope this helps", None),
        (json.dumps({"additions": [f"<think>{THOUGHT}</think>", GOOD]}), "reasoning"),
        ("warm lamplight,\x1b crashing\0 waves, low clouds\ud83d", None),
    ],
)
def test_what_is_around_an_answer_is_taken_off(answer: str, taken: str | None) -> None:
    found = cleaned(answer, "a lighthouse", field="additions", prose=False)
    pier = ", gulls above a wooden pier" if taken == "further candidates" else ""
    assert found.text == GOOD + pier
    assert found.notes == ((f"taken off the answer: {taken}",) if taken else ())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the answer is empty"),
        (" \n", "the answer is empty"),
        ("...", "the answer is empty"),
        (f"<think>{THOUGHT}", "the answer holds reasoning alone"),
        ("<think></think>", "the answer holds reasoning alone"),
        (f"<|channel|>analysis<|message|>{THOUGHT}", "the answer holds reasoning alone"),
        ("I'm sorry, but I can't help with that.", "the model declines"),
        ('{"additions": "I cannot assist with that request."}', "the model declines"),
        ("Unfortunately, I am unable to create images.", "the model declines"),
        ("fog " * 3000, f"the answer has 3000 words, more than {MOST_WORDS}"),
        ("一座灯塔，暖色灯光，海浪", "the answer looks like Chinese or Japanese"),
        ('{"additions": ["warm lamp', "the answer is JSON that cannot be read"),
        ('{"a": 1, "b": 2}', "the answer is JSON that cannot be read"),
        ("[" * 5000 + "]" * 5000, "the answer is JSON that cannot be read"),
        ("[1, 2]", "the answer is empty"),
    ],
)
def test_of_some_answers_nothing_can_be_used(answer: str, reason: str) -> None:
    found = cleaned(answer, "a lighthouse", field="additions", prose=False)
    assert found.text is None and found.notes == (reason,)


def test_an_answer_in_the_language_of_a_foreign_prompt_stays() -> None:
    found = cleaned("暖色灯光，海浪", "一座灯塔", field="additions", prose=False)
    assert found.text == "暖色灯光，海浪"


@pytest.mark.parametrize(
    ("answer", "prose", "text"),
    [
        ("warm lamplight, crashing wav", False, "warm lamplight"),
        ("1. warm lamplight\n2. low clouds\n3. a gu", False, "warm lamplight, low clouds"),
        (f"{GOOD}\n\nLet me know if", False, GOOD),
        ('```json\n{"additions": ["warm lamplight", "low clou', False, "warm lamplight"),
        ('{"additions": ["warm lamplight", "low clouds"', False, "warm lamplight"),
        ('{"additions": "Waves crash. The lamp', True, "Waves crash."),
        ('"Waves crash." "The lamp is', True, "Waves crash."),
        ("“Waves crash. The lamp is", True, "Waves crash."),
        ("an old keeper with a long bear", False, None),
        ("The lamp is", True, None),
    ],
)
def test_what_was_cut_off_is_used_as_far_as_it_is_whole(
    answer: str, prose: bool, text: str | None
) -> None:
    found = cleaned(answer, "a tower", field="additions", prose=prose, ended=False)
    assert found.text == text


def test_prose_keeps_its_paragraphs_and_its_full_stop() -> None:
    text = "Waves crash on the rocks.\n\nThe lamp is lit."
    found = cleaned(text, "a lighthouse", field="additions", prose=True)
    assert found == cleaned(json.dumps({"additions": text}), "a", field="additions", prose=True)
    assert found.text == "Waves crash on the rocks. The lamp is lit." and not found.notes


def test_headings_in_prose_are_taken_off() -> None:
    text = "## Lighthouse\nWaves crash.\n\n### Second version\nThe lamp &amp; its keeper wait."
    found = cleaned(text, "a lighthouse", field="additions", prose=True)
    assert found.text == "Waves crash. The lamp & its keeper wait."
    assert found.notes == ("taken off the answer: headings",)


def test_quotation_marks_of_single_phrases_stay() -> None:
    text = 'a sign that says "OPEN", a door with "17"'
    assert cleaned(text, "a shop", field="additions", prose=False).text == text


PARTS = st.sampled_from([
    "<think>", "</think>", "[THINK]", "[/THINK]", "```", "```json\n", "<|channel|>", "final",
    "analysis", "<|message|>", "<|end|>", "</s>", "<thi", "nk>", "`", "``", "\n", " ", "1. ", "- ",
    '{"additions": ', '["', '"]', "}", '"', "Here is the prompt: ", "Sure! ", "a lamp", ", ", ".",
    "\ud83d", "\0", "灯", "Note: ", "**",
])  # fmt: skip


@given(st.lists(PARTS).map("".join) | st.text(), st.booleans(), st.booleans())
@example("<thi</s>nk>a lamp", False, True)
@example("<<think>think>a lamp", False, True)
@example("``````json\n```\n<thi", False, True)
@example("a `<|x|>`` lamp", True, True)
def test_no_answer_breaks_it_and_no_mark_is_left(answer: str, prose: bool, ended: bool) -> None:
    for text in (answer, json.dumps({"additions": answer})):
        found = cleaned(text, "a lighthouse", field="additions", prose=prose, ended=ended)
        if found.text is None:
            assert len(found.notes) == 1
            continue
        assert not MARKS.search(found.text)
        assert found.text == " ".join(found.text.split()) != ""
        found.text.encode()  # no half of a surrogate pair
