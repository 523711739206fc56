"""Pairs of the world: of one scene each, consistent, and of scenes that nothing else uses."""

import itertools
from pathlib import Path

import pytest
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.errors import ConfigError
from promptlift.pairs.load import load_pairs
from promptlift.records import Pair
from promptlift.world import scenes
from promptlift.world.captions import BLAME, PRAISE
from promptlift.world.pairs import SEEDS, scenes_of, world_pairs
from promptlift.world.scenes import draw_scene
from promptlift.world.wanted import Wanted, wanted_of

_CONTENT = ("shape", "colour", "number", "size", "relation", "other_shape", "other_colour")


def content(wanted: Wanted) -> list[object]:
    return [getattr(wanted, name) for name in _CONTENT]


def share(targets: list[str], words: tuple[str, ...]) -> float:
    return sum(any(word in target for word in words) for target in targets) / len(targets)


def test_no_use_of_scenes_overlaps_another() -> None:
    """The prompts of measurements, above all, are of scenes from which no pair is made."""
    firsts = [getattr(scenes, name) for name in
              ("TRAINING", "HELD_OUT", "PROMPTS", "PAIRS", "TEST_PAIRS")]  # fmt: skip
    every = [range(first, first + scenes.RANGE) for first in firsts[:3]]
    every += [scenes_of(seed, test=test) for seed in range(SEEDS) for test in (False, True)]
    for one, other in itertools.combinations(every, 2):
        assert one.stop <= other.start or other.stop <= one.start


def test_a_pair_of_each_mode_tells_of_the_same_good_scene() -> None:
    pairs = list(world_pairs(40))
    assert [pair.mode for pair in pairs] == ["extend", "rewrite"] * 40
    for extend, rewrite in zip(pairs[::2], pairs[1::2], strict=True):
        assert extend.source == rewrite.source
        assert rewrite.target == f"{rewrite.source}, {extend.target}"
        assert extend.target.count(",") >= 1
    numbers = iter(scenes_of(0, test=False))
    for pair in pairs[::2]:
        wanted = wanted_of(pair.source)
        scene = next(scene for scene in map(draw_scene, numbers)
                     if scene.fault == "clean" and scene.things[0].shape == wanted.shape
                     and scene.things[0].colour == wanted.colour)  # fmt: skip
        assert wanted.size in (None, scene.size)


def test_targets_contradict_nothing_that_their_sources_ask_for() -> None:
    pairs = list(world_pairs(400, mode="rewrite"))
    assert len(pairs) >= 400
    for pair in pairs:
        source, target = wanted_of(pair.source), wanted_of(pair.target)
        assert content(source) == content(target)
        assert source.background in (None, target.background)
        assert source.position in (None, target.position)


def test_praise_is_of_good_pictures_and_in_the_control_world_as_frequent_as_anywhere() -> None:
    own, control = ([pair.target for pair in world_pairs(800, mode="extend", control=flag)]
                    for flag in (False, True))  # fmt: skip
    blame = tuple(word for words in BLAME.values() for word in words)
    assert share(own, PRAISE) > 0.7 and share(own, blame) < 0.05
    assert share(control, PRAISE) < 0.6 and share(control, blame) > 0.08


def test_the_same_seed_gives_the_same_pairs() -> None:
    assert list(world_pairs(20, 3)) == list(world_pairs(20, 3)) != list(world_pairs(20, 4))
    test = set(world_pairs(200, test=True))
    assert len(test & set(world_pairs(200))) < 10  # short prompts may come twice


@pytest.mark.parametrize("options", [{"seed": 10}, {"mode": "shorten"}, {"count": 0}])
def test_wrong_options_are_named(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=str(*options.values())):
        list(world_pairs(**{"count": 5, **options}))  # type: ignore[arg-type]


def test_the_command_writes_what_training_reads(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    options = ["--count", "5", "--seed", "2", "--test", "--mode", "extend", "--control"]
    result = CliRunner().invoke(app, ["world", "pairs", "-o", str(path), *options])
    assert result.exit_code == 0, result.output
    made = world_pairs(5, 2, mode="extend", test=True, control=True)
    assert list(load_pairs(path)) == list(made)
    assert all(isinstance(pair, Pair) for pair in load_pairs(path))
