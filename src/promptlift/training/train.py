"""Fine-tuning a T5, or training a small one from scratch, in a run folder."""

import hashlib
import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import InputError, MissingExtraError
from promptlift.files import sha256_of_file
from promptlift.improving.manifest import PAPER_PREFIX, ModelCard
from promptlift.pairs.cut import cut_prompt
from promptlift.pairs.split import related
from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.training.config import POCKET_DECODING, POCKET_MODES, TrainingConfig
from promptlift.training.tokenizer import save_tokenizer, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import T5ForConditionalGeneration

STAGE = "training"
_log = logging.getLogger(__name__)


def train(
    pairs: Iterable[Pair],
    output: Path,
    config: TrainingConfig,
    *,
    inputs: dict[str, str] | None = None,
    report: Callable[[str], None] = _log.info,
) -> Path | None:
    """Train a model, or go on with a run that was stopped.

    The result depends on pairs and settings only, not on where the run was stopped: weights,
    optimizer, schedule, random state and the order of batches are taken from the last
    checkpoint that was written whole.

    Args:
        pairs: what to learn. Pairs of detailed prompts alone also teach extending.
        output: run folder; an existing one must have been begun with the same settings.
        config: see `TrainingConfig`.
        inputs: SHA-256 of each file the pairs came from, by path.
        report: takes lines of progress.

    Returns:
        The model folder, or None when a signal stopped the run: call again to go on.

    Raises:
        InputError: there are too few pairs.
        ConfigError: the run folder was begun with other settings or pairs.
        MissingExtraError: the extra `train` is not installed.
    """
    try:
        import torch
        from transformers import Seq2SeqTrainingArguments, set_seed
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise MissingExtraError("Training a model", "train") from error
    from promptlift.training.trainer import (
        Examples,
        Follow,
        PromptTrainer,
        bucket,
        collate,
        complete_checkpoints,
        write_log,
    )

    base = _base_card(config.model)
    modes = {**POCKET_MODES, **base.modes}
    learned = with_both_tasks(pairs)
    if len(learned) < 20:
        raise InputError(f"{len(learned)} pairs are too few to train on; give at least 20.")
    # Of the pairs themselves: the same files with other columns are other pairs.
    inputs = {**(inputs or {}), "pairs": _hash_of(learned)}
    run = Run.open(output)
    model_folder = output / "model"
    if run.stage(STAGE).get("state") == "done":
        run.check(STAGE, asdict(config), inputs)
        report(f"{output} is complete already")
        return model_folder
    run.begin(STAGE, asdict(config), inputs)
    transformers_logging.disable_progress_bar()
    # Resuming would warn of tied weights, which a checkpoint holds once.
    transformers_logging.set_verbosity_error()
    started = time.monotonic()

    set_seed(config.seed)
    tokenizer_folder = output / "tokenizer"
    model, encode = (
        _from_scratch(learned, config, tokenizer_folder)
        if config.model is None
        else _from_checkpoint(config.model, config.dropout_rate, tokenizer_folder)
    )
    validation, training = set_apart(
        learned, min(config.validation_pairs, len(learned) // 10), config.seed
    )
    follow = Follow(output, config, report)
    # Measured: on a processor 1.3 times as fast as scaled_dot_product_attention at such lengths.
    model.set_attn_implementation("sdpa" if _has_accelerator() else "eager")
    trainer = PromptTrainer(
        config=config,
        model=model,
        args=Seq2SeqTrainingArguments(
            output_dir=str(output / "checkpoints"),
            num_train_epochs=config.epochs,
            per_device_train_batch_size=config.batch_size,
            per_device_eval_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            learning_rate=config.learning_rate,
            warmup_steps=config.warmup_steps,
            weight_decay=config.weight_decay,
            lr_scheduler_type="cosine",
            bf16=use_bf16(config.precision),
            use_cpu=not _has_accelerator(),
            seed=config.seed,
            data_seed=config.seed,
            eval_strategy="epoch",
            save_strategy="no",
            logging_steps=50,
            disable_tqdm=True,
            report_to=[],
            dataloader_pin_memory=torch.cuda.is_available(),
        ),
        data_collator=collate(model.config.pad_token_id, bucket if config.compile else int),
        train_dataset=Examples(training, encode, modes, config),
        eval_dataset=Examples(validation, encode, modes, config),
        callbacks=[follow],
    )
    _keep_only(trainer, follow)
    checkpoints = complete_checkpoints(output)
    earlier = {number: signal.signal(number, follow.handle_signal) for number in _signals()}
    try:
        if checkpoints:
            report(f"going on from {checkpoints[-1].name}")
        trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if follow.stop_asked and trainer.state.global_step < trainer.state.max_steps:
        run.interrupt(STAGE)
        return None

    write_log(output / "log.csv", trainer.state.log_history)
    results = _results(trainer.state.log_history, learned, model)
    model.save_pretrained(str(model_folder))
    for file in tokenizer_folder.iterdir():
        (model_folder / file.name).write_bytes(file.read_bytes())
    ModelCard(
        name=config.name or base.name,
        modes={mode: modes[mode] for mode in sorted({pair.mode for pair in learned})},
        decoding=base.decoding,
        licence=config.licence,
        training={**results, "config": asdict(config)},
    ).write(model_folder)
    run.finish(STAGE, {**results, "seconds_of_last_part": round(time.monotonic() - started)})
    return model_folder


def set_apart(pairs: list[Pair], count: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """At most so many pairs for validation, and the others, none of which is related to those.

    Without that the loss on validation pairs falls while the model only learns its pairs by heart.
    The same seed sets the same pairs apart. Where every group of related pairs is larger than
    `count`, single pairs are drawn.
    """
    labels = related(pairs)
    sizes = Counter(labels)
    if min(sizes.values()) > count:
        labels = list(range(len(pairs)))
        sizes = Counter(labels)
    order = sorted(sizes)
    random.Random(seed).shuffle(order)
    held: set[int] = set()
    left = count
    for label in order:
        if sizes[label] <= left:
            held.add(label)
            left -= sizes[label]
    sides: tuple[list[Pair], list[Pair]] = [], []
    for label, pair in zip(labels, pairs, strict=True):
        sides[label not in held].append(pair)
    return sides


def with_both_tasks(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs; where all of them are to rewrite, the cuts of their targets, to extend, too."""
    learned = list(pairs)
    if all(pair.mode == "rewrite" for pair in learned):
        learned += [cut for pair in learned if (cut := cut_prompt(pair.target))]
    return learned


def use_bf16(precision: str) -> bool:
    """Whether to train in bf16 autocast: where asked for, or where the hardware has it."""
    import torch

    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # On processors without it bf16 is emulated, slower than fp32.
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


Encoder = Callable[[list[str]], list[list[int]]]


def _from_scratch(
    pairs: list[Pair], config: TrainingConfig, folder: Path
) -> "tuple[T5ForConditionalGeneration, Encoder]":
    from tokenizers import Tokenizer
    from transformers import T5Config, T5ForConditionalGeneration

    if not (folder / "tokenizer.json").exists():
        texts = (text for pair in pairs for text in (pair.source, pair.target))
        save_tokenizer(train_tokenizer(texts, config.vocab_size), folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = T5ForConditionalGeneration(
        T5Config(
            # A few pairs give fewer pieces than asked for; a multiple of 8 suits the hardware.
            vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8,
            d_model=config.d_model,
            d_kv=max(8, config.d_model // config.num_heads),
            d_ff=config.d_ff,
            num_layers=config.num_layers,
            num_decoder_layers=config.num_decoder_layers,
            num_heads=config.num_heads,
            dropout_rate=config.dropout_rate or 0.0,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )
    # T5's own start gives logits a spread of sqrt(d_model) and a first loss in the hundreds.
    model.lm_head.weight.data.normal_(0.0, config.d_model**-0.5)
    return model, lambda texts: [item.ids for item in tokenizer.encode_batch(texts)]


def _from_checkpoint(
    name: str, dropout_rate: float | None, folder: Path
) -> "tuple[T5ForConditionalGeneration, Encoder]":
    from transformers import AutoTokenizer

    from promptlift.improving.torch_engine import load_torch

    # In float32, and only with all of its weights.
    loaded = load_torch(name, dropout_rate=dropout_rate)
    AutoTokenizer.from_pretrained(name).save_pretrained(str(folder))
    return loaded.engine.model, lambda texts: [
        item.ids for item in loaded.tokenizer.encode_batch(texts)
    ]


def _base_card(model: str | None) -> ModelCard:
    """What the model says of itself that training begins with."""
    if model is None:
        return ModelCard(name="pocket", modes=POCKET_MODES, decoding=POCKET_DECODING)
    if Path(model).is_dir():
        return ModelCard.read(Path(model))
    return ModelCard(name=Path(model).name, modes={"rewrite": PAPER_PREFIX})


def _hash_of(pairs: list[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.mode}\0{pair.source}\0{pair.target}\n".encode())
    return digest.hexdigest()


def _keep_only(trainer: Any, follow: Any) -> None:
    """Take out the callbacks that print: progress is reported through `report`."""
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)


def _signals() -> list[signal.Signals]:
    import threading

    if threading.current_thread() is not threading.main_thread():
        return []  # only the main thread may set handlers
    return [signal.SIGINT, signal.SIGTERM]


def _results(
    history: list[dict[str, Any]], pairs: list[Pair], model: "torch.nn.Module"
) -> dict[str, Any]:
    validation = [row["eval_loss"] for row in history if "eval_loss" in row]
    losses = [float(row["loss"]) for row in history if "loss" in row]
    return {
        "pairs": {mode: sum(pair.mode == mode for pair in pairs) for mode in POCKET_MODES},
        "parameters": sum(item.numel() for item in model.parameters()),
        "steps": max((row["step"] for row in history), default=0),
        "validation_loss": validation[-1] if validation else None,
        "training_loss": losses[-1] if losses else None,
    }


def hash_inputs(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file, by file name."""
    return {os.path.basename(path): sha256_of_file(path) for path in paths}


def _has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()
