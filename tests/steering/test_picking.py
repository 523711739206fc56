"""Moving by picking: candidates, the map, and a session that goes on where it stopped."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from promptlift.errors import InputError
from promptlift.illustrating.embedding import Embedding, load_embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.improving.receipts import KEYWORD, parse_receipt
from promptlift.png_text import read_png_text
from promptlift.steering.candidates import candidates, map_of, spread
from promptlift.steering.picking import FILE, Picking, read_styles
from promptlift.steering.vectors import blend, distance, embedding_of
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
STAR = "red star"
STYLES = ["neon", "watercolour", "flat", "pixel"]
POOL = 12


def begun(folder: Path, illustrator: Illustrator) -> Picking:
    return Picking(folder, illustrator, embedding_of(illustrator, STAR), STYLES, pool=POOL)


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_candidates_are_the_same_for_a_seed(pocket: Illustrator) -> None:
    present = embedding_of(pocket, STAR)
    first, again, other = (
        candidates(pocket, present, seed=seed, styles=STYLES, pool=POOL) for seed in ("1", "1", "2")
    )
    hashes = [[one.sha256 for one in each] for each in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(set(hashes[0])) == 5
    assert all(one.prompt == STAR and {*one.about["styles"]} <= {*STYLES} for one in first)


def test_candidates_are_far_apart_and_of_their_texts(pocket: Illustrator) -> None:
    present = embedding_of(pocket, STAR)
    found = candidates(pocket, present, seed="1", styles=STYLES)
    some = candidates(pocket, present, seed="1", styles=STYLES, pool=5)

    def nearest(each: list[Embedding]) -> float:
        return min(distance(one, two) for one, two in combinations(each, 2))

    assert nearest(found) > nearest(some)
    for one in found:  # not where the words of style alone would lead
        words = embedding_of(pocket, ", ".join([STAR, *one.about["styles"]]))
        assert distance(one, words) > 0.02


def test_candidates_keep_what_was_learned_to_lead_away_from(pocket: Illustrator) -> None:
    present = embedding_of(pocket, STAR)
    present = replace(present, unwanted=embedding_of(pocket, "blur").wanted)
    one, *_ = candidates(pocket, present, seed="1", styles=STYLES, pool=POOL)
    for found in (one, blend(pocket, present, one, 0.5)):
        assert found.unwanted[0].embeds.equal(present.unwanted[0].embeds)


def test_the_map_keeps_distances_where_two_dimensions_do() -> None:
    rng = np.random.default_rng(0)
    plane, _ = np.linalg.qr(rng.normal(size=(40, 2)))
    points = rng.normal(size=(7, 2))
    found = map_of((points @ plane.T).astype(np.float32))

    def apart(rows: np.ndarray) -> np.ndarray:
        return np.linalg.norm(rows[:, None] - rows[None], axis=-1)  # type: ignore[no-any-return]

    ratio = apart(found)[0, 1:] / apart(points)[0, 1:]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert np.abs(found).max() == pytest.approx(1)
    assert (map_of(np.ones((1, 5), np.float32)) == 0).all()


def test_spread_takes_the_farthest_pair_and_then_the_loneliest() -> None:
    angles = np.radians([0, 5, 90, 178, 91])
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert sorted(spread(rows, 2)) == [0, 3]
    assert {*spread(rows, 3)} in ({0, 3, 2}, {0, 3, 4})
    assert sorted(spread(rows, 9)) == [0, 1, 2, 3, 4]


def test_a_session_goes_its_way_and_back(pocket: Illustrator, tmp_path: Path) -> None:
    picking = begun(tmp_path, pocket)
    np.testing.assert_array_equal(pixels(picking.picture(0)), np.asarray(pocket.draw(STAR).image))

    preview = picking.on_the_way(0, 0, 2, 60)
    place = picking.go(2, 60)
    assert (place.number, place.origin, place.percent) == (1, 0, 60)
    np.testing.assert_array_equal(pixels(picking.picture(1)), pixels(preview))
    drawn = pocket.draw(STAR, embedding=load_embedding(picking.embedding(1)))
    np.testing.assert_array_equal(pixels(picking.picture(1)), np.asarray(drawn.image))

    first = [file.read_bytes() for file in picking.offered(0, 0)]
    picking.back(0)
    assert picking.present == 0
    assert [file.read_bytes() for file in picking.offered(0, 0)] == first
    picking.others()
    assert [file.read_bytes() for file in picking.offered(0, 1)] != first
    assert picking.go(0, 100).origin == 0
    assert [one["place"] for one in picking.map()[:3]] == [0, 1, 2]
    assert sum("pick" in one for one in picking.map()) == 10

    receipt = parse_receipt(read_png_text(picking.picture(1))[KEYWORD], "it")
    [step] = receipt.settings["steered"]["picks"]
    assert (step["pick"], step["percent"]) == (2, 60)


def test_every_kind_of_model_can_be_picked_with(illustrator: Illustrator, tmp_path: Path) -> None:
    picking = Picking(tmp_path, illustrator, embedding_of(illustrator, STAR), STYLES, pool=6)
    picking.go(1, 50)
    drawn = illustrator.draw(STAR, seed=0, embedding=load_embedding(picking.embedding(1)))
    np.testing.assert_array_equal(pixels(picking.picture(1)), np.asarray(drawn.image))
    picking.redraw(Image.new("L", picking.size, 255), 0.5)
    assert (pixels(picking.picture(2)) != pixels(picking.picture(1))).any()
    assert len(picking.map()) == 3 + 5


def test_the_whole_way_is_the_candidate_itself(pocket: Illustrator, tmp_path: Path) -> None:
    picking = begun(tmp_path, pocket)
    [*_, last] = picking.offered(0, 0)
    picking.go(4, 100)
    assert load_embedding(picking.embedding(1)).sha256 == load_embedding(last).sha256


def test_a_session_that_stopped_is_the_one_that_did_not(
    pocket: Illustrator, tmp_path: Path
) -> None:
    whole = begun(tmp_path / "whole", pocket)
    for pick in (1, 3, 0):
        whole.go(pick, 50)
    for pick in (1, 3, 0):
        begun(tmp_path / "stopped", pocket).go(pick, 50)
    # As after a kill: what was offered and not picked is missing in part.
    (tmp_path / "stopped" / "candidates" / "00-0" / "4.safetensors").unlink()
    stopped = begun(tmp_path / "stopped", pocket)
    assert (stopped.places, stopped.present) == (whole.places, 3)
    stopped.offered(0, 0)
    for name in ("places.json", "embeddings/03.safetensors", "pictures/02.png",
                 "candidates/00-0/4.safetensors"):  # fmt: skip
        assert (tmp_path / "stopped" / name).read_bytes() == (
            tmp_path / "whole" / name
        ).read_bytes()


def test_a_part_is_drawn_anew_and_the_rest_kept(pocket: Illustrator, tmp_path: Path) -> None:
    picking = begun(tmp_path, pocket)
    levels = np.zeros((64, 64), np.uint8)
    levels[:, 32:] = 255
    before = pixels(picking.picture(0))
    for words in ("", "blue ring"):
        picking.back(0)
        place = picking.redraw(Image.fromarray(levels), 0.8, words)
        after = pixels(picking.picture(place.number))
        np.testing.assert_array_equal(after[:, :32], before[:, :32])
        assert (after[:, 32:] != before[:, 32:]).any()
    assert load_embedding(picking.embedding(2)).sha256 == embedding_of(pocket, STAR).sha256
    with pytest.raises(InputError, match="the mask is black"):
        picking.redraw(Image.new("L", (64, 64)), 0.8)


def test_what_is_not_there_is_refused(pocket: Illustrator, tmp_path: Path) -> None:
    picking = begun(tmp_path, pocket)
    for wrong in ((0, 0, 5, 50), (0, 0, 1, 0), (0, 0, 1, 101), (0, 1, 1, 50), (1, 0, 1, 50)):
        with pytest.raises(InputError, match="there is no"):
            picking.on_the_way(*wrong)
    with pytest.raises(InputError, match="there is no place 7"):
        picking.back(7)
    assert json.loads((tmp_path / FILE).read_text())["present"] == 0
    for text in ("{", '{"places": [], "present": 0, "offers": []}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(InputError, match=r"places\.json is damaged"):
            begun(tmp_path, pocket)


def test_styles_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "styles.txt"
    path.write_text("neon\n\n oil painting \nneon\n")
    assert read_styles(path) == ["neon", "oil painting"]
    path.write_text("\n")
    with pytest.raises(InputError, match="no words of style"):
        read_styles(path)


def test_what_cannot_be_written_moves_nothing(
    pocket: Illustrator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picking = begun(tmp_path, pocket)
    picking.offered(0, 0)

    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("promptlift.steering.picking.write_json", full)
    for move in (picking.others, lambda: picking.go(0, 50), lambda: picking.back(0)):
        with pytest.raises(OSError, match="No space"):
            move()
        assert (picking.present, picking.offer, len(picking.places)) == (0, 0, 1)
