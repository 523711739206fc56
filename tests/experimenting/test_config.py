"""Config files: the shipped ones, one's own, and what is wrong with them."""

from pathlib import Path

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.experimenting.config import SHIPPED, copy_config, load_config, read_config
from promptlift.training.config import PAPER_DATA


def test_the_pocket_world_needs_nothing_from_elsewhere() -> None:
    config = load_config("pocket")
    assert (config.pairs.world, config.train.name, config.gpu) == ("pocket", "pocket-world", False)
    assert config.illustrate.model == "pocket" and config.improve.sample == 100
    assert not config.judged
    assert config.tune.enabled and config.tuning.reward == "aesthetic"


def test_the_papers_experiment_is_the_papers() -> None:
    config = load_config("paper")
    assert config.pairs.data == PAPER_DATA and config.gpu
    train = config.train
    assert (train.model, train.epochs, train.learning_rate) == ("google/flan-t5-base", 5, 3e-4)
    assert config.encoder.encoder == "roberta-large"
    assert (config.improve.sample, config.improve.mode) == (100, "rewrite")
    draw = config.illustrate
    assert (draw.width, draw.num_inference_steps, draw.denoising_end) == (512, 40, 0.8)
    assert config.pictures.clip_for("sdxl") == "openai/clip-vit-base-patch16"
    assert not config.tune.enabled
    assert not any(name.startswith("tune.") for name in config.settings())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_copy_says_the_same(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    copy_config(read_config(name), path)
    assert load_config(str(path)) == load_config(name)
    with pytest.raises(ConfigError, match="exists"):
        copy_config(read_config(name), path)


def test_settings_are_flat_and_leave_out_how_things_are_done(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = read_config("pocket").replace("seeds = 1 ", 'seeds = 1\ndevice = "cpu"\n#')
    path.write_text(text.replace("enabled = false    # true, or", "enabled = true    # or"))
    mine, own = load_config(str(path)), load_config("pocket")
    assert mine.illustrate.device == "cpu" and mine.judged
    assert mine.settings() == own.settings()
    assert own.settings()["train.epochs"] == 3.0
    path.write_text(text.replace("count = 8000", "count = 400"))
    differing = {
        name for name, value in load_config(str(path)).settings().items()
        if value != own.settings()[name]
    }  # fmt: skip
    assert differing == {"pairs.count"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("threads = 0\n", "threads is 0 and must be 1 or more"),
        ("[trian]\n", r"mine\.toml has no option 'trian'; did you mean train\?"),
        ("[train]\nepoch = 2\n", r"\[train\] has no option 'epoch'; did you mean epochs\?"),
        ("[train]\nepochs = -1\n", r"\[train\]: epochs is -1"),
        ('[train]\nepochs = "many"\n', r"\[train\]: "),
        ('[train]\npreset = "big"\n', "preset 'big' is not known"),
        ("train = 3\n", r"train must be a section, \[train\]"),
        ("[pairs]\ncount = 5\n", "give world or data"),
        ('[pairs]\nworld = "flat"\n', "world is 'flat'"),
        ("[tune]\nround = 2\n", r"\[tune\] has no option 'round'; did you mean rounds\?"),
        ("[tune]\nn = 1\n", r"\[tune\]: n is 1 and must be 2 or more"),
        ("[tune]\nseeds = 0\n", r"\[tune\]: seeds is 0"),
        ('[tune]\nsuffix = " ,"\n', r"\[tune\]: suffix is empty"),
        ('[pairs]\nworld = "pocket"\n[judge]\nper_pair = 2\n', r"\[judge\]: per_pair is 2"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text if "[pairs]" in text else f'{text}[pairs]\nworld = "pocket"\n')
    with pytest.raises(ConfigError, match=message) as found:
        load_config(str(path))
    assert "mine.toml" in str(found.value) and "\n" not in str(found.value)


def test_a_file_that_is_no_config_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("name = \n")
    with pytest.raises(InputError, match="is no TOML"):
        load_config(str(path))
    with pytest.raises(ConfigError, match=r"Did you mean pocket\?"):
        load_config("poket")
