"""Speed and memory of the int8 engine against `transformers` on the same weights, in one run.

    python -m benchmarks.improving.speed [--quick] [--output results.json]

The model has FLAN-T5-small's shape with random weights. Both sides sample 64 new tokens with the
same rules from 16 source tokens; runs alternate, medians count. Let nothing else run meanwhile.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks.improving.bounds import bytes_a_second, int8_products_a_second
from promptlift.export.export import export_model
from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.loop import generate
from promptlift.improving.engines.onnx_t5 import T5Engine
from promptlift.improving.manifest import ModelCard
from promptlift.training.config import POCKET_MODES
from promptlift.training.tokenizer import save_tokenizer, train_tokenizer

FLAN_T5_SMALL = {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 6}
SOURCE_TOKENS, NEW_TOKENS = 16, 64
RULES: dict[str, Any] = {"top_k": 50, "temperature": 1.0, "repetition_penalty": 1.2}
PROMPT = "a cat in armor"

TRANSFORMERS_COMMAND = """
import sys
from transformers import AutoTokenizer, T5ForConditionalGeneration, set_seed
set_seed(0)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = T5ForConditionalGeneration.from_pretrained(sys.argv[1])
ids = tokenizer("extend: " + sys.argv[2], return_tensors="pt").input_ids
out = model.generate(ids, do_sample=True, min_new_tokens={n}, max_new_tokens={n}, **{rules})
print(sys.argv[2] + ", " + tokenizer.decode(out[0], skip_special_tokens=True))
"""


MEASURED = {
    "promptlift": """
import sys
from pathlib import Path
import numpy as np
from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.loop import generate
from promptlift.improving.engines.onnx_t5 import T5Engine
ids = np.full(({size}, {source}), 5)
config = DecodingConfig(min_new_tokens={new}, max_new_tokens={new}, **{rules})
streams = [np.random.default_rng(row) for row in range({size})]
generate(T5Engine(Path(sys.argv[1])), ids, np.ones_like(ids), config, streams)
""",
    "transformers": """
import sys
import torch
from transformers import T5ForConditionalGeneration
model = T5ForConditionalGeneration.from_pretrained(sys.argv[1])
ids = torch.full(({size}, {source}), 5)
model.generate(
    ids, attention_mask=torch.ones_like(ids), do_sample=True,
    min_new_tokens={new}, max_new_tokens={new}, **{rules},
)
""",
}
# The high-water mark of this program alone; getrusage counts that of the parent before exec too.
PRINT_PEAK = """
[line] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(line.split()[1]) // 1024)
"""


def make_model(folder: Path, layers: int) -> Path:
    """A T5 1.1 with random weights and a small tokenizer."""
    torch.manual_seed(0)
    shape = {**FLAN_T5_SMALL, "num_layers": layers, "num_decoder_layers": layers}
    config = T5Config(
        **shape,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )
    model = T5ForConditionalGeneration(config)
    model.lm_head.weight.data.normal_(0.0, 0.05)
    model.save_pretrained(str(folder))
    texts = [PROMPT, *POCKET_MODES.values(), "soft light, highly detailed, oil on canvas"]
    save_tokenizer(train_tokenizer(texts, 340), folder)
    ModelCard(name="speed", modes=POCKET_MODES).write(folder)
    return folder


def batch_of(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(3, 300, size=(size, SOURCE_TOKENS))


def ours(exported: Path) -> Callable[[int], Any]:
    engine = T5Engine(exported)
    config = DecodingConfig(min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS, **RULES)

    def run(size: int) -> Any:
        ids = batch_of(size)
        streams = [np.random.default_rng(row) for row in range(size)]
        return generate(engine, ids, np.ones_like(ids), config, streams)

    return run


def theirs(folder: Path) -> Callable[[int], Any]:
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()

    def run(size: int) -> Any:
        ids = torch.tensor(batch_of(size))
        return model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            min_new_tokens=NEW_TOKENS,
            max_new_tokens=NEW_TOKENS,
            **RULES,
        )

    return run


def alternate(
    first: Callable[[], Any], second: Callable[[], Any], rounds: int
) -> tuple[list[float], list[float]]:
    """Seconds of each, in turn, after one of each to warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for call, kept in zip((first, second), times, strict=True):
            started = time.perf_counter()
            call()
            if number:
                kept.append(time.perf_counter() - started)
    return times


def compared(name: str, mine: list[float], other: list[float]) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(mine, other, strict=True)]
    row = {
        "what": name,
        "promptlift_s": round(statistics.median(mine), 4),
        "transformers_s": round(statistics.median(other), 4),
        "times_faster": round(statistics.median(ratios), 2),
        "slowest_pair": round(min(ratios), 2),
        "rounds": len(mine),
    }
    print(
        f"| {name} | {row['promptlift_s']} | {row['transformers_s']} | {row['times_faster']} | "
        f"{row['slowest_pair']} |",
        flush=True,
    )
    return row


def command(arguments: list[str]) -> Callable[[], Any]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return lambda: subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, env=environment
    )


def peak_megabytes(side: str, folder: Path, size: int) -> int:
    """Peak resident memory of a process of its own that decodes one batch and imports no more."""
    script = (
        MEASURED[side].format(size=size, source=SOURCE_TOKENS, new=NEW_TOKENS, rules=RULES)
        + PRINT_PEAK
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], check=True, capture_output=True, text=True
    )
    return int(done.stdout.split()[-1])


def bounds(exported: Path, sizes: tuple[int, ...], measured: dict[int, float]) -> dict[str, Any]:
    """Time of a step if only weights were read from memory, or only products were done."""
    weights = sum(
        int(np.prod(item.dims))
        for item in onnx.load(str(exported / "decoder.onnx")).graph.initializer
        if item.data_type == TensorProto.INT8
    )
    # The embedding is of the head's size, and of it one row a token is read.
    read = weights - FLAN_T5_SMALL["vocab_size"] * FLAN_T5_SMALL["d_model"]
    bandwidth, rate = bytes_a_second(), int8_products_a_second()
    found: dict[str, Any] = {
        "weight_bytes_a_step": read,
        "memory_gb_a_second": round(bandwidth / 1e9, 1),
        "int8_gmac_a_second": round(rate / 1e9),
    }
    for size in sizes:
        traffic, arithmetic = read / bandwidth, size * read / rate
        step = measured[size] / NEW_TOKENS
        found[f"batch_{size}"] = {
            "step_ms": round(1e3 * step, 2),
            "memory_bound_ms": round(1e3 * traffic, 2),
            "arithmetic_bound_ms": round(1e3 * arithmetic, 2),
            "times_the_bound": round(step / max(traffic, arithmetic), 1),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few layers and rounds, to try it")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    sizes, rounds = ((1, 4), 1) if args.quick else ((1, 16, 64), 7)
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_model(Path(temporary) / "model", 2 if args.quick else 8)
        exported = Path(temporary) / "exported"
        export_model(folder, exported)
        print("| what | promptlift s | transformers s | times faster | slowest pair |")
        print("| --- | --- | --- | --- | --- |")
        mine, other = ours(exported), theirs(folder)
        rows = []
        for size in sizes:
            times = alternate(
                lambda size=size: mine(size),  # type: ignore[misc]
                lambda size=size: other(size),  # type: ignore[misc]
                rounds,
            )
            rows.append(compared(f"batch of {size}, warm", *times))
        script = TRANSFORMERS_COMMAND.format(n=NEW_TOKENS, rules=RULES)
        options = ["--min-new-tokens", "64", "--max-new-tokens", "64", "--top-k", "50",
                   "--repetition-penalty", "1.2", "--model", str(exported)]  # fmt: skip
        cold = alternate(
            command(["-m", "promptlift", "improve", PROMPT, *options]),
            command(["-c", script, str(folder), PROMPT]),
            1 if args.quick else 5,
        )
        rows.append(compared("whole command, cold", *cold))
        memory = {
            f"batch of {size}": {
                "promptlift_mb": peak_megabytes("promptlift", exported, size),
                "transformers_mb": peak_megabytes("transformers", folder, size),
            }
            for size in sizes
        }
        measured = {size: rows[place]["promptlift_s"] for place, size in enumerate(sizes)}
        report = {
            "rows": rows,
            "peak_memory": memory,
            "bounds": bounds(exported, sizes, measured),
            "versions": {
                "torch": torch.__version__,
                "onnxruntime": onnxruntime.__version__,
                "python": sys.version.split()[0],
                "cores": os.cpu_count(),
            },
        }
    print(json.dumps({key: value for key, value in report.items() if key != "rows"}, indent=2))
    if args.output:
        args.output.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
