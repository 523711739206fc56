"""Languages are named where they are sure, and English is never taken for another."""

import pytest

from promptlift.improving.improver import Improver
from promptlift.prompts.language import foreign_language

FOREIGN = [
    ("ein Hund auf einer Wiese mit einem roten Ball", "German"),
    ("un chat noir dans la rue sous la pluie", "French"),
    ("un perro en la playa con una pelota roja", "Spanish"),
    ("кот в доспехах", "Russian or another language in Cyrillic letters"),
    ("穿盔甲的猫", "Chinese or Japanese"),
    ("鎧を着た猫", "Japanese"),
    ("갑옷을 입은 고양이", "Korean"),
    ("قطة ترتدي درعا", "Arabic or another language in Arabic letters"),
]
ENGLISH = [
    "a cat in armor", "die hard poster", "la la land", "en plein air painting", "salvador dali",
    "café de flore at night", "un headquarters", "the con man", "a 猫 tattoo on the arm of a man",
    "des moines skyline", "concert en los angeles", "portrait of el greco", "4k", "🐱",
    "mit campus in winter",
]  # fmt: skip


@pytest.mark.parametrize(("prompt", "language"), FOREIGN)
def test_foreign_prompts_are_left_alone_and_said_so(
    improver: Improver, prompt: str, language: str
) -> None:
    assert foreign_language(prompt) == language
    [result] = improver.improve(prompt, seed=0)
    assert result.prompt == prompt
    assert result.notes == (f"left alone: it looks like {language}, and the model reads English",)
    [forced] = improver.improve(prompt, seed=0, force=True)
    assert forced.prompt.startswith(prompt)


@pytest.mark.parametrize("prompt", ENGLISH)
def test_english_is_no_other_language(prompt: str) -> None:
    assert foreign_language(prompt) is None
