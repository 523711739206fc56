"""Sweep files: the shipped ones, one's own, and what is wrong with them."""

from pathlib import Path

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.experimenting.config import copy_config
from promptlift.sweeping.config import SHIPPED, load_sweep, read_sweep
from promptlift.sweeping.space import Range
from tests.sweeping.conftest import Files

RANGE = "train.learning_rate = { low = 1e-4, high = 1e-1, log = true }"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_sweep_can_be_copied_and_made(name: str, tmp_path: Path) -> None:
    sweep = load_sweep(name)
    assert sweep.name == name
    path = tmp_path / "mine.toml"
    copy_config(read_sweep(name), path)
    assert load_sweep(str(path)).given() == sweep.given()
    with pytest.raises(ConfigError, match="exists"):
        copy_config(read_sweep(name), path)


def test_the_papers_questions_change_little_but_what_they_ask() -> None:
    for name in (name for name in SHIPPED if name.startswith("paper-")):
        sweep = load_sweep(name)
        assert sweep.is_grid and not sweep.prunes and sweep.config.seeds == (0, 1, 2)
        papers = load_sweep("paper-epochs").experiment({"train.epochs": 5.0}, None).train
        if sweep.config.trained is None:
            first = sweep.experiment(next(sweep.combinations()), None).train
            assert (first.evaluation_pairs, first.keep_checkpoints) == (200, 0)
        # Each has the paper's own setting among its own.
        assert any(
            (config := sweep.experiment(setting, None)).train.learning_rate == papers.learning_rate
            and config.train.epochs == papers.epochs and config.train.model == papers.model
            and config.train.gradient_accumulation_steps == papers.gradient_accumulation_steps
            and not config.train.lora and config.texts.max_new_tokens in (None, 999)
            for setting in sweep.combinations()
        )  # fmt: skip


def test_a_grid_has_all_combinations_and_each_seed(sweep_file: Files) -> None:
    path = sweep_file("seeds = [3, 4]", "train.epochs = [1.0, 2.0]\ntrain.batch_size = [8, 20]")
    sweep = load_sweep(str(path))
    assert (sweep.count, sweep.trials) == (4, 8)
    assert [tuple(one.values()) for one in sweep.combinations()] == [
        (1.0, 8), (1.0, 20), (2.0, 8), (2.0, 20),
    ]  # fmt: skip
    config = sweep.experiment({"train.epochs": 1.0, "train.batch_size": 8}, 4)
    assert (config.train.epochs, config.train.batch_size, config.train.seed) == (1.0, 8, 4)
    assert config.train.d_model == 16 and config.texts.seed == 0


def test_ends_that_are_whole_numbers_give_whole_numbers(sweep_file: Files) -> None:
    space = "train.batch_size = { low = 8, high = 64 }\n" + RANGE
    sweep = load_sweep(str(sweep_file("settings = 5", space)))
    assert [isinstance(part, Range) and part.whole for part in sweep.space] == [True, False]
    assert sweep.prunes and not sweep.is_grid


def test_more_settings_may_follow_and_nothing_else_may_change(sweep_file: Files) -> None:
    given = load_sweep(str(sweep_file("settings = 5", RANGE))).given()
    assert load_sweep(str(sweep_file("settings = 9", RANGE))).given() == given
    for sweep, space in (
        ("settings = 5\nseeds = [1]", RANGE), ("settings = 5\nprune = false", RANGE),
        ("settings = 5", RANGE.replace("1e-1", "2e-1")),
    ):  # fmt: skip
        assert load_sweep(str(sweep_file(sweep, space))).given() != given


@pytest.mark.parametrize(
    ("sweep", "space", "message"),
    [
        ("", "", r"tiny\.toml \[space\] is empty"),
        ("", "train.epoch = [1, 2]", r"\[space\] train has no option 'epoch'; did you mean epochs"),
        ("", "train.seed = [1, 2]", r"\[space\] train has no option 'seed'"),
        ("", "texts.limit = [4, 8]", "SECTION.NAME, has no option 'texts'; these are"),
        ("", "epochs = [1, 2]", r"has no option 'epochs'"),
        ("", "train.epochs = 3", "must be a list of values or a range"),
        ("", "train.epochs = []", "must be a list of values or a range"),
        ("", "train.epochs = [1, 1]", "has a value twice"),
        ("", "train.epochs = [[1], [2]]", r"has \[1\]; values are texts"),
        ("", "train.epochs = [1, -1]", r"epochs is -1 and must be above 0 .*train.epochs = -1"),
        ("", 'train.batch_size = [8, "big"]', "batch_size is 'big' and must be a whole number"),
        ("", RANGE, "say how many settings to propose"),
        ("settings = 2", "train.epochs = { low = 2 }", "needs finite numbers"),
        ("settings = 2", "train.epochs = { low = 2, high = inf }", "needs finite numbers"),
        ("settings = 2", "train.epochs = { low = 2, high = 1 }", "low is 2 and must be below"),
        ("settings = 2", "train.epochs = { low = 0, high = 2 }", "epochs is 0 and must be above 0"),
        ("settings = 2", "train.weight_decay = { low = 0.0, high = 1.0, log = true }", "above 0"),
        ("settings = 2", "train.epochs = { low = 1, hihg = 2 }", "did you mean high"),
        ("settings = 2", "train.epochs = { low = 1, high = 2, step = 0.5 }", "step must be"),
        ("settings = 0", RANGE, "settings is 0 and must be 1 or more"),
        ("seeds = [1, 1]", "train.epochs = [1, 2]", "seeds has one twice"),
        ("seeds = 3", "train.epochs = [1, 2]", "seeds must be a list"),
        ("seeds = [-1]", "train.epochs = [1, 2]", "must be whole numbers, 0 or more"),
        ('metric = "los"', "train.epochs = [1, 2]", "did you mean loss"),
        ('metric = "words"', "train.epochs = [1, 2]", "metric is 'words', which no trial has"),
        ('metric = "meteor_target"', "train.epochs = [1, 2]", "evaluation_decoding"),
        ('metric = "meteor_target"\nprune = true', "train.epochs = [1, 2]", "prune goes by"),
        ('trained = "run"', "train.epochs = [1, 2]", "trained needs until"),
        ("sed = 1", "train.epochs = [1, 2]", r"\[sweep\] has no option 'sed'; did you mean seed"),
        ('base2 = "pocket"', "train.epochs = [1, 2]", "did you mean base"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(
    sweep: str, space: str, message: str, sweep_file: Files
) -> None:
    with pytest.raises(ConfigError, match=message) as found:
        load_sweep(str(sweep_file(sweep, space)))
    assert "\n" not in str(found.value)


def test_values_that_exclude_each_other_are_found_before_anything_is_trained(
    sweep_file: Files,
) -> None:
    path = sweep_file("", "train.lora = [true, false]\ntrain.compile = [false, true]",
                      'model = "some/t5"\n')  # fmt: skip
    with pytest.raises(ConfigError, match="lora and compile exclude each other"):
        load_sweep(str(path))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean paper-epochs"):
        load_sweep("paper-epoch")
    (tmp_path / "bad.toml").write_text("[sweep\n")
    with pytest.raises(InputError, match="no TOML"):
        load_sweep(str(tmp_path / "bad.toml"))
