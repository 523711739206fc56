"""What is looked up, in tags, paragraphs and rewritings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.writer.reranker import put_hashes
from promptlift.improving.decoding.drafts import MOST_TAGS, NOTHING
from promptlift.improving.decoding.loop import GivenUp, random_stream
from promptlift.improving.generation import Generator
from promptlift.improving.improver import Improver
from promptlift.improving.looked_up import MOST_PHRASES, LookedUp
from promptlift.improving.phrase_store import STORE_FILE, PhraseStore, content_words
from promptlift.improving.prose import sentence_after
from promptlift.improving.receipts import parse_receipt, receipt_text, replay
from promptlift.improving.writing import Source, Written
from promptlift.prompts.intent import Text
from tests.conftest import HEADS, LIKED, with_forms

PROMPT = "a lighthouse"
PARAGRAPH: dict[str, Any] = {"form": "paragraph", "best_of": 2}


@pytest.fixture(scope="module")
def storing(reranking: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with a store that knows `HEADS` alone."""
    folder = with_forms(reranking, tmp_path_factory.mktemp("storing") / "export")
    own = [content_words(head) for head in HEADS]
    words = sorted({word for head in own for word in head})
    vectors = 127 * np.eye(len(words), dtype=np.int8)
    scales = np.ones(len(words), dtype=np.float32)
    store = PhraseStore.of(words, vectors, scales, [(head, LIKED) for head in own])
    store.write(folder)
    put_hashes(folder, [STORE_FILE])
    return folder


def source(words: str = PROMPT, used: tuple[str, ...] = ()) -> Source:
    return Source(words, frozenset(), used, random_stream(7, 0, words))


def writer_of(improver: Improver, **options: Any) -> Generator:
    decoding, control = improver.resolved(None, {"best_of": 2, **options})
    return improver.here.writer(decoding, control, batch_size=4)


def to_say(improver: Improver, one: Source, **options: Any) -> list[str]:
    found = writer_of(improver, **options).looked_up
    assert isinstance(found, LookedUp)
    asked, phrases = found.to_say(one, random_stream(7, 0, "chance"))
    assert asked == [wish.strip(".") for wish in options.get("include", ())]
    return phrases


def test_a_paragraph_says_what_is_looked_up(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    for guards in (True, False):
        [one] = improver.improve(PROMPT, seed=0, guards=guards, **PARAGRAPH)
        said = [like for like in LIKED if Text(one.prompt).stem_set >= Text(like).stem_set]
        assert len(said) == min(MOST_PHRASES[None], len(LIKED))
        order = sorted(said, key=lambda like: one.prompt.index(like.split()[-1]))
        assert one.prompt == PROMPT + sentence_after(PROMPT, order)


def test_a_rewriting_says_what_is_looked_up_and_keeps_the_prompt(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    for form in ("tags", "paragraph"):
        options: dict[str, Any] = {"mode": "rewrite", "form": form, "best_of": 2}
        [one] = improver.improve(PROMPT, seed=0, keep_intent=False, **options)
        assert Text(one.prompt).stem_set > Text(PROMPT).stem_set
        assert sum(Text(one.prompt).stem_set >= Text(like).stem_set for like in LIKED) > 1
        assert one.mode == "rewrite" and one.prompt.endswith(".") == (form == "paragraph")


def test_nothing_is_said_of_nothing(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    for mode in ("extend", "rewrite"):
        [known, unknown] = improver.improve([PROMPT, "a zebra"], mode=mode, seed=0, **PARAGRAPH)
        assert not any(NOTHING in note for note in known[0].notes)
        assert unknown[0].prompt == "a zebra" and unknown[0].notes == (f"left as it is: {NOTHING}",)


@pytest.mark.parametrize("words", [PROMPT, "a zebra"])
@pytest.mark.parametrize("style", ["watercolor", "photo (35mm)"])
def test_a_style_that_is_asked_for_is_there(storing: Path, words: str, style: str) -> None:
    improver = Improver.load(storing, threads=1)
    for form in ("paragraph", "tags"):
        for mode in ("extend", "rewrite"):
            [one] = improver.improve(words, seed=0, mode=mode, form=form, best_of=2, style=style)
            assert words in one.prompt.lower() and style in one.prompt.lower()
            assert not any("not added" in note for note in one.notes)


@pytest.mark.parametrize("mode", ["extend", "rewrite"])
@pytest.mark.parametrize("form", ["tags", "paragraph"])
def test_results_do_not_depend_on_the_batch(storing: Path, mode: str, form: str) -> None:
    improver = Improver.load(storing, threads=1)
    prompts = [*HEADS, "a zebra"]
    options: dict[str, Any] = {"form": form, "seed": 3, "best_of": 3, "n": 2, "mode": mode}
    options |= {"guards": False, "keep_intent": False, "max_new_tokens": 12}
    alone = [[one.prompt for one in improver.improve(each, **options)] for each in prompts]
    assert sum(one not in prompts for own in alone for one in own) > len(prompts)
    for size in (1, 6, 64):
        together = improver.improve(prompts, batch_size=size, **options)
        assert [[one.prompt for one in own] for own in together] == alone


def test_variants_and_seeds_differ_and_come_again(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    options: dict[str, Any] = {**PARAGRAPH, "length": "short"}
    first, other = (improver.improve(PROMPT, seed=seed, n=2, **options) for seed in (0, 1))
    assert len({one.prompt for one in first}) == 2
    assert [one.prompt for one in first] != [one.prompt for one in other]
    for one in first:
        assert replay(parse_receipt(receipt_text(one), "here"), improver).again == one


def test_one_draft_or_a_manner_of_its_own_is_the_models_own(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    for options in ({"best_of": 1}, {"reference": "a dog, watercolor, soft light"}):
        writer = writer_of(
            improver, form="paragraph", max_new_tokens=12, min_new_tokens=4, **options
        )
        [one] = writer.write([source("a zebra")], "rewrite")  # which the store does not know
        assert one.text is not None


def test_tags_are_drafted_where_too_few_are_looked_up(
    storing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    improver = Improver.load(storing, threads=1)

    def found(words: str, **options: Any) -> Written:
        writer = writer_of(improver, **options)
        monkeypatch.setattr(writer, "_generate", lambda *_: pytest.fail("drafted"))
        [one] = writer.write([source(words)], "extend")
        return one

    one = found(PROMPT)
    assert one.most == MOST_TAGS and one.text and set(one.text.split(", ")) <= set(LIKED)
    assert found(PROMPT, do_sample=False).most == MOST_TAGS
    for words, options in (
        ("a zebra", {}), (PROMPT, {"length": "long"}), (PROMPT, {"include": ("a boat",)}),
        (PROMPT, {"style": "watercolor"}), (PROMPT, {"best_of": 1}),
        ("a zebra", {"do_sample": False}),
    ):  # fmt: skip
        with pytest.raises(pytest.fail.Exception, match="drafted"):
            found(words, **options)


def test_a_prompt_that_is_a_paragraph_already_is_left_alone(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    long = " and ".join([PROMPT] * 18)
    for mode in ("extend", "rewrite"):
        [same], [forced] = (
            next(improver.improve_stream([long], seed=0, mode=mode, force=force, **PARAGRAPH))
            for force in (False, True)
        )
        assert same.prompt == long and same.notes == ("left as it is: it has 53 words already",)
        assert not any("words already" in note for note in forced.notes)
        # The options' own wishes are added even to a long prompt.
        wishes: dict[str, Any] = {"style": "watercolor", "include": ("red hat",)}
        [one] = improver.improve(long, seed=0, mode=mode, **wishes, **PARAGRAPH)
        assert "watercolor" in one.prompt.lower() and "red hat" in one.prompt
        assert not any(like in one.prompt for like in LIKED)


def test_length_is_the_number_of_phrases(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    counts = []
    for length in ("short", None, "long"):
        phrases = to_say(improver, source(), form="paragraph", length=length)
        counts.append(len(phrases))
        # What an earlier variant said is not said again.
        assert phrases[0] not in to_say(
            improver, source(used=(phrases[0],)), form="paragraph", length=length
        )
        # Included phrases do not count towards the number.
        more = to_say(improver, source(), form="paragraph", length=length, include=("xyz.",))
        assert more == phrases
    assert counts == sorted(counts) and counts[0] == MOST_PHRASES["short"] and counts[2] > counts[0]


def test_one_who_no_longer_waits_is_told(storing: Path) -> None:
    improver = Improver.load(storing, threads=1)
    decoding, control = improver.resolved(None, PARAGRAPH)
    writer = improver.here.writer(decoding, control, batch_size=4, given_up=lambda: True)
    with pytest.raises(GivenUp):
        writer.write([source()], "extend")
