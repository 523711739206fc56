"""Speed of an exported decoder-only model against `transformers` and llama.cpp, in one run.

    python -m benchmarks.improving.speed_llama TRAINED EXPORTED [--gguf FILE] [--threads 1]

TRAINED is the folder that EXPORTED was made from; FILE holds a model of the same shape, with 8-bit
weights (Q8_0), for the package `llama-cpp-python`. Times are of a step: a run with many new tokens
less one with few. `--processor-time` counts processor time instead, for a machine that is busy;
with one thread the two are alike.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaForCausalLM

from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.loop import generate
from promptlift.improving.engines.onnx_llama import LlamaEngine

SOURCE_TOKENS, FEW, MANY = 16, 2, 34
RULES = {"top_k": 50, "temperature": 1.0, "repetition_penalty": 1.2}
Run = Callable[[int, int], object]  # rows, new tokens


def batch_of(size: int, vocabulary: int) -> np.ndarray:
    return np.random.default_rng(0).integers(10, vocabulary, size=(size, SOURCE_TOKENS))


def ours(exported: Path, threads: int) -> Run:
    engine = LlamaEngine(exported, threads=threads)

    def run(size: int, new: int) -> object:
        ids = batch_of(size, engine.vocab_size)
        config = DecodingConfig(min_new_tokens=new, max_new_tokens=new, **RULES)  # type: ignore[arg-type]
        streams = [np.random.default_rng(row) for row in range(size)]
        return generate(engine, ids, np.ones_like(ids), config, streams)

    return run


def theirs(trained: Path, dtype: torch.dtype) -> Run:
    model = LlamaForCausalLM.from_pretrained(trained, dtype=dtype).eval()

    def run(size: int, new: int) -> object:
        ids = torch.tensor(batch_of(size, model.config.vocab_size))
        return model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            min_new_tokens=new,
            max_new_tokens=new,
            pad_token_id=model.config.eos_token_id,
            **RULES,
        )

    return run


def llama_cpp(gguf: Path, threads: int) -> Run:
    from llama_cpp import Llama  # type: ignore[import-not-found]

    model = Llama(str(gguf), n_ctx=256, n_threads=threads, n_threads_batch=threads, verbose=False)

    def run(size: int, new: int) -> object:
        model.reset()
        model.eval(batch_of(size, model.n_vocab())[0].tolist())
        for token in range(new):
            model.eval([10 + token])
        return None

    return run


def step_ms(run: Run, size: int, clock: Callable[[], float]) -> float:
    def seconds(new: int) -> float:
        started = clock()
        run(size, new)
        return clock() - started

    return 1e3 * (seconds(MANY) - seconds(FEW)) / (MANY - FEW)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("exported", type=Path)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processor-time", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    clock = time.process_time if args.processor_time else time.perf_counter
    sides = {
        "promptlift": ours(args.exported, args.threads),
        "transformers bf16": theirs(args.trained, torch.bfloat16),
        "transformers fp32": theirs(args.trained, torch.float32),
    }
    if args.gguf:
        sides["llama.cpp"] = llama_cpp(args.gguf, args.threads)
    print("| rows | side | ms a step, median | least | times promptlift's |")
    print("| --- | --- | --- | --- | --- |")
    for size in (1, 16, 64):
        times: dict[str, list[float]] = {
            name: [] for name in sides if size == 1 or name != "llama.cpp"
        }
        for number in range(args.rounds + 1):  # the first to warm up
            for name, kept in times.items():
                found = step_ms(sides[name], size, clock)
                if number:
                    kept.append(found)
        own = statistics.median(times["promptlift"])
        for name, kept in times.items():
            middle = statistics.median(kept)
            ratio = middle / own
            print(f"| {size} | {name} | {middle:.2f} | {min(kept):.2f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
