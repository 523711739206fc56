"""`--for`: every picture model in its form, within its limit, with the user's words."""

import json
import re
from pathlib import Path

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from typer.testing import CliRunner

from promptlift import Improver
from promptlift.cli import app
from promptlift.errors import ConfigError, InputError
from promptlift.improving.config import ControlConfig
from promptlift.improving.editing import edited
from promptlift.improving.receipts import parse_receipt, receipt_text, replay
from promptlift.improving.target import Target
from promptlift.prompts.picture_models.encoders import (
    TOKENIZERS_VARIABLE,
    count_tokens,
    estimate,
)
from promptlift.prompts.picture_models.markup import as_prose
from promptlift.prompts.picture_models.objects import as_object
from promptlift.prompts.picture_models.table import NAMES, picture_models, schema
from promptlift.prompts.reading import read

PROMPTS = [
    "a lighthouse", "a cat in armor", "two red birds on a fence", "a dragon, oil painting",
    'a neon sign that says "OPEN 24h"', "a (glass:1.3) teapot, [steam]", "portrait of an old man",
    "a dog <lora:fluffy:0.8>", "masterpiece, a knight", "score_9, a fox", "a car at night",
    "a street BREAK rain", "an astronaut on the moon, photograph", "ein Haus am See",
    "a bowl of ramen, #FF8800 bowl", "a castle without people", "a wolf AND a forest",
    "ship in a bottle, bokeh", "a poster with “Hello, World”", "1girl, solo, umbrella",
]  # fmt: skip
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=80)
PHRASE = st.sampled_from(
    ["soft light", "rocky coast", "highly detailed", "low angle", "oil painting", "masterpiece",
     "blue tones", "85mm lens", "warm glow on the sea", "on a cliff", "red and white stripes",
      "depth of field", "dark background", "calm mood", "photograph"]
)  # fmt: skip


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@pytest.mark.parametrize("name", NAMES)
def test_each_picture_model_with_the_bundled_model(bundled: Improver, name: str) -> None:
    model = picture_models()[name]
    for [result] in bundled.improve(PROMPTS, seed=3, picture_model=name):
        assert result.checks["lost"] == [], result
        assert result.checks["over_budget"] is False
        if model.object:
            if model.form == "json":
                found = json.loads(result.prompt)
                jsonschema_rs.validate(schema(model.object), found)
                assert all(phrase in result.prompt for phrase in result.additions)
        elif model.markup:
            part = read(result.source).part  # additions stand between these, byte for byte
            assert part is not None and result.source[: part.end] in result.prompt
            assert result.prompt.endswith(result.source[part.end :])
        else:
            assert ":1.3" not in result.prompt and "BREAK" not in result.prompt
        if model.form == "paragraph":  # which the bundled model does not write
            assert any(note.startswith("in tags: ") for note in result.notes)
        for tag in model.quality:
            clauses = [clause.strip() for clause in result.prompt.split(",")]
            assert clauses.count(tag) <= 1
            assert tag not in result.additions or tag not in result.checks["quality_tags"]


def test_sdxl_is_as_if_nothing_was_named(bundled: Improver) -> None:
    named = bundled.improve(PROMPTS, seed=3, picture_model="sdxl")
    assert named == bundled.improve(PROMPTS, seed=3)
    assert "encoder" not in named[0][0].checks


def test_written_words_become_text_elements(bundled: Improver) -> None:
    [result] = bundled.improve('a sign "Öffnet 9:00!"', seed=1, picture_model="ideogram4")
    elements = json.loads(result.prompt)["compositional_deconstruction"]["elements"]
    assert [item["text"] for item in elements if item["type"] == "text"] == ["Öffnet 9:00!"]
    [result] = bundled.improve('a sign "OPEN"', seed=1, picture_model="flux2", form="json")
    assert {"description": 'the text "OPEN"'} in json.loads(result.prompt)["subjects"]


def test_json_that_is_there_already_is_left_alone(bundled: Improver) -> None:
    own = json.dumps(as_object("a cat", ["soft light"], "ideogram4"))
    [result] = bundled.improve(own, seed=1, picture_model="ideogram4")
    assert result.prompt == own and "JSON of Ideogram 4 already" in " ".join(result.notes)
    [result] = bundled.improve('{"prompt": "a cat"}', seed=1, picture_model="ideogram4")
    assert json.loads(result.prompt)["high_level_description"] == "a cat"


def test_additions_stand_in_the_fields_for_light_and_setting() -> None:
    light = ["golden glow on the rocky shore", "in soft sunlight", "rays streaming through fog"]
    setting = ["on a rugged cliff", "surrounded by stars", "in a dimly lit room", "dark background"]
    thing = ["white and red stripes", "light rain", "green fields", "a dog in the shadows"]
    colour = ["vibrant colors", "pastel tones"]
    additions = [*thing, *light, *setting, *colour]
    found = as_object("a lighthouse", additions, "flux2")
    assert found["lighting"] == ", ".join(light)
    assert found["background"] == ", ".join(setting)
    assert found["color_palette"] == colour
    assert found["subjects"] == [{"description": ", ".join(["a lighthouse", *thing])}]
    found = as_object("a lighthouse", [*additions, "oil painting"], "ideogram4")
    assert found["style_description"]["lighting"] == ", ".join(light)
    placed = found["compositional_deconstruction"]
    assert placed["background"] == ", ".join(setting)
    assert [item["desc"] for item in placed["elements"]] == [", ".join(["a lighthouse", *thing])]


@given(
    base=ASCII,
    additions=st.lists(PHRASE, unique=True),
    kind=st.sampled_from(["flux2", "ideogram4"]),
)
@settings(max_examples=150, deadline=None)
def test_an_object_is_valid_and_has_every_addition(
    base: str, additions: list[str], kind: str
) -> None:
    base = base if base.strip() else "a cat"
    found = as_object(base, additions, kind)
    jsonschema_rs.validate(schema(kind), found)
    text = json.dumps(found)
    assert next(iter(found.values())) == base
    assert all(phrase in text for phrase in additions)


@given(
    name=st.sampled_from(NAMES),
    additions=st.lists(PHRASE, unique=True),
    limit=st.integers(8, 60),
)
@settings(max_examples=150, deadline=None)
def test_the_limit_holds_and_own_words_stay(name: str, additions: list[str], limit: int) -> None:
    model = picture_models()[name]
    if name == "sdxl":  # `selection.fit` keeps its limit
        return
    target = Target(ControlConfig(picture_model=name, form=model.form, max_prompt_tokens=limit))
    reading = read("a cat")
    made = target.made(reading, reading.extended(additions, target.control.unit), additions)
    assert made.checks is not None and "a cat" in made.prompt
    held = made.checks["over_budget"] is False
    assert held or (made.additions == [] and made.checks["quality_tags"] == [])
    assert made.additions == additions[: len(made.additions)]  # dropped from the end
    assert [item.phrase for item in made.dropped] == additions[len(made.additions) :][::-1]
    for tag in model.quality if model.form == "tags" else ():
        assert words(made.prompt.replace(", ", " , ")).count(tag) <= 1


def test_quality_tags_stand_where_the_model_wants_them(bundled: Improver) -> None:
    [pony] = bundled.improve("a fox", seed=1, picture_model="pony")
    assert pony.prompt.startswith("score_9, score_8_up, score_7_up, a fox")
    [own] = bundled.improve("(score_9:1.1), a fox", seed=1, picture_model="pony")
    assert own.prompt.startswith("score_8_up, score_7_up, (score_9:1.1), a fox")
    [last] = bundled.improve("a fox <lora:x:1>", seed=1, picture_model="illustrious")
    assert last.prompt.endswith("masterpiece, best quality, newest, absurdres, highres <lora:x:1>")
    assert last.checks["quality_tags"] == list(picture_models()["illustrious"].quality)
    [bad] = bundled.improve("worst quality, a fox", seed=1, picture_model="noobai")
    assert bad.checks["quality_tags"] == []


@pytest.mark.parametrize(
    ("prompt", "text", "said"),
    [
        ("a (cat:1.3), [dog]", "a cat, dog", "weights became plain words"),
        ("a cat BREAK night", "a cat, night", "BREAK and AND became commas"),
        ("a cat <lora:x:0.8>", "a cat <lora:x:0.8>", "kept <lora:x:0.8>"),
        ("[cat:dog:0.5] here", "cat here", "[cat:dog:0.5] cannot be"),
        ("a {red|blue} cat", "a {red|blue} cat", ""),
        ("a cat --ar 16:9", "a cat", "left out --ar 16:9"),
        ("(cat) \\(series\\)", "cat (series)", "weights"),
        ("a cat", "a cat", ""),
    ],
)
def test_markup_becomes_what_prose_readers_read(prompt: str, text: str, said: str) -> None:
    found, notes = as_prose(prompt, "FLUX.1")
    assert found == text
    assert said in " ".join(notes) and bool(said) == bool(notes)


def test_a_negative_prompt_is_given_back_with_a_note(bundled: Improver) -> None:
    [flux] = bundled.improve("a cat", seed=1, picture_model="flux", negative="blur")
    assert flux.negative == "blur" and "reads no negative prompt" in " ".join(flux.notes)
    [pony] = bundled.improve("a cat", seed=1, picture_model="pony", negative="blur")
    assert "negative" not in " ".join(pony.notes)


def test_the_note_of_an_estimate_says_what_ends_it(
    bundled: Improver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [estimated] = bundled.improve("a cat", seed=1, picture_model="flux")
    [note] = [note for note in estimated.notes if "estimated" in note]
    assert note.startswith("T5 tokens are estimated: ")
    file = re.search(r"tokenizer\.json as (\S+) into the folder that (\S+) names", note)
    assert file and file[2] == TOKENIZERS_VARIABLE
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    tokenizer.save(str(tmp_path / file[1]))
    monkeypatch.setenv(file[2], str(tmp_path))
    [counted] = bundled.improve("a cat", seed=1, picture_model="flux")
    assert not any("estimated" in note for note in counted.notes)
    assert not counted.checks["estimated"]


def test_a_tokenizer_that_is_there_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = count_tokens("a cat sits", "t5")
    assert counted.estimated and counted.tokens == estimate("a cat sits") >= 3
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "cat": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "t5.json"))
    monkeypatch.setenv(TOKENIZERS_VARIABLE, str(tmp_path))
    assert count_tokens("a cat sits", "t5").tokens == 3
    assert not count_tokens("a cat sits", "t5").estimated
    cached = tmp_path / "models--Qwen--Qwen3-4B" / "snapshots" / "0"
    cached.mkdir(parents=True)
    (tmp_path / "t5.json").rename(cached / "tokenizer.json")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert count_tokens("a cat", "qwen").tokens == 2
    (tmp_path / "mistral.json").write_text("{}")
    with pytest.raises(InputError, match=r"mistral\.json is no tokenizer"):
        count_tokens("a cat", "mistral")


@pytest.mark.parametrize("name", ["pony", "flux", "ideogram4"])
def test_receipts_replay_and_additions_can_be_taken_out(bundled: Improver, name: str) -> None:
    [made] = bundled.improve("a (lighthouse:1.2)", seed=5, picture_model=name)
    receipt = parse_receipt(receipt_text(made), "here")
    assert replay(receipt, bundled).same
    assert len(made.additions) > 1
    less = edited(made, [0])
    assert made.additions[0] not in less.prompt and less.additions == made.additions[1:]
    assert less.checks["encoder"] == made.checks["encoder"]
    if name == "ideogram4":
        jsonschema_rs.validate(schema(name), json.loads(less.prompt))


def test_a_wrong_name_gets_one_line_with_the_right_one(bundled: Improver) -> None:
    result = CliRunner().invoke(app, ["improve", "a cat", "--for", "fluxx"])
    assert result.exit_code == 2
    assert result.stderr.strip().endswith("did you mean flux?")
    assert len(result.stderr.strip().splitlines()) == 1
    shown = " ".join(CliRunner().invoke(app, ["improve", "--help"]).stdout.split())
    assert all(name in shown for name in NAMES)
    with pytest.raises(ConfigError, match="flux does not read"):
        bundled.session(picture_model="flux", form="json")


def test_the_guides_table_is_the_data() -> None:
    page = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    for name, model in picture_models().items():
        quality = f"{', '.join(model.quality)} ({model.quality_at})" if model.quality else ""
        row = [f"`{name}`", model.title, model.form + (", json" * (name == "flux2")),
               ", ".join(model.encoders), str(model.room), quality,
               "yes" if model.negatives else "no", " to ".join(map(str, model.words))]  # fmt: skip
        assert f"| {' | '.join(row)} |".replace("|  |", "| |") in page, row
