"""Files of prompts: faults, journals, and going on after a kill."""

import json
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.improving.batch import Item, PromptSource, improve_items
from promptlift.improving.improver import Improver
from promptlift.improving.journal import improve_to_file, journal_of
from promptlift.schema import ADDED, OPTIONS
from promptlift.tables import read_rows
from promptlift.text_files import STDIN


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    lines = [json.dumps({"prompt": f"castle {number}"}) for number in range(10)]
    lines[3], lines[6] = '{"prompt": ""}', "{broken"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(
    improver: Improver,
    prompts: Path,
    output: Path,
    *,
    stop: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    coherent: bool = True,
) -> None:
    source = PromptSource(files=[prompts])

    def progress(done: int) -> None:
        if done == stop:
            raise KeyboardInterrupt

    improve_to_file(
        improver.session(max_new_tokens=6, coherent=coherent),
        source.items(),
        output,
        source=source.identity(),
        n=2,
        seed=None if resume else 4,
        progress=progress,
        resume=resume,
        overwrite=overwrite,
    )


def test_faulty_rows_do_not_stop_the_rest(
    improver: Improver, prompts: Path, tmp_path: Path
) -> None:
    run(improver, prompts, tmp_path / "out.jsonl")
    rows = [row.value for row in read_rows(tmp_path / "out.jsonl")]  # type: ignore[union-attr]
    assert len(rows) == 2 * 8 + 2
    faults = [row for row in rows if "error" in row]
    assert [(row["index"], row["line"]) for row in faults] == [(3, 4), (6, 7)]  # type: ignore[index]
    assert "empty" in faults[0]["error"] and "JSON" in faults[1]["error"]  # type: ignore[index]
    assert not journal_of(tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("stop", [1, 5, 9])
def test_a_stopped_job_ends_with_the_same_bytes(
    improver: Improver, prompts: Path, tmp_path: Path, ending: str, stop: int
) -> None:
    whole, parts = tmp_path / f"whole.{ending}", tmp_path / f"parts.{ending}"
    run(improver, prompts, whole)
    with pytest.raises(KeyboardInterrupt):
        run(improver, prompts, parts, stop=stop)
    assert not parts.exists()
    # A kill in the middle of a write leaves half a line.
    with journal_of(parts).open("a") as file:
        file.write('{"index": 9, "sour')
    run(improver, prompts, parts, resume=True)
    assert parts.read_bytes() == whole.read_bytes()


def as_version_2(line: str) -> str:
    """A line of a journal as it was before options were renamed and others came."""
    older = {new: old for old, new in OPTIONS.items()}

    def before(settings: dict[str, Any]) -> dict[str, Any]:
        return {older.get(name, name): v for name, v in settings.items() if name not in ADDED}

    value = {**before(json.loads(line)), "schema_version": 2}
    if "settings" in value:
        value["settings"] = before(value["settings"])
    return json.dumps(value, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_job_that_an_older_version_began_ends_with_the_same_bytes(
    improver: Improver, prompts: Path, tmp_path: Path, ending: str
) -> None:
    whole, parts = tmp_path / f"whole.{ending}", tmp_path / f"parts.{ending}"
    run(improver, prompts, whole, coherent=False)
    with pytest.raises(KeyboardInterrupt):
        run(improver, prompts, parts, stop=5, coherent=False)
    journal = journal_of(parts)
    older = "".join(map(as_version_2, journal.read_text("utf-8").splitlines()))
    assert '"painters"' in older and '"artists"' not in older
    assert '"coherent"' not in older
    journal.write_text(older, "utf-8")
    with pytest.raises(ConfigError, match="begun with coherent False, now it is True"):
        run(improver, prompts, parts, resume=True)
    run(improver, prompts, parts, resume=True, coherent=False)
    assert parts.read_bytes() == whole.read_bytes()


def test_a_journal_of_another_job_is_refused(
    improver: Improver, prompts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run(improver, prompts, output, stop=2)
    with pytest.raises(ConfigError, match="--resume to go on"):
        run(improver, prompts, output)
    prompts.write_text("castle\n")
    with pytest.raises(ConfigError, match="was begun with input"):
        run(improver, prompts, output, resume=True)
    journal_of(output).write_text("{}\n")
    with pytest.raises(ConfigError, match="has no header"):
        run(improver, prompts, output, resume=True)


def test_an_output_is_kept_unless_forced(improver: Improver, prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        run(improver, prompts, output)
    assert output.read_text() == "mine"
    run(improver, prompts, output, overwrite=True)
    assert output.read_text() != "mine"


def test_standard_input_cannot_be_resumed() -> None:
    source = PromptSource(files=[STDIN])
    with pytest.raises(ConfigError, match="cannot be resumed"):
        source.identity(resume=True)
    assert source.identity()["standard_input"]


def test_prompts_are_counted_where_that_is_quick(prompts: Path) -> None:
    assert PromptSource(prompts=["a cat"], files=[prompts]).count() == 11
    assert PromptSource(files=[prompts, STDIN]).count() is None


def test_a_job_that_never_began_leaves_no_journal(improver: Improver, tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("text,other\na cat,1\n")
    source = PromptSource(files=[path], column="txt")
    with pytest.raises(InputError, match="Did you mean 'text'"):
        improve_to_file(
            improver.session(), source.items(), tmp_path / "out.jsonl", source=source.identity()
        )
    assert list(tmp_path.iterdir()) == [path]


def test_each_item_is_improved_in_its_own_mode(improver: Improver) -> None:
    session = improver.session(max_new_tokens=6)
    modes = ["extend", "rewrite", "rewrite", "extend"]
    items = [
        Item(index=index, prompt=f"castle {index}", mode=mode) for index, mode in enumerate(modes)
    ]
    found = [objects[0] for objects in improve_items(session, items, seed=2)]
    assert [item["mode"] for item in found] == modes
    for index, mode in enumerate(modes):
        [alone] = improver.improve(f"castle {index}", seed=2, mode=mode, max_new_tokens=6)
        assert found[index]["prompt"] == alone.prompt


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / name / "p.txt" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    one, other = PromptSource(files=paths), PromptSource(files=paths[::-1])
    assert one.identity() != other.identity()
    assert len(one.identity()["files"]) == 2


def test_d_a_file_of_a1111_prompt_lines_keeps_all_but_the_prompts(
    bundled: Improver, tmp_path: Path
) -> None:
    path = tmp_path / "prompts.txt"
    lines = [
        '--prompt "a cat" --negative_prompt "blurry"',
        "--steps 20 --prompt a red dog --negative_prompt blurry, ugly",
        '--negative_prompt "x" --prompt "a hat"',
    ]
    path.write_text("\n".join(lines), "utf-8")
    session = bundled.session()
    for line, [row] in zip(
        lines, improve_items(session, PromptSource(files=[path]).items(), seed=0), strict=True
    ):
        assert row["additions"]
        assert row["prompt"].replace(", " + ", ".join(row["additions"]), "") == line
