"""The bundled model as the default one, whichever it is."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.improving.improver import Improver
from promptlift.improving.loading import BUNDLED, MODEL_VARIABLE, bundled_model_path
from promptlift.improving.manifest import Manifest
from promptlift.improving.receipts import read_receipts, replay
from promptlift.records import Improvement

FORMS = list(Manifest.read(bundled_model_path()).card.forms)
PARAGRAPHS = pytest.mark.skipif("paragraph" not in FORMS, reason="it has learned no paragraphs")
NINE = [
    "a lighthouse", "a cat in armor", "two dogs playing chess", "an old castle --ar 3:2",
    "a bowl of fruit", "a three-toed sloth", "a bench without any cats on it",
    "(a red sports car:1.2) in the rain", "portrait of a king",
]  # fmt: skip


@pytest.fixture(autouse=True)
def is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE)


@pytest.fixture(scope="module")
def bundled() -> Improver:
    return Improver.load(BUNDLED, threads=1)


def one(improver: Improver, prompt: str, **options: object) -> Improvement:
    [found] = improver.improve(prompt, seed=1, **options)  # type: ignore[call-overload]
    assert isinstance(found, Improvement)
    return found


def test_tags_follow_the_users_words(bundled: Improver) -> None:
    result = one(bundled, "a lighthouse at night")
    assert result.prompt == ", ".join(["a lighthouse at night", *result.additions])
    assert result.additions and result.clip_tokens <= 75
    assert result.model == Manifest.read(bundled_model_path()).model_id


@PARAGRAPHS
def test_a_paragraph_begins_with_the_users_words(bundled: Improver) -> None:
    result = one(bundled, "a three-toed sloth", form="paragraph")
    assert result.prompt.startswith("a three-toed sloth") and result.prompt.endswith(".")
    assert len(result.prompt.split()) >= 20


def test_a_rewriting_keeps_what_was_asked_for(bundled: Improver) -> None:
    result = one(bundled, "a lighthouse at night", mode="rewrite")
    assert {"lighthouse", "night"} <= {word.strip(",.") for word in result.prompt.lower().split()}
    assert result.prompt != "a lighthouse at night"


@pytest.mark.parametrize(
    "form", ["tags", pytest.param("paragraph", marks=[pytest.mark.slow, PARAGRAPHS])]
)
def test_nine_prompts_together_are_nine_alone(bundled: Improver, form: str) -> None:
    together = bundled.improve(NINE, seed=1, form=form)
    assert together == [[one(bundled, prompt, form=form)] for prompt in NINE]
    assert all(result.additions for [result] in together)


def test_its_receipt_is_made_again(bundled: Improver, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    words = ["improve", "a cat in armor", "--seed", "7", "--json"]
    path.write_text(CliRunner().invoke(app, words).stdout)
    [receipt] = read_receipts(path)
    assert replay(receipt, bundled).same
    again = CliRunner().invoke(app, ["replay", str(path)])
    assert again.stdout == f"same: {receipt.prompt}\n", again.stderr


def test_doctor_shows_it() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    model = json.loads(result.stdout)["model"]
    assert (model["error"], model["named_by"]) == (None, None)
    assert model["id"].startswith(f"{BUNDLED}@") and model["forms"] == FORMS
    assert ", bundled, " in CliRunner().invoke(app, ["doctor"]).stdout


@pytest.mark.slow
def test_a_new_process_gives_the_same(bundled: Improver) -> None:
    line = [sys.executable, "-m", "promptlift", "improve", "a lighthouse", "--seed", "1"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == one(bundled, "a lighthouse").prompt + "\n"


@pytest.mark.slow
def test_any_batch_and_number_of_threads_give_the_same(bundled: Improver) -> None:
    ends = ("at dawn", "in the rain", "beside a river", "made of glass", "seen from above")
    prompts = [f"{head} {end}" for head in NINE[:3] for end in ends]
    expected = bundled.improve(prompts, seed=3)
    assert Improver.load(BUNDLED, threads=2).improve(prompts, seed=3) == expected
    assert bundled.improve(prompts, seed=3, batch_size=7) == expected
