"""Pictures scored in parts, as several machines do it."""

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from promptlift.scoring.pictures import preference_models as preference
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.run import score_part, score_pictures
from promptlift.shards import Shard
from tests.scoring.clip_models import draw_run, make_head
from tests.scoring.pictures.test_run import Stopping

Features = dict[tuple[str, str, str], bytes]
TABLES = ("pictures.json", "pictures.parquet", "pairs.parquet", "verdicts.jsonl")


def features_in(path: Path) -> Features:
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT model, kind, key, vector FROM features")
        return {(model, kind, key): vector for model, kind, key, vector in rows}


def tables_of(run: Path) -> list[bytes]:
    return [(run / "scores" / name).read_bytes() for name in TABLES]


def config_of(clip: Path, folder: Path) -> PictureScoringConfig:
    make_head(folder / "head.pth")
    return PictureScoringConfig(
        clip=str(clip), preference=str(clip), aesthetic=str(folder / "head.pth"),
        aesthetic_clip=str(clip), batch_size=4, offline=True,
    )  # fmt: skip


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return draw_run(tmp_path / "whole", prompts=5, seeds=(1, 2, 3), variants=2)


def copied(run: Path, name: str) -> Path:
    return Path(shutil.copytree(run, run.with_name(name)))


@pytest.mark.parametrize("count", [2, 3])
def test_parts_put_together_are_what_one_machine_makes(
    clip_folder: Path, whole: Path, count: int
) -> None:
    config, said = config_of(clip_folder, whole.parent), list[str]()
    parts, joined = [], copied(whole, "joined")
    for number in range(1, count + 1):  # each on a machine of its own
        folder = copied(whole, f"machine-{number}")
        path = score_part(folder, config, Shard(number, count))
        assert path == folder / "scores" / "cache" / f"features-{number}-of-{count}.sqlite"
        assert not (folder / "scores" / "pictures.json").exists()
        parts.append(features_in(path))
        (joined / "scores" / "cache").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, joined / "scores" / "cache")
    score_pictures(joined, config, report=said.append)
    score_pictures(whole, config)

    assert tables_of(joined) == tables_of(whole)
    made = features_in(whole / "scores" / "cache" / "features.sqlite")
    times = Counter(key for part in parts for key in part)
    assert times.keys() == made.keys() and set(times.values()) == {1}
    assert {key: vector for part in parts for key, vector in part.items()} == made
    assert not features_in(joined / "scores" / "cache" / "features.sqlite")
    assert f"{count} parts read; 0 features were in none of them, and were made now" in said
    # Of each kind of feature, parts have about as many as each other.
    for model, kind in {key[:2] for key in made}:
        own = [sum(key[:2] == (model, kind) for key in part) for part in parts]
        if sum(own) >= 12 * count:
            assert max(own) <= 2.5 * min(own), (kind, own)


def test_what_parts_lack_is_made_at_the_end(clip_folder: Path, whole: Path) -> None:
    config, said, alone = config_of(clip_folder, whole.parent), list[str](), copied(whole, "alone")
    first = features_in(score_part(whole, config, Shard(1, 3)))
    score_part(whole, config, Shard(3, 3))
    score_pictures(whole, config, report=said.append)
    score_pictures(alone, config)
    assert tables_of(whole) == tables_of(alone)
    left = features_in(whole / "scores" / "cache" / "features.sqlite")
    assert left and not left.keys() & first.keys()
    assert f"2 parts read; {len(left)} features were in none of them, and were made now" in said


def test_a_part_that_was_stopped_goes_on(
    clip_folder: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preference, "_SCORERS", dict(preference._SCORERS))
    preference.register_scorer("stopping", lambda made: Stopping())
    monkeypatch.setattr(Stopping, "left", float("inf"))
    config = config_of(clip_folder, whole.parent)
    expected = features_in(score_part(copied(whole, "expected"), config, Shard(2, 2)))
    monkeypatch.setattr(Stopping, "left", 22)
    with pytest.raises(KeyboardInterrupt):
        score_part(whole, config, Shard(2, 2))
    path = whole / "scores" / "cache" / "features-2-of-2.sqlite"
    kept = features_in(path)
    assert 0 < len(kept) < len(expected)
    monkeypatch.setattr(Stopping, "left", float("inf"))
    said = list[str]()
    assert features_in(score_part(whole, config, Shard(2, 2), report=said.append)) == expected
    assert said[-1] == f"part 2/2: {len(expected) - len(kept)} features made, in {path}"
