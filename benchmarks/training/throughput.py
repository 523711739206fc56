"""Training throughput: `--preset paper` against the paper's settings run as its script runs them.

    python -m benchmarks.training.throughput --data FOLDER [--quick] [--output results.json]

The other side is a plain Seq2SeqTrainer in fp32 with gradient checkpointing, batches in random
order padded to their longest row. Model, pairs, batch, updates, learning rate and schedule are the
same. Each side is a process of its own; they learn in turn, a few updates each, so that whatever
else the machine does falls on both. Ratios are those of a round; the median counts. The model has
FLAN-T5-small's shape, or a quarter of it with --quick, random weights, and dropout as FLAN-T5 has
it.
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

import torch
from transformers import T5Config, T5ForConditionalGeneration

from promptlift.improving.engines.torch import TorchModel, load_torch
from promptlift.improving.manifest import PAPER_PREFIX, ModelCard
from promptlift.pairs.load import load_pairs, load_prompts, write_pairs
from promptlift.records import Pair
from promptlift.tables import Row
from promptlift.training.config import TrainingConfig
from promptlift.training.examples import collate, tokenized
from promptlift.training.memory import peak_resident
from promptlift.training.models import Start
from promptlift.training.tokenizer import save_tokenizer, train_tokenizer
from promptlift.training.train import train

FLAN_T5_SMALL = {
    "vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 1024, "num_heads": 6,
    "num_layers": 8, "num_decoder_layers": 8,
}  # fmt: skip
QUICK = {
    "vocab_size": 8064, "d_model": 256, "d_kv": 64, "d_ff": 512, "num_heads": 4,
    "num_layers": 4, "num_decoder_layers": 4,
}  # fmt: skip
VALIDATION = 128
SIDES = ("script", "promptlift")


def real_pairs(data: Path, count: int) -> list[Pair]:
    """Prompts of the collection with their first clause as source, in the file's order."""
    found = []
    for row in load_prompts(data / "prompts.parquet"):
        if not isinstance(row, Row):
            continue
        prompt = str(row.value)
        head, _, rest = prompt.partition(",")
        if len(head.split()) >= 2 and len(rest.split()) >= 4:
            found.append(Pair(source=head.strip(), target=prompt))
        if len(found) == count:
            return found
    raise SystemExit(f"{data} has only {len(found)} such prompts")


def make(folder: Path, pairs: list[Pair], updates: int, shape: dict[str, int]) -> None:
    """Model, tokenizer and pairs that both sides begin with."""
    an_update = TrainingConfig.resolve("paper", {})
    size = an_update.batch_size * an_update.gradient_accumulation_steps
    write_pairs(folder / "pairs.jsonl", pairs[: updates * size])
    write_pairs(folder / "validation.jsonl", pairs[-VALIDATION:])
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    save_tokenizer(train_tokenizer([*texts, PAPER_PREFIX], 8000), folder / "model")
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(
            **shape, feed_forward_proj="gated-gelu", dropout_rate=0.1, tie_word_embeddings=False,
            pad_token_id=0, eos_token_id=1, decoder_start_token_id=0,
        )
    )  # fmt: skip
    model.lm_head.weight = torch.nn.Parameter(
        torch.randn_like(model.shared.weight) * shape["d_model"] ** -0.5
    )
    model.save_pretrained(str(folder / "model"))
    ModelCard(name="flan", modes={"rewrite": PAPER_PREFIX}).write(folder / "model")


def settings(folder: Path, every: int) -> TrainingConfig:
    """The preset's, for one epoch, without what does not belong to learning."""
    return TrainingConfig.resolve(
        "paper",
        {
            "model": str(folder / "model"), "epochs": 1.0, "logging_steps": every,
            "evaluation_decoding": "none", "training_sample": 0, "keep_checkpoints": 0,
            "best": False, "save_minutes": 1e6,
        },
    )  # fmt: skip


def pairs_of(path: Path) -> list[Pair]:
    return [item for item in load_pairs(path) if isinstance(item, Pair)]


def learn_with_promptlift(folder: Path, every: int, pause: Callable[[], None]) -> None:
    def report(line: str) -> None:
        if line.startswith("step "):
            pause()

    config = settings(folder, every)
    pause()
    train(
        pairs_of(folder / "pairs.jsonl"), folder / "promptlift", config,
        validation=pairs_of(folder / "validation.jsonl")[:8], preflight=False, report=report,
    )  # fmt: skip


def learn_as_the_script(folder: Path, every: int, pause: Callable[[], None]) -> None:
    from transformers import (
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Seq2SeqTrainer,
        Seq2SeqTrainingArguments,
        TrainerCallback,
        set_seed,
    )

    class Pause(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if "loss" in state.log_history[-1]:
                pause()

    config = settings(folder, every)
    pause()
    set_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(str(folder / "model"))
    loaded = load_torch(str(folder / "model"))
    model = loaded.engine.model
    examples = tokenized(
        pairs_of(folder / "pairs.jsonl"), start_of(loaded), lambda mode, form: PAPER_PREFIX, config
    )
    trainer = Seq2SeqTrainer(
        model=model,
        args=Seq2SeqTrainingArguments(
            output_dir=str(folder / "script" / "checkpoints"),
            num_train_epochs=1,
            per_device_train_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            gradient_checkpointing=True,
            logging_steps=every,
            save_strategy="no",
            use_cpu=not torch.cuda.is_available(),
            disable_tqdm=True,
            report_to=[],
            remove_unused_columns=False,
        ),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        train_dataset=examples,
        callbacks=[Pause()],
    )
    # transformers 5 takes T5's loss for one that is divided by the accumulated batches already.
    # It was divided by the trainer when the paper's script ran.
    trainer.model_accepts_loss_kwargs = False
    trainer.train()
    for part in (model, tokenizer):
        part.save_pretrained(str(folder / "script" / "model"))


def start_of(loaded: TorchModel) -> Start:
    """A loaded model as training begins with it."""
    return Start(loaded.engine.model, loaded.codec.tokenizer, vars(loaded.codec.special))


def child(side: str, folder: Path, every: int) -> None:
    """Learn a round whenever the other side waits: a line in, the seconds it took out."""
    started: list[float] = []

    def pause() -> None:
        seconds = time.perf_counter() - started[-1] if started else 0.0
        print(json.dumps({"seconds": seconds}), flush=True)
        if not sys.stdin.readline():
            raise SystemExit("the parent is gone")
        started.append(time.perf_counter())

    # Whatever libraries print is no result.
    learn = {"script": learn_as_the_script, "promptlift": learn_with_promptlift}[side]
    learn(folder, every, pause)
    print(json.dumps({"peak_bytes": peak_resident()}), flush=True)


def loss_of(folder: Path, pairs: list[Pair]) -> float:
    """Mean loss of a target token in fp32, without dropout."""
    loaded = load_torch(str(folder))
    config = TrainingConfig.resolve("paper", {})
    rows = tokenized(pairs, start_of(loaded), lambda mode, form: PAPER_PREFIX, config)
    join, total, tokens = collate(loaded.codec.special.pad), 0.0, 0
    with torch.no_grad():
        for at in range(0, len(rows), 8):
            part = rows[at : at + 8]
            count = sum(len(row["labels"]) for row in part)
            total += float(loaded.engine.model(**join(part)).loss) * count
            tokens += count
    return total / tokens


def measure(data: Path, updates: int, every: int, shape: dict[str, int]) -> dict[str, Any]:
    """Both sides in turn; see the module's docstring."""
    size = 64
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder, real_pairs(data, updates * size + VALIDATION), updates, shape)
        children = {
            side: subprocess.Popen(
                [sys.executable, "-m", "benchmarks.training.throughput", "--child", side,
                 "--folder", str(folder), "--every", str(every)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for side in SIDES
        }  # fmt: skip
        seconds: dict[str, list[float]] = {side: [] for side in SIDES}
        for process in children.values():
            _answer(process)  # it waits
        for _ in range(updates // every):
            for side, process in children.items():
                seconds[side].append(_answer_to_go(process)["seconds"])
        peaks = {}
        for side, process in children.items():
            peaks[side] = _answer_to_go(process)["peak_bytes"]
            process.wait()
        for found in seconds.values():
            del found[0]  # with building the model
        starts = {"script": folder / "script" / "model", "promptlift": folder / "promptlift/model"}
        held = pairs_of(folder / "validation.jsonl")
        losses = {side: loss_of(path, held) for side, path in starts.items()}
        first = loss_of(folder / "model", held)
    ratios = [a / b for a, b in zip(seconds["script"], seconds["promptlift"], strict=True)]
    return {
        "model": shape,
        "pairs": updates * size,
        "updates": updates,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "python": sys.version.split()[0]},
        "pairs_per_second": {
            side: every * size / statistics.median(found) for side, found in seconds.items()
        },
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "loss_before": first,
        "loss": losses,
        "peak_gb": {side: peak / 1e9 for side, peak in peaks.items()},
    }


def _answer(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"'):
            found: dict[str, float] = json.loads(line)
            return found
    raise SystemExit(f"a side ended early, with status {process.wait()}")


def _answer_to_go(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return _answer(process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("PROMPTLIFT_DATA"))
    parser.add_argument("--quick", action="store_true", help="a smaller model")
    parser.add_argument("--updates", type=int, default=24)
    parser.add_argument("--every", type=int, default=3, help="updates a round")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--child", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.folder, asked.every)
        return
    if asked.data is None:
        parser.error("give --data FOLDER, or set PROMPTLIFT_DATA")
    shape = QUICK if asked.quick else FLAN_T5_SMALL
    text = json.dumps(measure(Path(asked.data), asked.updates, asked.every, shape), indent=2)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
