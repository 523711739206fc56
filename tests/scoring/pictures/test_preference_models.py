"""PickScore and the aesthetic head against transformers and torch, and scorers of others."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoModel, AutoProcessor

from promptlift.errors import ConfigError, ModelError
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture, read_index
from promptlift.scoring.pictures import preference_models as preference
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.preference_models import (
    ScorerContext,
    make_scorer,
    register_scorer,
)
from promptlift.scoring.scores import Metric
from tests.scoring.clip_models import make_clip, make_head


def context(**settings: str) -> ScorerContext:
    config = PictureScoringConfig(offline=True, batch_size=3, **settings)  # type: ignore[arg-type]
    return ScorerContext(config=config, cache=FeatureCache(), reader=PictureReader(3))


def opened(pictures: Sequence[Picture]) -> list[Image.Image]:
    return [Image.open(picture.path).convert("RGB") for picture in pictures]


def test_pickscore_is_the_logit_of_its_model(clip_folder: Path, drawn: Path) -> None:
    pictures = read_index(drawn / "pictures")[:6]
    prompts = [picture.source for picture in pictures]
    prompts[0] = "a red disc, " * 50  # cut, as PickScore's own example cuts
    scorer = make_scorer("pickscore", context(preference=str(clip_folder)))
    model = AutoModel.from_pretrained(clip_folder)
    processor = AutoProcessor.from_pretrained(clip_folder)
    inputs = processor(
        text=prompts,
        images=opened(pictures),
        padding=True,
        truncation=True,
        max_length=77,
        return_tensors="pt",
    )
    with torch.inference_mode():
        expected = model(**inputs).logits_per_image.diagonal().numpy()
    found = scorer.score(prompts=prompts, pictures=pictures)
    assert found == pytest.approx(expected, abs=1e-4)
    low, high = scorer.metric.range
    assert low is not None and high is not None
    assert (found > low).all() and (found < high).all()
    assert scorer.metric.higher_is_better


@pytest.mark.parametrize("kind", ["published", "safetensors", "linear"])
def test_the_aesthetic_head_is_what_torch_computes(
    kind: str, clip_folder: Path, drawn: Path, tmp_path: Path
) -> None:
    head = tmp_path / ("head.safetensors" if kind == "safetensors" else "head.pth")
    if kind == "linear":  # LAION's first head
        torch.manual_seed(1)
        layers: torch.nn.Module = torch.nn.Linear(24, 1)
        torch.save(layers.state_dict(), head)
    else:
        layers = make_head(tmp_path / "head.pth")
        if kind == "safetensors":
            state = torch.load(tmp_path / "head.pth", weights_only=True)
            save_file(state, head)
    pictures = read_index(drawn / "pictures")[:5]
    scorer = make_scorer("aesthetic", context(aesthetic=str(head), aesthetic_clip=str(clip_folder)))
    model = AutoModel.from_pretrained(clip_folder)
    prepare = AutoProcessor.from_pretrained(clip_folder).image_processor
    with torch.inference_mode():
        features = model.get_image_features(**prepare(images=opened(pictures), return_tensors="pt"))
        unit = torch.nn.functional.normalize(features.pooler_output, dim=-1)
        expected = layers(unit)[:, 0].numpy()
    found = scorer.score(prompts=[""] * 5, pictures=pictures)
    assert found == pytest.approx(expected, abs=1e-5)
    assert len(set(found.tolist())) > 1
    assert scorer.model.startswith("head@")


def test_heads_that_do_not_fit_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    clip = str(clip_folder)
    make_head(tmp_path / "wide.pth", width=768)
    with pytest.raises(ModelError, match=r"reads features of 768 numbers and clip@\w+ gives 24"):
        make_scorer("aesthetic", context(aesthetic=str(tmp_path / "wide.pth"), aesthetic_clip=clip))
    (tmp_path / "text.pth").write_text("nothing")
    with pytest.raises(ModelError, match=r"text\.pth cannot be read as weights"):
        make_scorer("aesthetic", context(aesthetic=str(tmp_path / "text.pth"), aesthetic_clip=clip))
    torch.save(torch.nn.Linear(24, 3).state_dict(), tmp_path / "three.pth")
    with pytest.raises(ModelError, match="linear layers that end in one number"):
        make_scorer(
            "aesthetic", context(aesthetic=str(tmp_path / "three.pth"), aesthetic_clip=clip)
        )
    with pytest.raises(ModelError, match=r"absent\.pth does not exist"):
        make_scorer("aesthetic", context(aesthetic="absent.pth", aesthetic_clip=clip))
    with pytest.raises(ModelError, match=r"\(4 MB\) with: hf download trl-lib/ddpo-aesthetic"):
        make_scorer("aesthetic", context(aesthetic_clip=clip))


def test_one_model_is_loaded_once(clip_folder: Path, tmp_path: Path) -> None:
    make_head(tmp_path / "head.pth")
    shared = context(
        aesthetic=str(tmp_path / "head.pth"),
        aesthetic_clip=str(clip_folder),
        preference=str(clip_folder),
    )
    make_scorer("aesthetic", shared)
    make_scorer("pickscore", shared)
    assert len(shared._encoders) == 1


def test_missing_pickscore_and_its_tokenizer_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"yuvalkirstain/PickScore_v1 .*\(3\.9 GB\)"):
        make_scorer("pickscore", context())
    shared = context()
    folder = make_clip(tmp_path / "clip")
    with pytest.raises(ModelError, match=r"some/other is not on .* --include merges\.txt"):
        shared.encoder(str(folder), "some/other")


class Redness:
    """How much redder than green a picture is: a scorer of one's own."""

    metric = Metric(
        name="redness", title="Redness", range=(-1.0, 1.0), higher_is_better=True, source="here"
    )
    model = "redness@1"

    def __init__(self, reader: PictureReader) -> None:
        self._reader = reader

    def score(
        self, *, prompts: Sequence[str], pictures: Sequence[Picture]
    ) -> npt.NDArray[np.float64]:
        means = [np.asarray(self._reader.image(one)).mean(axis=(0, 1)) for one in pictures]
        return np.array([(mean[0] - mean[1]) / 255 for mean in means])


def test_a_scorer_of_ones_own(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preference, "_SCORERS", dict(preference._SCORERS))  # forgotten afterwards
    register_scorer("redness", lambda made: Redness(made.reader))
    pictures = read_index(drawn / "pictures")
    values = make_scorer("redness", context()).score(
        prompts=[""] * len(pictures), pictures=pictures
    )
    red = [value for value, one in zip(values, pictures, strict=True) if "red" in one.source]
    assert min(red) > 0.02
    assert max(values) == max(red)
    with pytest.raises(ConfigError, match="'redness' is there already"):
        register_scorer("redness", lambda made: Redness(made.reader))
    with pytest.raises(ConfigError, match="'greenness' is not known; there is: pickscore"):
        make_scorer("greenness", context())
