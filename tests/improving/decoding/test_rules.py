"""The decoding rules against transformers' own processors, and their invariants."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from transformers import LogitsProcessorList
from transformers.generation import logits_process as reference

from promptlift.errors import ConfigError
from promptlift.improving.config import DecodingConfig, resolve_options
from promptlift.improving.decoding.rules import History, choose, enough_candidates, penalize_and_ban
from promptlift.improving.manifest import ModelCard

NEVER = np.zeros(0, dtype=np.int64)
EOS = 1


def everything(logits: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.arange(logits.shape[1]), logits.shape)


def largest(logits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.argsort(-logits, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(logits, ids, axis=1), ids


@given(
    seed=st.integers(0, 10_000),
    penalty=st.sampled_from([1.0, 1.2, 1.4]),
    ngram=st.integers(0, 3),
    shortest=st.integers(0, 8),
)
def test_penalties_equal_those_of_transformers(
    seed: int, penalty: float, ngram: int, shortest: int
) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(3, 12)).astype(np.float32) * 3
    history = generator.integers(0, 12, size=(3, 6))
    processors = LogitsProcessorList()
    if penalty != 1.0:
        processors.append(reference.RepetitionPenaltyLogitsProcessor(penalty))
    if ngram:
        processors.append(reference.NoRepeatNGramLogitsProcessor(ngram))
    if shortest:
        processors.append(reference.MinNewTokensLengthLogitsProcessor(1, shortest, EOS))
    expected = processors(torch.tensor(history), torch.tensor(logits)).numpy()
    config = DecodingConfig(
        repetition_penalty=penalty, no_repeat_ngram_size=ngram, min_new_tokens=shortest
    )
    scores, touched = penalize_and_ban(
        logits,
        everything(logits),
        History(history.tolist(), 12),
        np.arange(3),
        config,
        eos=EOS,
        suppressed=NEVER,
    )
    np.testing.assert_allclose(scores, expected, rtol=1e-6)
    assert touched[scores != logits].all()


@pytest.mark.parametrize(
    ("top_k", "top_p", "temperature"), [(0, 1.0, 1.0), (5, 1.0, 0.7), (0, 0.8, 1.3), (6, 0.95, 1.0)]
)
def test_sampling_has_the_distribution_of_transformers(
    top_k: int, top_p: float, temperature: float
) -> None:
    generator = np.random.default_rng(7)
    logits = generator.normal(size=(1, 10)).astype(np.float32) * 2
    warpers = LogitsProcessorList([reference.TemperatureLogitsWarper(temperature)])
    if top_k:
        warpers.append(reference.TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(reference.TopPLogitsWarper(top_p))
    warped = warpers(torch.zeros((1, 1), dtype=torch.long), torch.tensor(logits))
    expected = torch.softmax(warped, dim=-1).numpy()[0].astype(np.float64)
    config = DecodingConfig(top_k=top_k, top_p=top_p, temperature=temperature)
    draws = 20_000
    rows = np.repeat(logits, draws, axis=0)
    drawn = choose(rows, everything(rows), config, generator.random(draws))
    counts = np.bincount(drawn, minlength=10)
    possible = expected > 0
    assert counts[~possible].sum() == 0
    expected = expected[possible] / expected[possible].sum()
    # The seed is fixed, so this is no lottery: a wrong rule gives p-values below 1e-10.
    assert chisquare(counts[possible], expected * draws).pvalue > 0.001


@settings(max_examples=200)
@given(
    seed=st.integers(0, 10_000),
    top_k=st.integers(1, 6),
    top_p=st.sampled_from([1.0, 0.8]),
    penalty=st.sampled_from([1.0, 1.4]),
    uniform=st.floats(0, 1, exclude_max=True),
    greedy=st.booleans(),
)
def test_enough_candidates_decide_as_all_logits_do(
    seed: int, top_k: int, top_p: float, penalty: float, uniform: float, greedy: bool
) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(1, 40)).astype(np.float32) * 4
    history = History([generator.integers(0, 40, size=8).tolist()], 40)
    config = DecodingConfig(
        top_k=top_k, top_p=top_p, repetition_penalty=penalty, do_sample=not greedy
    )
    values, ids = largest(logits, 8)
    row = np.zeros(1, dtype=np.int64)
    some, touched = penalize_and_ban(values, ids, history, row, config, eos=EOS, suppressed=NEVER)
    every, _ = penalize_and_ban(
        logits, everything(logits), history, row, config, eos=EOS, suppressed=NEVER
    )
    if enough_candidates(touched, config)[0]:
        drawn = np.array([uniform])
        assert choose(some, ids, config, drawn) == choose(every, everything(logits), config, drawn)


def test_all_logits_are_needed_without_top_k() -> None:
    untouched = np.zeros((1, 8), dtype=bool)
    assert not enough_candidates(untouched, DecodingConfig(top_k=0)).any()
    assert enough_candidates(untouched, DecodingConfig(top_k=0, do_sample=False)).all()


def test_greedy_takes_the_lowest_id_of_equal_logits() -> None:
    logits = np.array([[0.0, 2.0, 2.0]], dtype=np.float32)
    ids = np.array([[5, 9, 3]])
    assert choose(logits, ids, DecodingConfig(do_sample=False), np.zeros(1)) == [3]


def test_all_problems_of_a_config_are_reported_together() -> None:
    with pytest.raises(ConfigError, match=r"temperature is 0 .*; top_p is 2 "):
        DecodingConfig(temperature=0, top_p=2)


def test_a_default_length_gives_way_to_a_given_one() -> None:
    card = ModelCard(
        name="m", modes={"extend": ""}, decoding={"min_new_tokens": 12, "max_new_tokens": 64}
    )
    short, _ = resolve_options(card, None, {"max_new_tokens": 3})
    long, _ = resolve_options(card, None, {"min_new_tokens": 100})
    assert (short.min_new_tokens, short.max_new_tokens) == (3, 3)
    assert (long.min_new_tokens, long.max_new_tokens) == (100, 100)
    with pytest.raises(ConfigError, match="at most max_new_tokens"):
        resolve_options(card, None, {"min_new_tokens": 9, "max_new_tokens": 3})


def test_unknown_options_and_presets_name_the_known_ones() -> None:
    card = ModelCard(name="m", modes={"extend": ""})
    with pytest.raises(ConfigError, match=r"'temprature'; there is: do_sample, temperature"):
        resolve_options(card, None, {"temprature": 1})
    with pytest.raises(ConfigError, match=r"'papr'; there is: paper"):
        resolve_options(card, "papr", {})
