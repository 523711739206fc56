"""Speed of an exported decoder-only model against `transformers` and llama.cpp, in one run.

    python -m benchmarks.improving.speed_llama TRAINED EXPORTED [MORE ...] [--threads 1]

TRAINED is the folder that the others were exported from. llama.cpp gets the same weights in 8 bits
(Q8_0) where the package `llama-cpp-python` is there. Times are of a step: a run with many new
tokens less one with few. `--processor-time` counts processor time instead, for a machine that is
busy; with one thread the two are alike. Peak memory is that of a process that decodes one batch.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.improving.bounds import Clock

SOURCE_TOKENS, FEW, MANY = 16, 2, 34
SIZES = (1, 16, 64)
RULES: dict[str, Any] = {"top_k": 50, "temperature": 1.0, "repetition_penalty": 1.2}
Run = Callable[[int, int], object]  # rows, new tokens
Side = tuple[Any, ...]  # what makes a `Run`, the folder that it reads, and more of its arguments


def batch_of(size: int, vocabulary: int) -> np.ndarray:
    return np.random.default_rng(0).integers(10, vocabulary, size=(size, SOURCE_TOKENS))


def ours(exported: Path, threads: int) -> Run:
    from promptlift.improving.config import DecodingConfig
    from promptlift.improving.decoding.loop import generate
    from promptlift.improving.engines.onnx_llama import LlamaEngine

    engine = LlamaEngine(exported, threads=threads)

    def run(size: int, new: int) -> object:
        ids = batch_of(size, engine.vocab_size)
        config = DecodingConfig(min_new_tokens=new, max_new_tokens=new, **RULES)
        streams = [np.random.default_rng(row) for row in range(size)]
        return generate(engine, ids, np.ones_like(ids), config, streams)

    return run


def theirs(trained: Path, threads: int, dtype: str) -> Run:
    import torch
    from transformers import LlamaForCausalLM

    torch.set_num_threads(threads)
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
    """Feeds one row after the other, so it is compared at one row alone."""
    from llama_cpp import Llama  # type: ignore[import-not-found]

    model = Llama(str(gguf), n_ctx=256, n_threads=threads, n_threads_batch=threads, verbose=False)

    def run(size: int, new: int) -> object:
        model.reset()
        model.eval(batch_of(size, model.n_vocab())[0].tolist())
        for token in range(new):
            model.eval([10 + token])
        return None

    return run


def write_gguf(trained: Path, path: Path, precision: str = "Q8_0") -> None:
    """A trained model as llama.cpp reads it, matrices in Q8_0 or F32."""
    import gguf
    from transformers import AutoTokenizer, LlamaForCausalLM

    model, tokenizer = (kind.from_pretrained(trained) for kind in (LlamaForCausalLM, AutoTokenizer))
    config, writer = model.config, gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(config.vocab_size)))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for key, value in model.state_dict().items():
        name, matrix = names.get_name(key, (".weight",)), value.numpy()
        if name is None or (name == "output.weight" and config.tie_word_embeddings):
            continue
        if part := next((p for p in ("q_proj", "k_proj") if p in key), None):
            heads = config.num_attention_heads if part[0] == "q" else config.num_key_value_heads
            halves = matrix.reshape(heads, 2, -1, matrix.shape[1])  # llama.cpp rotates neighbours
            matrix = halves.swapaxes(1, 2).reshape(matrix.shape)
        if matrix.ndim == 1:
            writer.add_tensor(name, matrix)
        else:
            kind = gguf.GGMLQuantizationType[precision]
            writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def step_ms(run: Run, size: int, clock: "Clock") -> float:
    def seconds(new: int) -> float:
        started = clock()
        run(size, new)
        return clock() - started

    return 1e3 * (seconds(MANY) - seconds(FEW)) / (MANY - FEW)


def peak_megabytes(side: Side, threads: int, size: int) -> int:
    """Of a process of its own, which imports no more than that side needs."""
    make, folder, *more = side
    script = (
        f"from pathlib import Path; import {__spec__.name} as sides\n"
        f"sides.{make.__name__}(Path({str(folder)!r}), {threads}, *{more!r})({size}, {MANY})\n"
        # ru_maxrss would count the process that started it.
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) // 1024


def bound_ms(exported: Path, size: int, bandwidth: float, rate: float) -> tuple[float, float]:
    """A step if only weights were read from memory, and if only products of int8 were done."""
    import onnx

    graph = onnx.load(str(exported / "decoder.onnx"), load_external_data=False).graph
    products = 0
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            sizes = {item.name: item.i for item in node.attribute}
            products += sizes["K"] * sizes["N"]
    read = sum(path.stat().st_size for path in exported.glob("decoder.onnx*"))
    return 1e3 * read / bandwidth, 1e3 * size * products / rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("exported", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processor-time", action="store_true")
    args = parser.parse_args()
    clock = time.process_time if args.processor_time else time.perf_counter
    sides: dict[str, Side] = {f"promptlift {path.name}": (ours, path) for path in args.exported}
    for dtype in ("bfloat16", "float32"):
        sides[f"transformers {dtype}"] = (theirs, args.trained, dtype)
    with tempfile.TemporaryDirectory() as temporary:
        if importlib.util.find_spec("llama_cpp"):
            gguf = Path(temporary) / "model.gguf"
            write_gguf(args.trained, gguf)
            sides["llama.cpp Q8_0"] = (llama_cpp, gguf)
        else:
            print("llama-cpp-python is not installed: llama.cpp is left out.")
        compare(sides, args.threads, args.rounds, clock)


def compare(sides: dict[str, Side], threads: int, rounds: int, clock: "Clock") -> None:
    from benchmarks.improving.bounds import bytes_a_second, int8_products_a_second

    bandwidth, rate = bytes_a_second(clock), int8_products_a_second(threads, clock)
    print(f"memory {bandwidth / 1e9:.1f} GB/s, int8 {rate / 1e9:.0f} billion products/s")
    runs = {name: make(folder, threads, *more) for name, (make, folder, *more) in sides.items()}
    first = next(iter(sides))
    print("| rows | side | median ms a step | least | times the first | the bound | peak MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in SIZES:
        times: dict[str, list[float]] = {
            name: [] for name, side in sides.items() if size == 1 or side[0] is not llama_cpp
        }
        for number in range(rounds + 1):  # the first to warm up
            for name, kept in times.items():
                found = step_ms(runs[name], size, clock)
                if number:
                    kept.append(found)
        for name, kept in times.items():
            middle, bound = statistics.median(kept), ""
            if sides[name][0] is ours:
                bounds = bound_ms(sides[name][1], size, bandwidth, rate)
                bound = f"{middle / max(bounds):.1f} times {bounds[0]:.1f} and {bounds[1]:.1f}"
            ratio = middle / statistics.median(times[first])
            peak = peak_megabytes(sides[name], threads, size)
            row = [size, name, f"{middle:.2f}", f"{min(kept):.2f}", f"{ratio:.2f}", bound, peak]
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main()
