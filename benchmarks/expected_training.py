"""Expected time and memory of the paper's run on named GPUs. Calculated, not measured.

    python -m benchmarks.expected_training [--source 24] [--target 64]

Bytes that a step keeps for its gradients and its multiplications are counted on the model's own
graph, with tensors that have a shape and no content (torch's fake tensors): attention written out,
bf16 autocast, dropout on. To the kept bytes come weights, gradients and AdamW's two moments in
fp32 (16 bytes a parameter) and autocast's copy of the weights (2 bytes). With checkpointing a layer
keeps its input, and one layer at a time its inside.

A batch takes the longer of two times: its multiplications at 40% of the GPU's bf16 rate, and its
operations at 10 microseconds each, which is what PyTorch needs to start one; with short prompts the
second decides.

An evaluation generates for the paper's 8,190 test pairs in batches of 64, the key and value cache
filled. Such a step is bound by starting its operations: those of the decoder's forward pass;
what chooses a token is not counted. A batch runs until its
longest prediction ends. Assumed, not measured: predictions of 100 tokens on average and twice that
for the longest of a batch; the bound is 999 tokens. `paper-exact` ends after 19. Losses on the test
pairs and scoring come on top. `promptlift train --preflight` measures both on the machine at hand.
"""

import argparse
import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import T5Config, T5ForConditionalGeneration

from promptlift.improving.engines.torch import TorchEngine
from promptlift.training.config import TrainingConfig
from promptlift.training.evaluation import BATCH_SIZE

PAIRS = 73_700
TEST_PAIRS = 8190
MEAN_TOKENS, LONGEST_OF_BATCH = 100, 2  # of a prediction, assumed
USED, LAUNCH_S = 0.4, 10e-6
_SHAPE: dict[str, Any] = {
    "vocab_size": 32128, "d_model": 768, "d_kv": 64, "num_heads": 12, "num_layers": 12,
    "dropout_rate": 0.1, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
MODELS: dict[str, dict[str, Any]] = {
    "T5-base": {**_SHAPE, "d_ff": 3072, "feed_forward_proj": "relu"},
    "FLAN-T5-base": {**_SHAPE, "d_ff": 2048, "feed_forward_proj": "gated-gelu"},
}
# Memory, and dense bf16 multiplications a second with fp32 sums, from the makers' data sheets.
GPUS = {
    "RTX 3090": (24e9, 71e12),
    "RTX 4090": (24e9, 165e12),
    "A100 80 GB": (80e9, 312e12),
    "H100 80 GB": (80e9, 989e12),
}


@dataclass(frozen=True)
class Step:
    """One batch, forward and backward.

    Attributes:
        parameters: of the model, its own head included.
        kept: bytes kept for gradients.
        floating_point: operations of its multiplications.
        launches: operations that PyTorch starts.
    """

    parameters: int
    kept: int
    floating_point: int
    launches: int


class _Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def count(shape: dict[str, Any], batch: int, source: int, target: int, *, fake: bool) -> Step:
    """Count a step of a T5 of this shape on a batch of such lengths in tokens."""
    with FakeTensorMode() if fake else contextlib.nullcontext():
        model = T5ForConditionalGeneration(T5Config(**shape)).train()
        model.set_attn_implementation("eager")
        own = {item.untyped_storage()._cdata for item in model.parameters()}
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.untyped_storage()._cdata not in own:
                kept[tensor.untyped_storage()._cdata] = tensor  # held, so that no id is used twice
            return tensor

        ids = torch.ones(batch, source, dtype=torch.long)
        labels = torch.ones(batch, target, dtype=torch.long)
        with FlopCounterMode(display=False) as operations, _Launches() as launches:
            with (
                torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
                torch.autocast("cpu", torch.bfloat16),
            ):
                loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
            size = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
            loss.backward()
        parameters = sum(item.numel() for item in model.parameters())
    return Step(parameters, size, operations.get_total_flops(), launches.count)


def launches_of(shape: dict[str, Any]) -> int:
    """Operations that a step starts: they do not depend on sizes, so a narrow model will do."""
    narrow = {**shape, "vocab_size": 64, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2}
    return count(narrow, 1, 4, 4, fake=False).launches


def decoder_launches(shape: dict[str, Any]) -> int:
    """Operations that a step of decoding starts, with its cache; sizes do not matter."""
    narrow = {**shape, "vocab_size": 64, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_heads": 2}
    model = T5ForConditionalGeneration(T5Config(**narrow)).eval()
    one = np.ones((1, 1), dtype=np.int64)
    state = TorchEngine(model).start(one, one)
    state.step(one[0])  # the first also fills the cache of the source
    with _Launches() as launches:
        state.step(one[0])
    return int(launches.count)


def evaluation_minutes(launches: int, tokens: int) -> float:
    """Of generating for all test pairs once, so many steps a batch."""
    return math.ceil(TEST_PAIRS / BATCH_SIZE) * tokens * launches * LAUNCH_S / 60


def memory(shape: dict[str, Any], step: Step, lengths: tuple[int, int], batch: int) -> list[float]:
    """Bytes without and with gradient checkpointing."""
    logits = batch * lengths[1] * shape["vocab_size"]
    # The head's own weights, which transformers builds shared for both kinds.
    head = shape["vocab_size"] * shape["d_model"] * (shape["feed_forward_proj"] != "relu")
    fixed = 18 * (step.parameters + head)
    gradient = 4 * logits  # of the logits, beside what is kept
    layers = shape["num_layers"]
    inputs = 4 * batch * shape["d_model"] * layers * (lengths[0] + 2 * lengths[1])
    outside = 8 * logits  # logits and their softmax stay in either case
    inside = max(0, step.kept - outside) / layers
    return [fixed + gradient + step.kept, fixed + gradient + outside + inputs + inside]


def hours(step: Step, launches: int, rate: float, epochs: float) -> float:
    """Of all updates, without evaluation."""
    config = TrainingConfig.resolve("paper", {"epochs": epochs})
    batches = config.updates(PAIRS) * config.gradient_accumulation_steps
    each = max(step.floating_point / (USED * rate), launches * LAUNCH_S)
    return batches * each / 3600


def rows(source: int, target: int, longest: list[tuple[int, int]]) -> Iterator[str]:
    """The tables, in Markdown."""
    batch = TrainingConfig.resolve("paper", {}).batch_size
    yield f"Typical batch: {batch} pairs of {source} source and {target} target tokens."
    yield ""
    yield (
        "| model | GPU | 5 epochs, h | 10 epochs, h | an evaluation: paper, min | at most | "
        "paper-exact |"
    )
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for name, shape in MODELS.items():
        typical, launches = count(shape, batch, source, target, fake=True), launches_of(shape)
        step = decoder_launches(shape)
        lengths = (LONGEST_OF_BATCH * MEAN_TOKENS, 999, 19)
        each = " | ".join(f"{evaluation_minutes(step, tokens):.1f}" for tokens in lengths)
        for gpu, (_, rate) in GPUS.items():
            five, ten = (hours(typical, launches, rate, epochs) for epochs in (5.0, 10.0))
            yield f"| {name} | {gpu} | {five:.1f} | {ten:.1f} | {each} |"
    yield ""
    yield "| model | longest pair, tokens | checkpointing off, GB | on | fits 24 GB | fits 80 GB |"
    yield "| --- | --- | ---: | ---: | --- | --- |"
    for name, shape in MODELS.items():
        for pair in [(source, target), *longest]:
            counted = count(shape, batch, *pair, fake=True)
            off, on = memory(shape, counted, pair, batch)
            fits = [
                "yes" if off <= 0.9 * size else "with checkpointing" if on <= 0.9 * size else "no"
                for size in (24e9, 80e9)
            ]
            yield (
                f"| {name} | {pair[0]} and {pair[1]} | {math.ceil(off / 1e9)} | "
                f"{math.ceil(on / 1e9)} | {fits[0]} | {fits[1]} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=int, default=24, help="source tokens of a typical pair")
    parser.add_argument("--target", type=int, default=64, help="target tokens of a typical pair")
    asked = parser.parse_args()
    longest = [(64, 256), (128, 512), (1024, 1600)]
    print("\n".join(rows(asked.source, asked.target, longest)))


if __name__ == "__main__":
    main()
