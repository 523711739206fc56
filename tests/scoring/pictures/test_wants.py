"""What prompts ask for, and how much of it pictures show: by the reader, by CLIP and by BLIP."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    BertTokenizer,
    BlipConfig,
    BlipForQuestionAnswering,
    BlipProcessor,
)
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

from benchmarks.world.models import truth
from benchmarks.world.render import render
from promptlift.errors import ModelError
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture, read_index
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.preference_models import ScorerContext, make_scorer
from promptlift.scoring.pictures.run import score_pictures
from promptlift.scoring.pictures.wants import questions_of
from promptlift.scoring.pictures.wants_shown import ClipAnswerer, PocketReader
from promptlift.world.scenes import HELD_OUT, Scene, draw_scene
from promptlift.world.wanted import Wanted
from tests.scoring.clip_models import index_row, write_index


def context(**settings: Any) -> ScorerContext:
    config = PictureScoringConfig(offline=True, device="cpu", **settings)
    return ScorerContext(config=config, cache=FeatureCache(), reader=PictureReader(4))


@pytest.mark.parametrize(
    ("prompt", "statements"),
    [
        (
            "two small blue rings, sea, watercolour painting, 8k, masterpiece",
            {"rings", "small rings", "two rings", "blue rings", "a sea", "watercolour painting"},
        ),
        (
            "a red star above a blue ring",
            {"a star", "a ring", "a red star", "a blue ring", "a red star above a blue ring"},
        ),
        ("Red star On The Left", {"a star", "a red star", "a Red star on the left"}),
        ("red star on the left", {"a star", "a red star", "a red star on the left"}),
        ("a picture of a duck", {"a duck"}),
        ("a cat in armor", {"a cat", "armor", "a cat in armor"}),
        ("a cat sitting on a bench", {"a cat", "a bench", "a cat sitting on a bench"}),
        ("a cat chasing mice", {"a cat", "mice", "a cat chasing mice"}),
        ("a cat dancing", {"a cat", "a cat dancing"}),
        ("the cat is black", {"a cat", "a black cat"}),
        ("one dog in Hyde Park", {"a dog", "one dog", "Hyde Park", "one dog in Hyde Park"}),
        ('a sign that says "OPEN"', {"a sign", 'the text "OPEN"'}),
        ("a portrait of a knight, by hokusai, cinematic lighting, intricate", {"a knight"}),
        ("8k, masterpiece, trending on artstation", set()),
        ("", set()),
    ],
)
def test_each_want_is_asked_by_itself(prompt: str, statements: set[str]) -> None:
    asked = questions_of(prompt)
    assert {one.statement for one in asked} == statements
    assert all(one.wanted and one.others and one.statement not in one.others for one in asked)


def test_questions_have_words_and_what_would_be_true_instead() -> None:
    asked = {one.kind: one for one in questions_of("two red stars on the left, pixel art, no cats")}
    assert asked["thing"].text == "Are there stars in the picture?"
    assert asked["count"].others == ("three stars", "four stars", "five stars", "one star")
    assert "blue stars" in asked["colour"].others and "red stars" not in asked["colour"].others
    assert "two red stars on the right" in asked["position"].others
    assert asked["style"].text == "Is the style of the picture pixel art?"
    assert "line art" in asked["style"].others and "pixel art" not in asked["style"].others
    assert (asked["negation"].statement, asked["negation"].wanted) == ("cats", False)
    [relation] = [one for one in questions_of("a cat left of a dog") if one.kind == "relation"]
    assert relation.text == "Is there a cat left of a dog in the picture?"
    assert relation.others == ("a cat right of a dog",)


def said(wanted: Wanted) -> str:
    """A prompt for the first things that are asked for."""
    many = wanted.number is not None and wanted.number > 1
    return f"{('', 'two ', 'three ')[(wanted.number or 1) - 1]}{wanted.colour} {wanted.shape}" + (
        "es" if many and str(wanted.shape).endswith("s") else "s" * many
    )


def renders(folder: Path, count: int) -> tuple[list[Scene], list[Picture]]:
    """Clean pictures of the pocket world that nothing learned from, and their scenes."""
    numbers = range(HELD_OUT + 4_000_000, HELD_OUT + 4_001_000)
    scenes = [scene for one in numbers if (scene := draw_scene(one)).fault == "clean"][:count]
    pictures = []
    for place, scene in enumerate(scenes):
        path = folder / f"{place}.png"
        Image.fromarray(render(scene)).save(path)
        pictures.append(
            Picture(
                prompt_index=place, seed=0, side="original", variant=0, path=path,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(), prompt="", source="",
            )
        )  # fmt: skip
    return scenes, pictures


def test_the_reader_finds_what_is_there_and_nothing_else(tmp_path: Path) -> None:
    scenes, pictures = renders(tmp_path, 40)
    prompts = [said(truth(scene)) for scene in scenes]
    wrong = [*prompts[1:], prompts[0]]
    scorer = make_scorer("wants", context(wants="pocket"))
    right = scorer.score(prompts=prompts, pictures=pictures)
    assert right.mean() > 0.9 and scorer.score(prompts=wrong, pictures=pictures).mean() < 0.4
    assert scorer.model.startswith("pocket-world-reader@")
    [none] = scorer.score(prompts=["a lighthouse at night"], pictures=pictures[:1])
    assert np.isnan(none)


def test_readings_are_kept_and_pictures_of_another_size_are_read(tmp_path: Path) -> None:
    scenes, [picture] = renders(tmp_path, 1)
    cache, prompt = FeatureCache(), [said(truth(scenes[0]))]
    first = PocketReader(cache, PictureReader(1)).find(prompts=prompt, pictures=[picture])
    size = picture.path.stat().st_size
    picture.path.unlink()
    again = PocketReader(cache, PictureReader(1)).find(prompts=prompt, pictures=[picture])
    assert size and first == again and set(first[0]) >= {"shape", "colour"}
    large = tmp_path / "large.png"
    Image.fromarray(render(scenes[0])).resize((128, 128), Image.Resampling.NEAREST).save(large)
    digest = hashlib.sha256(large.read_bytes()).hexdigest()
    other = Picture(**{**vars(picture), "path": large, "sha256": digest})
    assert PocketReader(cache, PictureReader(1)).find(prompts=prompt, pictures=[other]) == first


def test_clip_finds_the_colours_that_are_there(tmp_path: Path) -> None:
    scenes, pictures = renders(tmp_path, 40)
    answerer = ClipAnswerer(context(clip="pocket").encoder("pocket"))
    colours = [scene.things[0].colour for scene in scenes]

    def share(asked: Sequence[str]) -> float:
        prompts = [
            f"{one} {scene.things[0].shape}" for one, scene in zip(asked, scenes, strict=True)
        ]
        found = answerer.find(prompts=prompts, pictures=pictures)
        assert all(set(one.values()) <= {0.0, 1.0} and len(one) == 2 for one in found)
        return float(np.mean([[*one.values()][1] for one in found]))

    assert share(colours) > 0.7
    assert share([{"red": "blue"}.get(one, "red") for one in colours]) < 0.2


def make_blip(folder: Path, *more: str) -> Path:
    """A BLIP with random weights that knows few words, and `more`."""
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] is are there a in the picture ? red blue star cats"
    tokenizer = BertTokenizer(vocab={word: at for at, word in enumerate([*words.split(), *more])})
    block = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }  # fmt: skip
    text = {**block, "encoder_hidden_size": 32, "vocab_size": len(tokenizer)}
    text |= {"bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3, "pad_token_id": 0}
    vision = {**block, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    model = BlipForQuestionAnswering(BlipConfig(text_config=text, vision_config=vision))
    for weight in model.parameters():
        weight.data += 0.2 * torch.randn_like(weight)
    model.save_pretrained(folder)
    prepare = BlipImageProcessorPil(size={"height": 32, "width": 32})
    BlipProcessor(prepare, tokenizer).save_pretrained(folder)
    return folder


def test_blip_answers_as_transformers_generates(tmp_path: Path) -> None:
    folder = make_blip(tmp_path / "blip", "yes", "no")
    _, pictures = renders(tmp_path, 2)
    prompt = "a red star, no cats"
    scorer = make_scorer("wants", context(wants=str(folder)))
    found = scorer.score(prompts=[prompt, prompt], pictures=pictures)
    model = BlipForQuestionAnswering.from_pretrained(folder).eval()
    processor = BlipProcessor.from_pretrained(folder)
    yes, no = processor.tokenizer.convert_tokens_to_ids(["yes", "no"])
    for value, picture in zip(found, pictures, strict=True):
        expected = []
        for question in questions_of(prompt):
            inputs = processor(
                images=Image.open(picture.path), text=question.text, return_tensors="pt"
            )
            inputs.pop("token_type_ids", None)
            written = model.generate(
                **inputs, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
            )
            answer = float(written.logits[0][0, [yes, no]].softmax(-1)[0])
            expected.append(answer if question.wanted else 1 - answer)
        assert len(expected) == 3 and value == pytest.approx(np.mean(expected), abs=1e-5)
    assert found[0] != found[1] and scorer.model.startswith("blip@")
    assert np.isnan(scorer.score(prompts=["8k"], pictures=pictures[:1])).all()


def test_what_cannot_answer_is_refused_in_a_line(tmp_path: Path, clip_folder: Path) -> None:
    with pytest.raises(
        ModelError, match=r"'\./nowhere' is not a folder\. Give the folder of a BLIP"
    ):
        make_scorer("wants", context(wants="./nowhere"))
    with pytest.raises(ModelError, match="is a 'clip' model; pictures are asked with BLIP"):
        make_scorer("wants", context(wants=str(clip_folder)))
    with pytest.raises(
        ModelError, match=r"Salesforce/blip-vqa-base is not .* \(1\.5 GB\) with: hf"
    ):
        make_scorer("wants", context(wants="Salesforce/blip-vqa-base"))
    with pytest.raises(ModelError, match='has no token for "yes" or "no"'):
        make_scorer("wants", context(wants=str(make_blip(tmp_path / "mute", "yes"))))


@pytest.mark.parametrize(
    ("given", "drawn_by", "wanted"),
    [
        ("auto", "pocket-world", ("pocket", "pocket")),
        ("auto", "sdxl", ("openai/clip-vit-base-patch16", "clip")),
        ("clip", "pocket-world", ("pocket", "clip")),
        ("some/blip", "pocket-world", ("pocket", "some/blip")),
    ],
)
def test_the_reader_is_asked_of_the_worlds_own_pictures(
    given: str, drawn_by: str, wanted: tuple[str, str]
) -> None:
    found = PictureScoringConfig(wants=given).resolved(drawn_by)
    assert (found.clip, found.wants) == wanted


def pocket_run(folder: Path) -> Path:
    """Pictures as the pocket world's model leaves them: three prompts, one of which asks nothing.

    The improved pictures are those of the next scene.
    """
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    scenes, _ = renders(folder, 4)
    rows = []
    for index in range(3):
        source = said(truth(scenes[index])) if index else "masterpiece, 8k"
        for side in ("original", "improved"):
            path = pictures / f"{index}-{side}.png"
            Image.fromarray(render(scenes[index + (side == "improved")])).save(path)
            row = index_row(
                path, prompt_index=index, seed=1, side=side, variant=0, source=source,
                prompt=source if side == "original" else f"{source}, sharp focus",
            )  # fmt: skip
            rows.append(
                {**row, "model": json.dumps([{"name": "pocket-world", "sha256": "0" * 64}])}
            )
    write_index(folder, rows)
    return folder


def test_a_prompt_that_asks_for_nothing_is_counted_and_left_out(tmp_path: Path) -> None:
    run = pocket_run(tmp_path / "run")
    assert len(read_index(run / "pictures")) == 6
    found = score_pictures(run, PictureScoringConfig(metrics=("wants",), device="cpu"))
    assert found["settings"]["wants"] == "pocket"
    [row] = found["comparisons"]
    assert (row["metric"], row["n"], row["pairs"]) == ("wants_shown", 2, 2)
    assert row["difference"] < 0 and row["shuffled_captions"] is not None
    [original] = [one["scores"] for one in found["systems"] if one["name"] == "original pictures"]
    assert original[0]["value"] > 0.6 and original[0]["settings"]["undefined"] == 1
    first = json.loads((run / "scores" / "verdicts.jsonl").read_text().splitlines()[0])
    assert first["reason"] == "nothing to judge by" and not first["evidence"]


def test_wants_are_scored_unless_other_metrics_are_named(tmp_path: Path) -> None:
    run = pocket_run(tmp_path / "run")
    found = score_pictures(run, PictureScoringConfig(offline=True, device="cpu"))
    assert set(found["models"]) == {"clip", "aesthetic", "wants_shown"}
    assert "pocket-world-reader@" in found["models"]["wants_shown"]
    assert "wants_shown" in found["verdicts"]["metrics"]
