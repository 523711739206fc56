"""Improving in a paragraph: its guards, rewriting, lengths, and models that have not learned it."""

import json
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError
from promptlift.improving.batch import PromptSource
from promptlift.improving.config import ControlConfig, resolve_options
from promptlift.improving.editing import edited
from promptlift.improving.explain import reasons
from promptlift.improving.improver import Improver
from promptlift.improving.journal import improve_to_file, journal_of
from promptlift.improving.manifest import ModelCard
from promptlift.improving.receipts import parse_receipt, receipt_text, replay
from promptlift.improving.repair import repair, rewriting
from promptlift.improving.selection import select
from promptlift.prompts.reading import read
from promptlift.prompts.units import SENTENCE
from promptlift.records import Dropped
from tests.conftest import HEADS, with_forms
from tests.prompts.test_dialects import CASES

PROSE = ControlConfig(form="paragraph")


@pytest.fixture(scope="session")
def writer(writer_folder: Path) -> Improver:
    return Improver.load(writer_folder, threads=1)


def dropped(prompt: str, text: str, *, ended: bool = True, **options: Any) -> dict[str, str]:
    """The pieces that were dropped, each with its reason; all others are kept in their order."""
    reading = read(prompt)
    control = ControlConfig(form="paragraph", **options)
    units = reading.continued(text)
    chosen = select(units, reading, control, ended=ended)
    found = {item.phrase: item.reason for item in chosen.dropped}
    kept = [unit for unit in units if unit in chosen.kept]
    assert list(dict.fromkeys(kept)) == chosen.kept
    return found


@pytest.mark.parametrize(
    ("prompt", "piece", "reason", "options"),
    [
        ("a cat", "It is painted by Greg Rutkowski.", "painter", {}),
        ("a cat", "It is by Greg Rutkowski.", None, {"artists": "free"}),
        ("a cat", "It is an oil painting.", "style", {}),
        ("a cat", "It is an oil painting.", None, {"styles": "free"}),
        ("a cat", "Its paws are covered in blood.", "unsafe", {}),
        ("a cat", "Soft light falls on the floor.", "to be avoided", {"avoid": ("soft light",)}),
        ("a cat", "A dog sleeps beside it.", "a second subject: dog", {}),
        ("a cat", "A dog sleeps beside it.", None, {"keep_intent": False}),
        ("a cat", "Birds circle overhead.", "a second subject: bird", {}),
        ("a cat", "A dog's toy lies there.", "a second subject: dog", {}),
        ("a cat", "A dog house stands in the yard.", None, {}),
        ("an ink drawing of a kitchen", "A blender stands there.", None, {}),
        ("an eagle", "The bird spreads its wings.", None, {}),
        ("an eagle", "The zebra looks up.", "a second subject: zebra", {}),
        ("a grizzly", "The bear sniffs the air.", None, {}),
        ("a lighthouse", "The birds circle overhead.", "a second subject: bird", {}),
        ("a ship", "The pirate looks out.", "a second subject: pirate", {}),
        ("a cat", "Two cats sit on a wall.", "another number of cat", {}),
        ("cats on a wall", "Two cats look down.", None, {}),
        ("three cats", "Two cats sleep while one cat washes.", None, {}),
        ("three cats", "Four cats sleep.", "another number of cat", {}),
        ("a black cat", "The white cat yawns.", "another colour of cat", {}),
        ("a black cat", "Its white paws hang down.", None, {}),
        ("a cat at night", "Sunlight fills the room.", "another time of day", {}),
        ("a street, no people", "A woman walks past.", "the prompt says no person", {}),
        (
            "a photo of a cat",
            "Pencil strokes fill the sketch.",
            "another medium than photo",
            {"styles": "free"},
        ),
        ("a cat", "Its fur \ufffd is damp.", "broken", {}),
        ("a cat", "Its fur\x0c is damp.", "broken", {}),
        ("a cat", "Its fur (damp:1.2) shines.", "syntax", {}),
        ("a cat", "The cat is a cat.", "nothing new", {}),
        ("a cat", "It is red.", None, {}),
        ("a cube and a ball", "The cube is on top of the ball.", None, {}),
        ("a cat", "The cat sleeps here.", "repeated", {}),
        ('{"scene": "a cat"}', 'A sign says "Go".', "syntax", {}),
        ("--prompt 'a cat'", "The sign's letters fade.", "syntax", {}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_sentences_are_dropped_with_the_reason(
    prompt: str, piece: str, reason: str | None, options: dict[str, Any], first: bool
) -> None:
    if reason == "repeated":
        text = ". The cat sleeps here. The cat sleeps here."
    else:
        text = f". {piece} Fog drifts over the hills."
        text = text if first else f" and a lamp. {piece} Fog drifts over the hills."
    assert dropped(prompt, text, **options) == ({piece: reason} if reason else {})


def test_what_is_left_follows_the_words() -> None:
    reading = read("a cat")
    units = reading.continued(" and a dog. Fog drifts over the hills.")
    chosen = select(units, reading, PROSE)
    assert chosen.dropped == [Dropped("and a dog.", "a second subject: dog")]
    assert reading.extended(chosen.kept, SENTENCE) == "a cat. Fog drifts over the hills."


@pytest.mark.parametrize("ended", [True, False])
def test_a_sentence_that_was_cut_off_is_dropped(ended: bool) -> None:
    found = {} if ended else {"Its fur": "unfinished"}
    assert dropped("a cat", " sits there. Its fur", ended=ended) == found
    assert dropped("a cat", " sits there. Its fur shines.", ended=ended) == {}
    assert dropped("a cat", " sits", ended=ended) == ({} if ended else {"sits": "unfinished"})


def test_without_guards_the_text_is_kept_but_what_is_banned() -> None:
    text = " sits. A dog sits. By Greg Rutkowski. Its fur"
    assert dropped("a cat", text, ended=False, guards=False, keep_intent=False) == {
        "By Greg Rutkowski.": "painter"
    }


def test_a_rewriting_stays_prose() -> None:
    reading = read("a red cat on a mat")
    text = "A red cat sits on a mat. Two dogs watch. Rain falls. And th"
    kept, chosen = rewriting(text, False, reading, PROSE)
    assert kept == "A red cat sits on a mat. Rain falls."
    assert [item.reason for item in chosen.dropped] == ["a second subject: dog", "unfinished"]


def test_what_a_rewriting_lost_opens_it() -> None:
    reading = read("a red cat on a mat")
    text = "A cat sits on a mat. Rain falls."
    found = repair(text, reading.intent.lost(text), reading, PROSE)
    assert found is not None
    assert found[0] == "a red cat on a mat. A cat sits on a mat. Rain falls."
    assert found[1].startswith("put back: red")
    assert repair("Rain.", reading.intent.lost("Rain."), reading, PROSE) is None


def test_no_token_limit_binds_a_paragraph(writer: Improver) -> None:
    control = ControlConfig(form="paragraph", max_prompt_tokens=5, chunks=2)
    assert control.max_tokens is None
    [result] = writer.improve("owl " * 80, seed=0, form="paragraph", max_prompt_tokens=5)
    assert result.clip_tokens >= 80
    assert not result.notes and not result.checks["over_budget"]


@pytest.mark.parametrize(
    ("options", "preset", "expected"),
    [
        ({}, None, (40, 150)),
        ({"length": "short"}, None, (34, 60)),
        ({"length": "medium"}, None, (60, 108)),
        ({"length": "long"}, None, (108, 176)),
        ({"max_new_tokens": 20}, None, (20, 20)),
        ({"min_new_tokens": 200}, None, (200, 200)),
        ({"length": "short", "min_new_tokens": 0}, None, (0, 60)),
        ({}, "paper", (39, 999)),
    ],
)
def test_lengths(options: dict[str, Any], preset: str | None, expected: tuple[int, int]) -> None:
    defaults = {"min_new_tokens": 3, "max_new_tokens": 32, "temperature": 0.7}
    forms = {"tags": "", "paragraph": ""}
    card = ModelCard(name="m", modes={"extend": ""}, forms=forms, decoding=defaults)
    decoding, _ = resolve_options(card, preset, {"form": "paragraph", **options})
    assert (decoding.min_new_tokens, decoding.max_new_tokens) == expected
    assert preset or decoding.temperature == 0.7
    tags, _ = resolve_options(card, None, {})
    assert (tags.min_new_tokens, tags.max_new_tokens) == (3, 32)


@pytest.mark.parametrize("mode", ["extend", "rewrite"])
def test_prompts_of_all_tools_come_back(writer: Improver, mode: str) -> None:
    prompts = [case[1] for case in CASES]
    results = writer.improve(
        prompts, seed=0, form="paragraph", mode=mode, force=True, max_new_tokens=12, guards=False
    )
    for prompt, [result] in zip(prompts, results, strict=True):
        reading = read(prompt)
        if mode == "extend":
            assert result.prompt == reading.extended(result.additions, SENTENCE)
        assert result.checks == {**result.checks, "over_budget": False}
        assert all(addition in result.prompt for addition in result.additions)


def test_a_paragraph_has_a_prefix_of_its_own(writer: Improver) -> None:
    tags, prose = (
        writer.improve(HEADS, seed=0, form=form, max_new_tokens=20, min_new_tokens=0, guards=False)
        for form in ("tags", "paragraph")
    )
    assert tags != prose
    assert {result.settings["form"] for [result] in prose} == {"paragraph"}


def test_the_style_opens_it(writer: Improver) -> None:
    options: dict[str, Any] = {"form": "paragraph", "style": "watercolor", "guards": False}
    for result in writer.improve("a sloth", n=3, seed=0, **options):
        assert result.prompt.startswith("a sloth, watercolor")
    [result] = writer.improve("a sloth", seed=0, mode="rewrite", keep_intent=False, **options)
    assert result.prompt.endswith("Watercolor.")


@pytest.mark.parametrize("diversity", [0.5, 1.0])
def test_variants_speak_of_other_things(writer: Improver, diversity: float) -> None:
    options: dict[str, Any] = {"form": "paragraph", "max_new_tokens": 20, "guards": False}
    found = writer.improve("a cat", n=3, seed=1, diversity=diversity, **options)
    alike = writer.improve("a cat", n=3, seed=1, **options)
    assert found[0].prompt == alike[0].prompt
    assert found[2].prompt != alike[2].prompt


def test_a_receipt_comes_again_and_can_be_edited(writer: Improver) -> None:
    results = writer.improve("a cat", n=4, seed=3, form="paragraph", guards=False)
    result = max(results, key=lambda one: len(one.additions))
    assert result.additions
    assert replay(parse_receipt(receipt_text(result), "here"), writer).same
    less = edited(result, {0})
    assert less.prompt == read("a cat").extended(less.additions, SENTENCE)
    assert replay(parse_receipt(receipt_text(less), "here"), writer).same
    assert len(reasons(writer, result)) == len(result.additions)


def test_a_receipt_without_a_form_is_of_tags(writer: Improver) -> None:
    [result] = writer.improve("a cat", seed=3)
    record = json.loads(receipt_text(result))
    del record["settings"]["form"]
    assert replay(parse_receipt(json.dumps(record), "here"), writer).same


@pytest.mark.parametrize("form", ["tags", "paragraph"])
def test_a_job_that_knew_no_forms_goes_on_in_tags(
    writer: Improver, tmp_path: Path, form: str
) -> None:
    source, output = PromptSource(prompts=HEADS), tmp_path / "out.jsonl"

    def write(form: str, stop: int | None = None) -> None:
        def progress(done: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        session = writer.session(max_new_tokens=4, form=form)
        improve_to_file(
            session, source.items(), output, source=source.identity(), seed=0, resume=True,
            progress=progress,
        )  # fmt: skip

    write("tags")
    whole = output.read_bytes()
    output.unlink()
    with pytest.raises(KeyboardInterrupt):
        write("tags", stop=2)
    header, *rows = journal_of(output).read_text("utf-8").splitlines(keepends=True)
    older = {**json.loads(header), "schema_version": 3}
    del older["form"]
    journal_of(output).write_text("".join([json.dumps(older) + "\n", *rows]), "utf-8")
    if form == "tags":
        write(form)
        assert output.read_bytes() == whole
    else:
        with pytest.raises(ConfigError, match="now it is 'paragraph'"):
            write(form)


def test_sentences_of_a_rewriting_are_cut_out(writer: Improver) -> None:
    [made] = writer.improve("cat", seed=0, form="paragraph", mode="rewrite", max_new_tokens=2)
    record = json.loads(receipt_text(made))
    record |= {"prompt": "A cat sits. Rain falls. Fog.", "additions": ["Rain falls.", "Fog."]}
    less = edited(parse_receipt(json.dumps(record), "here"), {0})
    assert less.prompt == "A cat sits. Fog."


def test_a_model_without_paragraphs_says_so_before_any_work(improver: Improver) -> None:
    line = r"has not learned form 'paragraph'; it has: tags"
    with pytest.raises(ConfigError, match=line):
        improver.session(form="paragraph")
    with pytest.raises(ConfigError, match=line):
        improver.improve_stream(iter(()), form="paragraph")
    with pytest.raises(ConfigError, match="form is 'prose' and must be tags, paragraph or json"):
        improver.session(form="prose")


@pytest.mark.parametrize("preset", [None, "paper"])
def test_where_no_form_is_named_a_model_writes_its_own(
    exported: Path, tmp_path: Path, writer: Improver, preset: str | None
) -> None:
    novelist = Improver.load(with_forms(exported, tmp_path / "novelist", ["paragraph"]), threads=1)
    options: dict[str, Any] = {"preset": preset, "max_new_tokens": 8, "min_new_tokens": 0}
    [result] = novelist.improve("a cat", seed=1, **options)
    assert [result] == novelist.improve("a cat", seed=1, form="paragraph", **options)
    assert result.settings["form"] == "paragraph"
    assert replay(parse_receipt(receipt_text(result), "here"), novelist).same
    scores = [
        novelist.log_probability(["a cat"], ["fog"], form=form) for form in (None, "paragraph")
    ]
    assert scores[0] == scores[1]
    [tags] = writer.improve("a cat", seed=1, **{**options, "form": None})
    assert tags.settings["form"] == "tags"
    with pytest.raises(ConfigError, match="has not learned form 'tags'; it has: paragraph"):
        novelist.session(form="tags")


def test_a_paragraph_of_the_models_own_has_a_paragraphs_length() -> None:
    card = ModelCard(name="m", modes={"extend": ""}, forms={"paragraph": ""})
    decoding, control = resolve_options(card, None, {})
    assert control.form == "paragraph" and decoding.max_new_tokens == 150


@pytest.mark.parametrize("options", [{}, {"mode": "rewrite"}, {"n": 2, "diversity": 0.5}])
def test_a_paragraph_does_not_depend_on_its_batch(
    writer: Improver, options: dict[str, Any]
) -> None:
    options = {"form": "paragraph", "max_new_tokens": 12, "guards": False, **options}
    together = writer.improve(HEADS, seed=5, **options)
    for batch_size in (1, 3):
        assert writer.improve(HEADS, seed=5, batch_size=batch_size, **options) == together


@pytest.mark.parametrize(("name", "limit"), [("sdxl", None), ("flux", 20)])
def test_a_paragraph_is_limited_unless_the_picture_model_reads_clip(
    name: str, limit: int | None
) -> None:
    control = ControlConfig(form="paragraph", picture_model=name, max_prompt_tokens=20)
    assert control.encoder_tokens == limit
