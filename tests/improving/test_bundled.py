"""The bundled model itself; all other tests run with a smaller one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.errors import ModelError
from promptlift.improving.improver import Improver
from promptlift.improving.loading import MODEL_VARIABLE, bundled_model_path
from promptlift.improving.manifest import Manifest
from promptlift.improving.receipts import bundled_of, read_receipts, receipt_text, replay
from promptlift.llm.config import URL_VARIABLE
from promptlift.records import Improvement
from tests.conftest import NEEDS_BUNDLED

pytestmark = NEEDS_BUNDLED
NINE = [
    "a lighthouse", "a cat in armor", "two dogs playing chess", "an old castle --ar 3:2",
    "a bowl of fruit", "a three-toed sloth", "a bench without any cats on it",
    "(a red sports car:1.2) in the rain", "portrait of a king",
]  # fmt: skip


@pytest.fixture(autouse=True)
def is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE)


@pytest.fixture(scope="module")
def writer() -> Improver:
    return Improver.load("writer", threads=1)


def one(improver: Improver, prompt: str, **options: object) -> Improvement:
    [found] = improver.improve(prompt, seed=1, **options)  # type: ignore[call-overload]
    assert isinstance(found, Improvement)
    return found


def test_tags_follow_the_users_words(writer: Improver) -> None:
    result = one(writer, "a lighthouse at night")
    assert result.prompt == ", ".join(["a lighthouse at night", *result.additions])
    assert result.additions and result.clip_tokens <= 75
    assert result.model == Manifest.read(bundled_model_path()).model_id


def test_a_paragraph_begins_with_the_users_words(writer: Improver) -> None:
    result = one(writer, "a three-toed sloth", form="paragraph")
    assert result.prompt.startswith("a three-toed sloth") and result.prompt.endswith(".")
    assert len(result.prompt.split()) >= 8


def test_a_rewriting_keeps_what_was_asked_for(writer: Improver) -> None:
    result = one(writer, "a lighthouse at night", mode="rewrite")
    assert {"lighthouse", "night"} <= {word.strip(",.") for word in result.prompt.lower().split()}
    assert result.prompt != "a lighthouse at night"


@pytest.mark.parametrize("form", ["tags", pytest.param("paragraph", marks=pytest.mark.slow)])
def test_nine_prompts_together_are_nine_alone(writer: Improver, form: str) -> None:
    together = writer.improve(NINE, seed=1, form=form)
    assert together == [[one(writer, prompt, form=form)] for prompt in NINE]
    # Which words are drawn depends on the kind of processor.
    assert sum(bool(result.additions) for [result] in together) >= 7


def test_its_receipt_is_made_again(writer: Improver, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    words = ["improve", "a cat in armor", "--seed", "7", "--json"]
    path.write_text(CliRunner().invoke(app, words).stdout)
    [receipt] = read_receipts(path)
    assert replay(receipt, writer).same
    again = CliRunner().invoke(app, ["replay", str(path)])
    assert again.stdout == f"same: {receipt.prompt}\n", again.stderr


def test_doctor_shows_it() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    model = json.loads(result.stdout)["model"]
    assert (model["error"], model["named_by"]) == (None, None)
    assert model["id"].startswith("writer@") and model["forms"] == ["tags", "paragraph"]
    assert ", bundled, " in CliRunner().invoke(app, ["doctor"]).stdout


@pytest.mark.slow
def test_a_new_process_gives_the_same(writer: Improver) -> None:
    line = [sys.executable, "-m", "promptlift", "improve", "a lighthouse", "--seed", "1"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == one(writer, "a lighthouse").prompt + "\n"


@pytest.mark.slow
def test_any_batch_and_number_of_threads_give_the_same(writer: Improver) -> None:
    ends = ("at dawn", "in the rain", "beside a river", "made of glass", "seen from above")
    prompts = [f"{head} {end}" for head in NINE[:3] for end in ends]
    expected = writer.improve(prompts, seed=3)
    assert Improver.load("writer", threads=2).improve(prompts, seed=3) == expected
    assert writer.improve(prompts, seed=3, batch_size=7) == expected


def test_its_receipts_are_replayed_whatever_the_environment_names(
    writer: Improver, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = one(writer, "a lighthouse")
    path = tmp_path / "receipt.json"
    path.write_text(receipt_text(receipt))
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:9/v1")
    monkeypatch.setenv(MODEL_VARIABLE, str(exported))
    result = CliRunner().invoke(app, ["replay", str(path)])
    assert (result.exit_code, result.stdout) == (0, f"same: {receipt.prompt}\n"), result.stderr
    with pytest.raises(ModelError, match=r"; pass --model writer$"):
        replay(receipt, Improver.load(exported))
    [other] = Improver.load(exported).improve("a lighthouse", seed=1)
    assert bundled_of([other]) is bundled_of([receipt, other]) is None
