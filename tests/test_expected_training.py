"""What is calculated of a training step, held against a step that is done."""

from typing import Any

import pytest

from benchmarks.expected_training import count, hours, launches_of, memory

TINY: dict[str, Any] = {
    "vocab_size": 320, "d_model": 32, "d_kv": 8, "num_heads": 4, "num_layers": 2, "d_ff": 64,
    "feed_forward_proj": "gated-gelu", "dropout_rate": 0.1, "decoder_start_token_id": 0,
}  # fmt: skip


@pytest.mark.slow
def test_shapes_alone_count_as_a_real_step() -> None:
    imagined, real = (count(TINY, 4, 16, 24, fake=fake) for fake in (True, False))
    assert imagined.parameters == real.parameters
    assert imagined.floating_point == real.floating_point
    assert imagined.kept == pytest.approx(real.kept, rel=0.05)


@pytest.mark.slow
def test_launches_depend_on_layers_alone() -> None:
    wide = {**TINY, "d_model": 64, "vocab_size": 640}
    assert launches_of(TINY) == launches_of(wide) < launches_of({**TINY, "num_layers": 4})


def test_checkpointing_takes_less_and_longer_pairs_more() -> None:
    sizes = []
    for lengths in ((16, 24), (64, 96)):
        step = count(TINY, 4, *lengths, fake=False)
        off, on = memory(TINY, step, lengths, 4)
        assert on < off
        sizes.append(off)
    assert sizes[0] < sizes[1]


def test_hours_by_hand() -> None:
    step = count(TINY, 1, 4, 4, fake=False)
    # 5 epochs of 1,152 updates of 8 batches, a thousand operations of 10 microseconds each.
    assert hours(step, 1000, 1e30, 5.0) == pytest.approx(5 * 1152 * 8 * 0.01 / 3600)
