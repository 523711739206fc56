"""Scoring the pictures of a whole run."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from promptlift.errors import ConfigError, InputError
from promptlift.pictures import Picture
from promptlift.runs import Run
from promptlift.scoring.pictures import preference_models as preference
from promptlift.scoring.pictures.clip_loading import load_clip
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.picture_features import caption
from promptlift.scoring.pictures.run import STAGE, score_pictures
from promptlift.scoring.pictures.similarity import cosines, directional_similarity
from promptlift.scoring.pictures.verdicts import judge
from promptlift.scoring.scores import Metric
from promptlift.tables import Row, read_rows
from tests.scoring.clip_models import draw_run, index_row, make_head, write_index
from tests.scoring.torchmetrics_pairs import by_torchmetrics
from tests.test_pictures import rows_of


def config_of(clip: Path, **more: Any) -> PictureScoringConfig:
    settings = {"clip": str(clip), "metrics": ("clip", "measures"), "offline": True, **more}
    return PictureScoringConfig(**settings)


def table(run: Path, name: str) -> list[dict[str, Any]]:
    rows = list(read_rows(run / "scores" / name))
    return [
        dict(row.value) for row in rows if isinstance(row, Row) and not isinstance(row.value, str)
    ]


def score_of(found: dict[str, Any], system: str, metric: str) -> dict[str, Any]:
    [scores] = [one["scores"] for one in found["systems"] if one["name"] == system]
    [score] = [one for one in scores if one["metric"] == metric]
    return dict(score)


def test_the_four_pairings_are_torchmetrics(clip_folder: Path, drawn: Path) -> None:
    found = score_pictures(drawn, config_of(clip_folder))
    pairs = table(drawn, "pairs.parquet")
    assert len(pairs) == found["pairs"] == 8
    images = {
        name: Image.open(drawn / "pictures" / name).convert("RGB")
        for pair in pairs
        for name in (pair["original_file"], pair["improved_file"])
    }
    for text, prompt in (("source", "original"), ("prompt", "improved")):
        for side in ("original", "improved"):
            texts = [pair[text] for pair in pairs]
            shown = [images[pair[f"{side}_file"]] for pair in pairs]
            expected = by_torchmetrics(clip_folder, texts, shown)
            column = f"clipscore_{prompt}_prompt_{side}_picture"
            assert [pair[column] for pair in pairs] == pytest.approx(expected, abs=1e-4)
            mean = score_of(found, f"{side} pictures", f"clipscore_{prompt}_prompt")
            assert mean["value"] == pytest.approx(np.mean(expected), abs=1e-4)
            assert mean["low"] <= mean["value"] <= mean["high"]
            assert mean["n"] == 4
    encoder = load_clip(str(clip_folder))
    texts = [encoder.texts([pair[text] for pair in pairs]) for text in ("source", "prompt")]
    pictures = [
        encoder.encode_images([images[pair[f"{side}_file"]] for pair in pairs])
        for side in ("original", "improved")
    ]
    similar = directional_similarity(*texts, *pictures)
    assert [pair["directional_similarity"] for pair in pairs] == pytest.approx(similar, abs=1e-5)
    same = cosines(*pictures)
    assert [pair["picture_similarity"] for pair in pairs] == pytest.approx(same, abs=1e-5)


def test_everything_at_once(clip_folder: Path, tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", prompts=5, seeds=(1, 2, 3), variants=2)
    make_head(tmp_path / "head.pth")
    config = config_of(
        clip_folder,
        metrics=None,
        preference=str(clip_folder),
        aesthetic=str(tmp_path / "head.pth"),
        aesthetic_clip=str(clip_folder),
    )
    found = score_pictures(run, config)
    assert json.loads((run / "scores" / "pictures.json").read_text()) == json.loads(
        json.dumps(found)
    )
    assert found["pictures"]["n"] == 45
    assert found["pictures"]["seeds"] == [1, 2, 3]
    assert set(found["models"]) == {"clip", "pickscore", "aesthetic", "wants_shown"}
    assert found["models"]["wants_shown"] == found["models"]["clip"]
    names = {metric["name"] for metric in found["metrics"]}
    for metric in found["metrics"]:
        assert metric["title"] and metric["source"] and len(metric["range"]) == 2
    compared = {row["metric"]: row for row in found["comparisons"]}
    assert compared.keys() == names - {"directional_similarity", "picture_similarity"}
    for row in compared.values():
        assert row["pairs"] == 30 and row["n"] == 5
        assert ("win_rate" in row) == (row["metric"] not in ("entropy", "sharpness", "contrast"))
        reads = row["metric"].startswith(("clipscore", "pickscore", "wants"))
        assert (row["shuffled_captions"] is not None) == reads
    lines = (run / "scores" / "verdicts.jsonl").read_text().splitlines()
    verdicts = [json.loads(line) for line in lines]
    assert len(verdicts) == 10
    assert set(verdicts[0]["evidence"]) == {
        "clipscore_original_prompt", "pickscore", "aesthetic", "wants_shown",
    }  # fmt: skip
    assert sum(found["verdicts"]["choices"].values()) == 10
    assert sum(found["verdicts"]["reasons"].values()) == 10
    assert 0 <= found["verdicts"]["left_alone"]["value"] <= 1
    pictures = table(run, "pictures.parquet")
    assert len(pictures) == 45
    originals = [row for row in pictures if row["side"] == "original"]
    assert all(row["clipscore_improved_prompt"] is None for row in originals)
    assert all(row["pickscore"] is not None for row in pictures)


def test_shuffled_captions_are_those_of_other_prompts(clip_folder: Path, drawn: Path) -> None:
    found = score_pictures(drawn, config_of(clip_folder, seed=3))
    pairs = table(drawn, "pairs.parquet")
    sources = {pair["prompt_index"]: pair["source"] for pair in pairs}
    encoder = load_clip(str(clip_folder))
    # Every way to give each prompt's pictures another prompt's words, in a circle of four.
    means = []
    for order in (
        (0, 1, 2, 3),
        (0, 1, 3, 2),
        (0, 2, 1, 3),
        (0, 2, 3, 1),
        (0, 3, 1, 2),
        (0, 3, 2, 1),
    ):
        following = {order[n]: order[(n + 1) % 4] for n in range(4)}
        texts = [sources[following[pair["prompt_index"]]] for pair in pairs]
        images = [
            Image.open(drawn / "pictures" / pair["original_file"]).convert("RGB") for pair in pairs
        ]
        cos = cosines(encoder.texts(texts), encoder.encode_images(images))
        means.append(100 * cos.clip(0).mean())
    shuffled = score_of(found, "original pictures, shuffled captions", "clipscore_original_prompt")
    assert min(abs(shuffled["value"] - mean) for mean in means) < 1e-4


def test_identical_pictures_tie_and_leave_every_prompt_alone(
    clip_folder: Path, tmp_path: Path
) -> None:
    run = draw_run(tmp_path / "run")
    rows = rows_of(run)
    files = {(row["prompt_index"], row["seed"], row["side"]): row for row in rows}
    for row in rows:
        if row["side"] == "improved":
            twin = files[row["prompt_index"], row["seed"], "original"]
            shutil.copy(run / "pictures" / str(twin["file"]), run / "pictures" / str(row["file"]))
            row["sha256"] = twin["sha256"]
    write_index(run, rows)
    found = score_pictures(run, config_of(clip_folder))
    for row in found["comparisons"]:
        if row["metric"] != "clipscore_own_prompt":  # their captions differ
            assert row["difference"] == 0.0
            assert row.get("ties", 8) == 8
    assert found["verdicts"]["left_alone"]["value"] == 1.0
    assert score_of(found, "pairs", "picture_similarity")["value"] == pytest.approx(1.0)
    pairs = [system for system in found["systems"] if system["name"] == "pairs"]
    assert [score["metric"] for score in pairs[0]["scores"]] == ["picture_similarity"]


def test_swapping_the_sides_negates_differences(clip_folder: Path, tmp_path: Path) -> None:
    forward = draw_run(tmp_path / "forward")
    back = tmp_path / "back"
    shutil.copytree(forward, back)
    rows = rows_of(back)
    texts = {(row["prompt_index"], row["side"]): row["prompt"] for row in rows}
    for row in rows:
        row["side"] = {"original": "improved", "improved": "original"}[str(row["side"])]
        row["source"] = texts[row["prompt_index"], "improved"]
    write_index(back, rows)
    one = score_pictures(forward, config_of(clip_folder))
    other = score_pictures(back, config_of(clip_folder))
    compared = {row["metric"]: row for row in other["comparisons"]}
    names = ["clipscore_original_prompt", "clipscore_improved_prompt"]
    for row in one["comparisons"]:
        # What was the improved prompt is the original one now.
        name = row["metric"]
        if name in names:
            name = names[1 - names.index(name)]
        swapped = compared[name]
        assert swapped["difference"] == pytest.approx(-row["difference"], abs=1e-6)
        if "wins" in row:
            assert (swapped["wins"], swapped["losses"]) == (row["losses"], row["wins"])
    similar = [score_of(found, "pairs", "directional_similarity") for found in (one, other)]
    assert similar[0]["value"] == pytest.approx(similar[1]["value"], abs=1e-6)


def test_order_and_batch_size_do_not_matter(siglip_folder: Path, tmp_path: Path) -> None:
    first = draw_run(tmp_path / "first")
    second = tmp_path / "second"
    shutil.copytree(first, second)
    write_index(second, rows_of(second)[::-1])
    one = score_pictures(first, config_of(siglip_folder, batch_size=3))
    other = score_pictures(second, config_of(siglip_folder, batch_size=16))
    for system, same in zip(one["systems"], other["systems"], strict=True):
        for score, again in zip(system["scores"], same["scores"], strict=True):
            assert score["metric"] == again["metric"]
            assert score["value"] == pytest.approx(again["value"], abs=1e-5)
    names = {metric["name"] for metric in one["metrics"]}
    assert "match_probability_original_prompt" in names


def test_broken_files_are_named_and_the_rest_goes_on(clip_folder: Path, drawn: Path) -> None:
    rows = rows_of(drawn)
    files = [drawn / "pictures" / str(row["file"]) for row in rows]
    files[0].unlink()
    files[5].write_bytes(b"no picture")
    said: list[str] = []
    found = score_pictures(drawn, config_of(clip_folder), report=said.append)
    assert found["pictures"]["listed"] == 16 and found["pictures"]["n"] == 14
    assert found["pairs"] == 6
    assert len(found["pictures"]["left_out"]) == 2
    assert [line for line in said if files[0].name in line]
    assert [line for line in said if files[5].name in line]
    assert said[-1] == "2 of 16 pictures are left out"
    # Kept features do not hide that a file has gone since.
    files[9].unlink()
    assert score_pictures(drawn, config_of(clip_folder))["pictures"]["n"] == 13
    for path in files:
        path.unlink(missing_ok=True)
    with pytest.raises(InputError, match="none of the 16 pictures can be read"):
        score_pictures(drawn, config_of(clip_folder))


def test_solid_colours_are_caught(clip_folder: Path, drawn: Path) -> None:
    rows = rows_of(drawn)
    for place, row in enumerate(rows):
        if row["side"] == "improved":
            path = drawn / "pictures" / str(row["file"])
            image = Image.new("RGB", (48, 48), (200, 40, 40))
            image.paste((40, 40, 200), (0, 0, 24, 48))
            image.save(path)
            given = {
                name: row[name]
                for name in ("prompt_index", "seed", "side", "variant", "prompt", "source")
            }
            rows[place] = index_row(path, **given)
    write_index(drawn, rows)
    found = score_pictures(drawn, config_of(clip_folder))
    assert score_of(found, "improved pictures", "near_blank")["value"] == 1.0
    assert score_of(found, "original pictures", "near_blank")["value"] == 0.0
    assert found["verdicts"]["choices"] == {"original": 4}


@pytest.mark.parametrize("side", ["original", "improved"])
def test_pictures_of_one_side_are_scored_without_pairs(
    side: str, clip_folder: Path, tmp_path: Path
) -> None:
    run = draw_run(tmp_path / "run", prompts=3, sides=[side])
    found = score_pictures(run, config_of(clip_folder))
    assert (found["pairs"], found["comparisons"], found["verdicts"]) == (0, [], None)
    names = [system["name"] for system in found["systems"]]
    assert names == [f"{side} pictures", f"{side} pictures, shuffled captions"]
    assert score_of(found, names[0], "clipscore_original_prompt")["n"] == 3
    assert table(run, "pairs.parquet") == []


def test_a_single_prompt_has_no_baseline(clip_folder: Path, tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", prompts=1, seeds=(1,))
    found = score_pictures(run, config_of(clip_folder))
    assert not [system for system in found["systems"] if "shuffled" in system["name"]]
    assert found["verdicts"]["shuffled_captions"] is None
    [reason] = found["verdicts"]["reasons"]
    assert "draw more seeds" in reason


def test_cut_captions_are_counted(clip_folder: Path, drawn: Path) -> None:
    rows = rows_of(drawn)
    for row in rows:
        if row["side"] == "improved" and row["prompt_index"] in (1, 2):
            row["prompt"] = f"{row['source']}, " + "soft light, " * 60
    write_index(drawn, rows)
    found = score_pictures(drawn, config_of(clip_folder))
    [(model, cut)] = found["cut_captions"].items()
    assert model.startswith("clip@")
    assert cut == {
        "limit": 77,
        "original_prompts": {"cut": 0, "of": 4},
        "improved_prompts": {"cut": 2, "of": 4},
    }
    lost = [row["cut_tokens"] for row in table(drawn, "pictures.parquet")]
    assert sum(tokens > 0 for tokens in lost) == 4  # two prompts, two seeds


class Stopping:
    """A scorer that is interrupted once it has seen so many pictures, as by Ctrl-C."""

    metric = Metric(
        name="stopping", title="Stopping", range=(0, 0), higher_is_better=None, source="here"
    )
    model = "stopping@1"
    left: float = float("inf")

    def score(
        self, *, prompts: Sequence[str], pictures: Sequence[Picture]
    ) -> npt.NDArray[np.float64]:
        Stopping.left -= len(pictures)
        if Stopping.left < 0:
            raise KeyboardInterrupt
        return np.zeros(len(pictures))


def test_a_stopped_run_goes_on(
    clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preference, "_SCORERS", dict(preference._SCORERS))
    preference.register_scorer("stopping", lambda made: Stopping())
    config = config_of(clip_folder, metrics=("clip", "measures", "stopping"), batch_size=4)
    whole = draw_run(tmp_path / "whole")
    stopped = tmp_path / "stopped"
    shutil.copytree(whole, stopped)
    Run.open(tmp_path / "fresh").begin("illustrating", {}, {})
    shutil.copy(tmp_path / "fresh" / "manifest.json", stopped)
    expected = score_pictures(whole, config)

    Stopping.left = 8
    with pytest.raises(KeyboardInterrupt):
        score_pictures(stopped, config)
    assert Run.open(stopped).stage(STAGE)["state"] == "interrupted"
    assert not (stopped / "scores" / "pictures.json").exists()
    with sqlite3.connect(stopped / "scores" / "cache" / "features.sqlite") as kept:
        [encoded] = kept.execute(
            "SELECT COUNT(*) FROM features WHERE kind = 'picture' AND LENGTH(vector) > 16"
        )  # measures have four numbers
    assert encoded == (12,)

    Stopping.left = float("inf")
    again = score_pictures(stopped, config)
    assert again == expected
    stage = Run.open(stopped).stage(STAGE)
    assert stage["state"] == "done"
    assert stage["results"]["pictures"]["n"] == 16
    # Other settings are welcome: the scores are made anew.
    other = score_pictures(stopped, config_of(clip_folder, metrics=("measures",)))
    assert other["models"] == {}
    assert Run.open(stopped).stage(STAGE)["config"]["metrics"] == ["measures"]


def test_what_is_not_there_is_left_out_and_said(clip_folder: Path, drawn: Path) -> None:
    said: list[str] = []
    found = score_pictures(drawn, config_of(clip_folder, metrics=None), report=said.append)
    assert set(found["not_scored"]) == {"pickscore", "aesthetic"}
    assert "hf download yuvalkirstain/PickScore_v1" in found["not_scored"]["pickscore"]
    assert len([line for line in said if line.startswith("without ")]) == 2


def test_unknown_metrics_and_settings_are_refused(clip_folder: Path, drawn: Path) -> None:
    with pytest.raises(ConfigError, match="metric 'clap' is not known; there is: clip, measures"):
        score_pictures(drawn, config_of(clip_folder, metrics=("clap",)))
    with pytest.raises(ConfigError, match=r"batch_size is 0 .*; tie is -1 .*; device is 'tpu'"):
        PictureScoringConfig(batch_size=0, tie=-1, device="tpu")


def test_captions_are_what_text_encoders_see() -> None:
    assert caption("a cat,  in  armor ") == "a cat,  in  armor "
    assert caption("a (cat:1.3), <lora:film:0.8> soft light") == "a cat, soft light"


def test_the_level_of_verdicts_is_divided_among_variants(clip_folder: Path, tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", prompts=3, seeds=(1, 2), variants=3)
    rows = [row for row in rows_of(run) if (row["prompt_index"], row["variant"]) != (0, 2)]
    write_index(run, rows)  # a prompt with fewer variants than the others
    score_pictures(run, config_of(clip_folder, metrics=("clip",)))
    pairs = table(run, "pairs.parquet")
    name = "clipscore_original_prompt"
    gains = np.array(
        [pair[f"{name}_improved_picture"] - pair[f"{name}_original_picture"] for pair in pairs]
    )
    keys = [[pair[key] for pair in pairs] for key in ("prompt_index", "variant")]
    lines = (run / "scores" / "verdicts.jsonl").read_text().splitlines()
    lows = [json.loads(line)["evidence"][name]["low"] for line in lines]
    expected = judge({name: gains}, keys[0], keys[1], best_of=3)
    assert lows == pytest.approx([one.evidence[name].low for one in expected], abs=1e-4)
    lenient = judge({name: gains}, keys[0], keys[1])
    assert all(low < one.evidence[name].low for low, one in zip(lows, lenient, strict=True))
