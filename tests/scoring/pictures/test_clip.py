"""CLIP and SigLIP against transformers and TorchMetrics, with tiny real weights."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import AutoModel, AutoProcessor

from promptlift.errors import InputError, ModelError
from promptlift.picture_files import PictureReader
from promptlift.pictures import read_index
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.clip_loading import load_clip
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.similarity import (
    clip_score,
    cosines,
    directional_similarity,
    match_probability,
)
from tests.scoring.clip_models import COLOURS, SHAPES, make_clip, shape_picture, sources
from tests.scoring.torchmetrics_pairs import by_torchmetrics, torchmetrics_model

LONG = "a red disc over the hills and far away, " * 12


def ours(folder: Path, texts: list[str], images: list[Image.Image]) -> list[float]:
    encoder = load_clip(str(folder))
    found: list[float] = clip_score(encoder.texts(texts), encoder.encode_images(images)).tolist()
    return found


@pytest.fixture(scope="module")
def old_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the end token's number as OpenAI's published configs have it."""
    return make_clip(tmp_path_factory.mktemp("old") / "clip", old_eos=True, seed=3)


def some_pairs(count: int = 12) -> tuple[list[str], list[Image.Image]]:
    texts = sources(count)
    images = [
        shape_picture(SHAPES[n % 4], COLOURS[n // 4 % 4], seed=n, size=40 + 3 * n)
        for n in range(count)
    ]
    return texts, images


@pytest.mark.parametrize("which", ["clip_folder", "old_clip"])
def test_equal_to_torchmetrics_where_nothing_is_cut(
    which: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(which)
    texts, images = some_pairs()
    found = ours(folder, texts, images)
    assert found == pytest.approx(by_torchmetrics(folder, texts, images), abs=1e-4)
    assert sum(score > 1 for score in found) >= 6


@pytest.mark.parametrize("which", ["clip_folder", "old_clip"])
def test_a_cut_caption_keeps_its_end_token_where_torchmetrics_loses_it(
    which: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(which)
    texts = [LONG, f"{SHAPES[1]} on a table, {LONG}", f"nothing but rain, {LONG}"]
    images = [shape_picture("disc", "red")] * 3
    encoder = load_clip(str(folder))

    # By hand: the first 76 tokens and the end token.
    tokenizer = AutoProcessor.from_pretrained(folder).tokenizer
    ids = [tokenizer(text)["input_ids"] for text in texts]
    lost = [len(one) - 77 for one in ids]
    assert min(lost) > 0
    assert encoder.cut_tokens(["a red disc", *texts]) == [0, *lost]
    kept = torch.tensor([[*one[:76], one[-1]] for one in ids])
    model = AutoModel.from_pretrained(folder)
    with torch.inference_mode():
        expected = model.get_text_features(kept, torch.ones_like(kept)).pooler_output.numpy()
    assert np.allclose(encoder.texts(texts), expected, atol=1e-5)

    mine = cosines(encoder.texts(texts), encoder.encode_images(images))
    with pytest.warns(UserWarning, match="Encountered caption longer"):
        model_of = torchmetrics_model(folder)()
        cut = model_of[1](text=texts, return_tensors="pt", padding=True)
        assert cut["input_ids"].shape[1] > 77
        theirs = by_torchmetrics(folder, texts, images)
    assert max(abs(100 * mine.clip(0) - np.array(theirs))) > 0.1
    if which == "clip_folder":
        # Without an end token the feature is taken at the start token, equal for every caption.
        assert max(theirs) - min(theirs) < 1e-4
        assert mine.max() - mine.min() > 1e-3


@pytest.mark.parametrize("which", ["clip_folder", "siglip_folder"])
def test_order_and_batch_size_do_not_matter(which: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(which)
    texts, images = some_pairs(9)
    texts[3] = LONG
    by_five = load_clip(str(folder), batch_size=5)
    alone = load_clip(str(folder), batch_size=1)
    backwards = alone.texts(texts[::-1])[::-1], alone.encode_images(images[::-1])[::-1]
    for one, other in zip(
        (by_five.texts(texts), by_five.encode_images(images)), backwards, strict=True
    ):
        assert np.allclose(one, other, atol=1e-5)


def test_siglip_gives_the_probability_of_its_own_model(siglip_folder: Path) -> None:
    texts, images = some_pairs(5)
    encoder = load_clip(str(siglip_folder))
    model = AutoModel.from_pretrained(siglip_folder)
    processor = AutoProcessor.from_pretrained(siglip_folder)
    inputs = processor(
        text=texts, images=images, padding="max_length", truncation=True, return_tensors="pt"
    )
    with torch.inference_mode():
        output = model(input_ids=inputs["input_ids"], pixel_values=inputs["pixel_values"])
    expected = torch.sigmoid(output.logits_per_image).diagonal().numpy()
    assert encoder.logit_bias is not None
    found = match_probability(
        encoder.texts(texts),
        encoder.encode_images(images),
        encoder.logit_scale,
        encoder.logit_bias,
    )
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_long_caption_of_siglip_keeps_its_end_too(siglip_folder: Path) -> None:
    encoder = load_clip(str(siglip_folder))
    assert encoder.limit == 16
    assert encoder.cut_tokens(["a red disc", LONG])[0] == 0 < encoder.cut_tokens([LONG])[0]
    tokenizer = AutoProcessor.from_pretrained(siglip_folder).tokenizer
    ids = tokenizer(LONG)["input_ids"]
    model = AutoModel.from_pretrained(siglip_folder)
    with torch.inference_mode():
        expected = model.get_text_features(torch.tensor([[*ids[:15], ids[-1]]])).pooler_output
    assert np.allclose(encoder.texts([LONG]), expected.numpy(), atol=1e-5)


def test_each_text_and_picture_is_encoded_once(clip_folder: Path, drawn: Path) -> None:
    pictures = read_index(drawn / "pictures")
    texts = [picture.prompt for picture in pictures]
    path = drawn / "features.sqlite"
    seen = {"texts": 0, "pictures": 0}
    first = counting(load_clip(str(clip_folder), cache=FeatureCache(path)), seen)
    features = first.pictures(pictures), first.texts(texts), first.pictures(pictures)
    distinct = len({picture.sha256 for picture in pictures})
    assert seen == {"texts": len(set(texts)), "pictures": distinct}

    again = counting(load_clip(str(clip_folder), cache=FeatureCache(path)), seen)
    assert np.array_equal(again.pictures(pictures), features[0])
    assert np.array_equal(again.texts(texts), features[1])
    assert seen == {"texts": len(set(texts)), "pictures": distinct}


def test_another_model_finds_nothing_in_the_cache(
    clip_folder: Path, old_clip: Path, drawn: Path
) -> None:
    pictures = read_index(drawn / "pictures")
    cache = FeatureCache()
    load_clip(str(clip_folder), cache=cache).pictures(pictures)
    seen = {"texts": 0, "pictures": 0}
    counting(load_clip(str(old_clip), cache=cache), seen).pictures(pictures)
    assert seen["pictures"] == len({picture.sha256 for picture in pictures})


def test_pictures_from_files_are_those_in_memory(clip_folder: Path, drawn: Path) -> None:
    [picture, *_] = read_index(drawn / "pictures")
    encoder = load_clip(str(clip_folder), reader=PictureReader(2))
    with Image.open(picture.path) as image:
        assert np.allclose(encoder.pictures([picture]), encoder.encode_images([image]), atol=1e-6)


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "features.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(InputError, match=r"features\.sqlite is damaged .* Delete it"):
        FeatureCache(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./nowhere", "is not a folder"),
        ("openai/clip-vit-base-patch16", r"not on this machine\. Download it \(0\.6 GB\) with: hf"),
        ("somebody/else", r"Download it with: hf download somebody/else"),
    ],
)
def test_missing_weights_are_one_line(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        load_clip(name, offline=True)
    assert "\n" not in str(caught.value)


def test_other_and_damaged_models_are_refused(
    t5_folder: Path, clip_folder: Path, copy_of: Callable[[Path], Path]
) -> None:
    with pytest.raises(ModelError, match="is a 't5' model"):
        load_clip(str(t5_folder))
    folder = copy_of(clip_folder)
    (folder / "model.safetensors").write_bytes(b"half")
    with pytest.raises(ModelError, match=r"cannot be loaded: .* Is the folder whole\?"):
        load_clip(str(folder))
    shutil.copy(clip_folder / "model.safetensors", folder)
    (folder / "tokenizer.json").unlink()
    (folder / "processor_config.json").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_clip(str(folder))


VECTORS = st.lists(
    st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3), min_size=1, max_size=5
)


@given(VECTORS, st.floats(0.1, 10))
def test_cosines_are_bounded_symmetric_and_blind_to_length(
    rows: list[list[float]], scale: float
) -> None:
    first = np.array(rows, np.float32)
    second = np.roll(first, 1, axis=1)
    found = cosines(first, second)
    assert (np.abs(found) <= 1).all()
    assert np.allclose(found, cosines(second, first))
    longer = np.linalg.norm(first, axis=1) > 1e-3
    scaled = cosines((scale * first).astype(np.float32), second)
    assert np.allclose(found[longer], scaled[longer], atol=1e-5)


def test_directional_similarity_by_hand() -> None:
    # Unit features: the text goes from x to y. The picture goes the same way, the opposite way,
    # from x to z (difference (-1, 0, 1): cosine 1/2), and nowhere.
    x, y, z = np.eye(3, dtype=np.float32)
    found = directional_similarity(
        np.stack([x, x, x, x, x]),
        np.stack([y, y, y, y, x]),
        np.stack([x, y, x, x, x]),
        np.stack([2 * y, x, z, x, y]),
    )
    assert found[:3] == pytest.approx([1.0, -1.0, 0.5])
    assert np.isnan(found[3:]).all()  # the picture, then the text, did not change


def counting(encoder: ClipEncoder, seen: dict[str, int]) -> ClipEncoder:
    """The encoder, made to count what its model is given."""
    model = encoder._model

    def count(kind: str) -> Callable[..., None]:
        def hook(module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = [*args, *kwargs.values()]
            seen[kind] += next(len(one) for one in given if isinstance(one, torch.Tensor))

        return hook

    model.text_model.register_forward_pre_hook(count("texts"), with_kwargs=True)
    model.vision_model.register_forward_pre_hook(count("pictures"), with_kwargs=True)
    return encoder
