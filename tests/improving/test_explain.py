"""Why additions were offered."""

import numpy as np
import pytest

from promptlift import Improver
from promptlift.improving.explain import OTHERS, Reason, reasons
from promptlift.improving.likelihood import log_probabilities


@pytest.fixture(scope="module")
def bundled() -> Improver:
    return Improver.load(threads=1)


def test_each_addition_has_a_reason(bundled: Improver) -> None:
    [result] = bundled.improve("portrait of a cyberpunk girl", seed=3, include=["neon light"])
    found = reasons(bundled, result)
    assert len(found) == len(result.additions)
    assert all(reason.text for reason in found)
    wished = [reason.asked for reason in found]
    assert wished == ["neon light" in phrase for phrase in result.additions]


def test_the_lift_is_the_models_own_likelihood_over_that_after_others(bundled: Improver) -> None:
    [result] = bundled.improve("a lighthouse at night", seed=3)
    sources, target = [result.source, *OTHERS], ", ".join(result.additions)
    rows = log_probabilities(bundled.here, sources, [target] * len(sources), mode="extend")
    place = 0
    for phrase, reason in zip(result.additions, reasons(bundled, result), strict=True):
        size = len(bundled.here.codec.tokenizer.encode(phrase, add_special_tokens=False).ids)
        own, *others = [np.exp(row[place : place + size].sum()) for row in rows]
        assert reason.lift == pytest.approx(own / np.mean(others), rel=1e-6)
        place += size + 1  # the comma


def test_words_of_the_prompt_raise_what_fits_them(bundled: Improver) -> None:
    def lift(prompt: str) -> float:
        [result] = bundled.improve(prompt, seed=0)
        made = result.__class__(**{**vars(result), "additions": ("sci-fi", "highly detailed")})
        value = reasons(bundled, made)[0].lift
        assert value is not None
        return value

    assert lift("a spaceship") > 4 > lift("bowl of fruit")


def test_a_rewriting_is_told_by_kind_and_count(bundled: Improver) -> None:
    [result] = bundled.improve("a lighthouse", mode="rewrite", seed=1)
    found = reasons(bundled, result)
    assert found and all(reason.lift is None for reason in found)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason("light", 765, 3.14, False, "“a fox”"), "light, suits “a fox” (3.1 times as likely "
         "as after other prompts; in 765 prompts of the collection)"),
        (Reason("filler", 0, 1, False), "praise, suits anything (as likely after other prompts)"),
        (Reason(None, 0, 0.2, False), "unusual here (likelier after other prompts)"),
        (Reason("other", 0, None, True), "you asked for it"),
        (Reason(None, 0, 7e6, False), "suits your words (over 1,000 times as likely as after other "
         "prompts)"),
        (Reason(None, 0, 12.0, False), "suits your words (12 times as likely as after other "
         "prompts)"),
    ],
)  # fmt: skip
def test_reasons_in_words(reason: Reason, text: str) -> None:
    assert reason.text == text
