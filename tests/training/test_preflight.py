"""A preflight says how long and how much, and changes nothing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import T5ForConditionalGeneration

from promptlift.errors import ConfigError
from promptlift.improving.engines.torch_t5 import T5Engine
from promptlift.records import Pair
from promptlift.training import memory
from promptlift.training.examples import Row, tokenized
from promptlift.training.memory import (
    cache_bytes,
    free_memory,
    memory_errors_explained,
    peak_resident,
)
from promptlift.training.models import Start, start_model
from promptlift.training.preflight import Preflight, measure
from promptlift.training.train import measure_run, train
from tests.training.test_paper import PAIRS, VALIDATION, same, settings, weights

FOUND = Preflight(
    threads=2, device="cuda", gradient_checkpointing=False, updates=100, pairs_per_update=64,
    seconds_per_update=2.0, evaluation_seconds=80.0, evaluations=5, peak_bytes=10**9,
    free_bytes=2 * 10**9,
)  # fmt: skip


def test_hours_and_fit_by_hand() -> None:
    assert FOUND.hours == pytest.approx((100 * 2 + 5 * 80) / 3600)
    assert FOUND.fits
    assert not replace(FOUND, free_bytes=10**9).fits  # some room is left
    full = replace(FOUND, peak_bytes=None)
    assert not full.fits and len(full.lines()) == 1
    assert "32.0 pairs/s" in FOUND.lines()[0]


def test_advice_keeps_the_update(t5v11_folder: Path) -> None:
    config = settings(t5v11_folder, batch_size=8, gradient_accumulation_steps=8)
    said = FOUND.advice(config)
    assert "--batch-size 4 --gradient-accumulation-steps 16" in said
    assert "--gradient-checkpointing on" in said and "--lora" in said
    checkpointing = replace(FOUND, gradient_checkpointing=True)
    assert "--lora" not in checkpointing.advice(replace(config, lora=True))


def test_updates_are_those_of_a_run(t5v11_folder: Path) -> None:
    config = settings(t5v11_folder, batch_size=8, gradient_accumulation_steps=8, epochs=5.0)
    assert config.updates(73_700) == 5 * 1152
    assert config.updates(73_700, processes=2) == 5 * 576


@pytest.mark.slow
def test_a_preflight_changes_nothing(t5v11_folder: Path, tmp_path: Path) -> None:
    config = settings(t5v11_folder, epochs=1.0)
    lines: list[str] = []
    for name, first in (("with", True), ("without", False)):
        train(
            PAIRS,
            tmp_path / name,
            config,
            validation=VALIDATION,
            preflight=first,
            report=lines.append,
        )
    assert same(tmp_path / "with" / "model", tmp_path / "without" / "model")
    assert len(weights(tmp_path / "with" / "model")) > 10
    found = json.loads((tmp_path / "with" / "preflight.json").read_text())
    assert found["fits"] and found["seconds_per_update"] > 0 and found["evaluation_seconds"] > 0
    # 25 pairs are 7 batches of 4, two an update.
    assert (found["updates"], found["evaluations"]) == (4, 1)
    assert sum(line.startswith("preflight: ") for line in lines) == 2


@pytest.mark.slow
def test_too_little_memory_is_said_with_what_to_do(
    t5v11_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    monkeypatch.setattr(memory, "peak_resident", iter([0, 10**6, 0, 10**6]).__next__)
    config = settings(t5v11_folder, epochs=1.0, evaluation_decoding="none")
    with pytest.raises(ConfigError, match=r"this machine is too small .* --lora.* --no-preflight"):
        train(PAIRS, tmp_path / "run", config, validation=VALIDATION, preflight=True)


@pytest.mark.slow
def test_checkpointing_comes_on_where_memory_asks_for_it(
    t5v11_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    monkeypatch.setattr(memory, "peak_resident", iter([0, 10**6, 0, 500]).__next__)
    config = settings(t5v11_folder, epochs=1.0, evaluation_decoding="none")
    found = measure_run(PAIRS, config, validation=VALIDATION)
    assert found.gradient_checkpointing and found.fits


def test_keys_and_values_are_those_of_a_cache(t5v11_folder: Path) -> None:
    model = T5ForConditionalGeneration.from_pretrained(t5v11_folder)
    state = T5Engine(model).start(np.ones((3, 7), dtype=np.int64), np.ones((3, 7), dtype=np.int64))
    for _ in range(5):
        state.step(np.zeros(3, dtype=np.int64))
    cache = state._cache
    layers = [*cache.self_attention_cache.layers, *cache.cross_attention_cache.layers]
    held = sum(4 * (layer.keys.numel() + layer.values.numel()) for layer in layers)
    assert cache_bytes(model.config, 3, 5 + 7) == held


def test_running_out_of_memory_is_one_line_with_what_to_do(t5v11_folder: Path) -> None:
    config = settings(t5v11_folder)
    faults = (
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    )
    for fault in faults:
        with (
            pytest.raises(ConfigError, match="--lora") as raised,
            memory_errors_explained(config, checkpointing=False),
        ):
            raise fault
        assert "\n" not in str(raised.value)
        assert "--gradient-checkpointing on" in str(raised.value)
    with pytest.raises(RuntimeError, match="shapes"), memory_errors_explained(config, False):
        raise RuntimeError("shapes differ")


def test_a_device_too_small_for_the_weights_is_said(t5v11_folder: Path) -> None:
    def too_large(start: Start) -> Start:
        def fail(module: torch.nn.Module, *rest: Any) -> None:
            raise RuntimeError("MPS backend out of memory")

        start.model._apply = fail  # what moving to a device comes to
        return start

    def encoded(pairs: list[Pair], start: Start) -> list[Row]:
        return tokenized(pairs, start, lambda mode, form: "", config)

    config = settings(t5v11_folder, epochs=1.0)
    found = measure(
        lambda: too_large(start_model(config, t5v11_folder)),
        lambda start: (encoded(PAIRS, start), encoded(VALIDATION, start)),
        config,
    )
    assert found.peak_bytes is None and not found.fits


def test_memory_is_read() -> None:
    assert peak_resident() > 0
    assert free_memory() > 0
