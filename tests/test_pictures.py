"""The index of a run's pictures, and files that are not what it says."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from promptlift.errors import InputError
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture, by_noise, pair_up, read_index
from promptlift.pictures import write_index as write_pictures
from promptlift.tables import Row, read_rows
from tests.scoring.clip_models import draw_run, write_index


def rows_of(run: Path) -> list[dict[str, object]]:
    rows = list(read_rows(run / "pictures" / "index.parquet"))
    return [
        dict(row.value) for row in rows if isinstance(row, Row) and not isinstance(row.value, str)
    ]


def test_pairs_share_prompt_and_seed(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", prompts=3, seeds=(7, 8), variants=2)
    write_index(run, rows_of(run)[::-1])  # the order of the index is of no account
    pictures = read_index(run / "pictures")
    pairs = pair_up(pictures)
    assert len(pairs) == 3 * 2 * 2
    for pair in pairs:
        original, improved = pair.original, pair.improved
        assert (original.side, improved.side) == ("original", "improved")
        assert (original.prompt_index, original.seed) == (improved.prompt_index, improved.seed)
        assert improved.prompt.startswith(original.prompt)


def test_a_picture_without_its_partner_is_in_no_pair(drawn: Path) -> None:
    rows = [row for row in rows_of(drawn) if (row["prompt_index"], row["side"]) != (0, "original")]
    write_index(drawn, rows)
    pictures = read_index(drawn / "pictures")
    assert {pair.improved.prompt_index for pair in pair_up(pictures)} == {1, 2, 3}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    shared: dict[str, Any] = {
        "seed": 3, "sha256": "0" * 64, "source": "a cat", "width": 16, "height": 8,
        "settings": {"num_inference_steps": 2, "prompt_2": None},
        "model": [{"name": "base", "sha256": "1" * 64}, {"name": "refiner", "sha256": "2" * 64}],
    }  # fmt: skip
    pictures = [
        Picture(
            prompt_index=index,
            side=side,
            variant=variant,
            path=tmp_path / f"{index}-{side}-{variant}.png",
            prompt="a cat" + ", 猫" * variant,
            negative="blurry" if index else None,
            seconds=None if index else 0.5,
            cut_tokens=index,
            **shared,
        )
        for index in (0, 1)
        for side, variant in (("original", 0), ("improved", 0), ("improved", 1))
    ]
    write_pictures(tmp_path, reversed(pictures))
    found = read_index(tmp_path)
    assert found == pictures
    assert found[0].model_name == "base"
    assert isinstance(found[0].settings, dict)
    found[0].settings["num_inference_steps"] = 9  # each has its own
    assert found[1:] == pictures[1:]
    assert read_index(tmp_path) == pictures


def test_pictures_of_one_noise_may_be_of_several_runs(tmp_path: Path) -> None:
    runs = [draw_run(tmp_path / name, prompts=2, seeds=(7, 8)) for name in ("first", "second")]
    pictures = [one for run in runs for one in read_index(run / "pictures")]
    groups = by_noise(pictures, lambda one: one.source)
    assert len(groups) == 2 * 2
    for (source, seed), same in groups.items():
        assert {(one.source, one.seed) for one in same} == {(source, seed)}
        assert {one.path.parent.parent.name for one in same} == {"first", "second"}


def test_no_index_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Draw them first: promptlift illustrate RUN"):
        read_index(tmp_path / "pictures")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"side": "better"}, "row 3: `side` is 'better' and must be original or improved"),
        ({"prompt": None}, "row 3: `prompt` is None and must be text"),
        ({"seed": None}, "row 3: `prompt_index` or `seed` is empty"),
        ({"settings": "{"}, r"row 3: `settings` is '\{', not what was written"),
        ({"model": '{"base": 1}'}, "row 3: `model` is .* not what was written"),
    ],
)
def test_faulty_rows_are_named(change: dict[str, object], said: str, drawn: Path) -> None:
    rows = rows_of(drawn)
    rows[2] |= change
    write_index(drawn, rows)
    with pytest.raises(InputError, match=said):
        read_index(drawn / "pictures")


def test_other_tables_and_doubled_rows_are_refused(drawn: Path) -> None:
    rows = rows_of(drawn)
    write_index(drawn, [*rows, rows[0]])
    with pytest.raises(InputError, match="lists two original pictures of prompt 0, seed 1"):
        read_index(drawn / "pictures")
    write_index(drawn, [{"x": 1}])
    with pytest.raises(InputError, match="lacks the column 'prompt_index'"):
        read_index(drawn / "pictures")


def test_files_that_are_not_the_pictures_are_named(drawn: Path) -> None:
    missing, changed, broken, whole = read_index(drawn / "pictures")[:4]
    reader = PictureReader(2)
    missing.path.unlink()
    with pytest.raises(InputError, match=rf"{missing.path.name} cannot be read: No such file"):
        reader.check(missing)
    Image.new("RGB", (8, 8)).save(changed.path)
    with pytest.raises(InputError, match=rf"{changed.path.name} is not the picture that was drawn"):
        reader.image(changed)
    broken.path.write_bytes(broken.path.read_bytes()[:200])
    with pytest.raises(InputError, match=rf"{broken.path.name} is not the picture"):
        reader.check(broken)
    reader.check(whole)
    assert reader.image(whole).mode == "RGB"


def test_a_file_that_was_broken_when_listed_is_named(drawn: Path) -> None:
    rows = rows_of(drawn)
    path = drawn / "pictures" / str(rows[0]["file"])
    path.write_bytes(path.read_bytes()[:300])
    rows[0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_index(drawn, rows)
    reader = PictureReader(2)
    first = next(one for one in read_index(drawn / "pictures") if one.path == path)
    reader.check(first)
    with pytest.raises(InputError, match=rf"{path.name} is not a readable picture"):
        reader.image(first)


@pytest.mark.parametrize("limit", ["error", "warning"])
def test_a_picture_too_large_to_be_decoded_is_named(
    limit: str, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = read_index(drawn / "pictures")[0]
    with Image.open(picture.path) as image:
        pixels = image.width * image.height
    # Pillow warns above the limit, here an error as all warnings, and refuses above twice that.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pixels // 3 if limit == "error" else pixels - 1)
    warnings.simplefilter("error")  # pytest restores the filters
    with pytest.raises(InputError, match=rf"{picture.path.name} is not a readable picture: "):
        PictureReader(1).image(picture)
