"""Terms of prompts: kinds, places, and ordinary words that are no names."""

import os
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.prompts.lexicon import measure
from promptlift.prompts.lexicon.terms import KINDS, find_terms, phrases


def found(prompt: str) -> dict[str, str]:
    return {term.text: term.kind for term in find_terms(prompt)}


def test_finds_every_kind() -> None:
    prompt = "oil painting of a red fox, Art Nouveau, soft light, close-up, sharp focus, by wlop"
    assert found(prompt) == {
        "oil painting": "medium",
        "red": "colour",
        "Art Nouveau": "style",
        "soft light": "light",
        "close-up": "camera",
        "sharp focus": "filler",
        "wlop": "painter",
    }


@pytest.mark.parametrize("name", ["greg rutkowski", "Greg Rutkowski", "GREG RUTKOWSKI"])
def test_a_painter_is_found_in_any_case_and_place(name: str) -> None:
    for prompt in (f"a castle by {name} at dawn", f"a castle, {name}, 4k", f"art by {name}"):
        assert found(prompt)[name] == "painter"


def test_names_after_by_need_no_list() -> None:
    names = [term.text for term in find_terms("a cat by Ilka Vortanz, Oro Quessel and Mel Tzarov")]
    assert names == ["Ilka Vortanz", "Oro Quessel", "Mel Tzarov"]


@pytest.mark.parametrize(
    "prompt",
    ["dark green hills in may", "a rose by the window", "a room lit by candles", "will and grace",
     "a lake surrounded by mountains", "day by day", "a house by the sea, snow, mark on stone"],
)  # fmt: skip
def test_ordinary_words_are_no_painters(prompt: str) -> None:
    assert "painter" not in found(prompt).values()


def painters(prompt: str) -> list[str]:
    return [text for text, kind in found(prompt).items() if kind == "painter"]


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("a cat by Man Ray", ["Man Ray"]),
        ("made by Leonardo da Vinci", ["Leonardo da Vinci"]),
        ("a face lit by Rembrandt", ["Rembrandt"]),
        ("a wave in the manner of Hokusai", ["Hokusai"]),
        ("a ship by J.M.W. Turner, 4k", ["J.M.W. Turner"]),
        ("an alien by H.R. Giger", ["H.R. Giger"]),
        ("a house by M. C. Escher and H. R. Giger", ["M. C. Escher", "H. R. Giger"]),
        ("a field by zdzisław beksiński", ["zdzisław beksiński"]),
        ("a field, Zdzisław Beksin\u0301ski", ["Zdzisław Beksin\u0301ski"]),
        ("a barn, simon stalenhag, Simon Stålenhag", ["simon stalenhag", "Simon Stålenhag"]),
        ("by \uff9e", ["\uff9e"]),
    ],
)
def test_names_are_found_whole(prompt: str, names: list[str]) -> None:
    assert painters(prompt) == names


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("by greg rutkowski, 8k", ["greg rutkowski"]),
        ("a photo by Annie Leibovitz, 35mm, f/1.8, iso100", ["Annie Leibovitz"]),
        ("by greg rutkowski, Tokyo skyline", ["greg rutkowski"]),
        ("by moebius, octane render, unreal engine", ["moebius"]),
        ("a cat by Ilka Vortanz 8k", ["Ilka Vortanz"]),
        ("a house by 8k", []),
        ("a lake surrounded by magic", []),
        ("a path surrounded by dahlia flowers", []),
    ],
)
def test_what_follows_by_is_not_always_a_name(prompt: str, names: list[str]) -> None:
    assert painters(prompt) == names


@pytest.mark.parametrize(
    "prompt", ["Rembrandt lighting", "a man in rembrandt light", "a man by Rembrandt lighting"]
)
def test_light_named_after_a_painter_is_light(prompt: str) -> None:
    assert set(found(prompt).values()) == {"light"}


@pytest.mark.parametrize("gap", [" ", ", ", " and ", " by ", "."])
def test_time_grows_with_the_words_only(gap: str) -> None:
    def seconds(words: int) -> float:
        """The least of three prompts', so that no collection of garbage counts."""
        found = []
        for turn in range(3):
            prompt = "by " + gap.join(f"zq{turn}{index:x}" for index in range(words))
            start = process_time()
            find_terms(prompt)
            found.append(process_time() - start)
        return min(found)

    seconds(10)
    # Eight times the words: eight times the time, 64 where each looks back over all others.
    assert seconds(4_000) < 24 * max(seconds(500), 0.01)


@given(
    st.text() | st.lists(st.sampled_from([*list(phrases())[::40], "by", "and", ","])).map(" ".join)
)
def test_terms_are_in_order_and_stand_in_the_prompt(prompt: str) -> None:
    end = 0
    for term in find_terms(prompt):
        assert end <= term.start < term.end <= len(prompt)
        assert prompt[term.start : term.end] == term.text
        assert term.kind in KINDS
        end = term.end


def test_agrees_with_prompts_labelled_by_reading() -> None:
    folder = os.environ.get("PROMPTLIFT_DATA") or Path(__file__).parents[3] / "shared" / "data"
    data = Path(folder)
    if not (data / "heldout_prompts.parquet").exists():
        pytest.skip("needs the labelled prompts: PROMPTLIFT_DATA")
    results = measure(data)
    assert results["painter"]["precision"][0] > 0.9
    assert results["painter"]["recall"][0] > 0.8
    assert all(results[kind]["precision"][0] > 0.75 for kind in KINDS)


@pytest.mark.parametrize(
    ("clause", "kinds"),
    [
        ("neon style", ["style"]),
        ("pixel style", ["style"]),
        ("watercolour", ["medium"]),
        ("hair style", []),
        ("a neon style room", []),
    ],
)
def test_a_style_is_known_by_its_last_word_and_in_british_spelling(
    clause: str, kinds: list[str]
) -> None:
    assert [term.kind for term in find_terms(f"a cat, {clause}")] == kinds
