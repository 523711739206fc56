"""Our settings as the arguments of transformers' Trainer."""

from pathlib import Path
from typing import Any

from promptlift.errors import MissingExtraError
from promptlift.training.config import TrainingConfig
from promptlift.training.distributed import launched
from promptlift.training.models import has_accelerator, use_bf16

_DAY_S = 24 * 3600  # the others wait while the main process scores, or tries


def trainer_arguments(config: TrainingConfig, output: Path) -> Any:
    """The `Seq2SeqTrainingArguments` of a run.

    Args:
        config: settings of the run.
        output: run folder; checkpoints go into `checkpoints/`.

    Raises:
        MissingExtraError: the extra `train` is not installed.
    """
    try:
        import torch
        from transformers import Seq2SeqTrainingArguments
        from transformers.utils import logging as transformers_logging
    except ImportError as error:
        raise MissingExtraError("Training a model", "train") from error

    transformers_logging.disable_progress_bar()
    # Resuming would warn of tied weights, which a checkpoint holds once.
    transformers_logging.set_verbosity_error()
    accelerator = has_accelerator()
    return Seq2SeqTrainingArguments(
        output_dir=str(output / "checkpoints"),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        per_device_eval_batch_size=config.eval_batch_size or config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        lr_scheduler_type=config.lr_scheduler_type,
        bf16=use_bf16(config.precision),
        use_cpu=not accelerator,
        ddp_backend="gloo" if launched().count > 1 and not accelerator else None,
        ddp_find_unused_parameters=False,
        ddp_timeout=_DAY_S,
        seed=config.seed,
        data_seed=config.seed,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=config.logging_steps,
        remove_unused_columns=False,  # rows hold what batches are made of, under our own names
        disable_tqdm=True,
        log_level="error",
        log_level_replica="error",
        report_to=[],
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def take_one_gpu(arguments: Any) -> int:
    """Keep transformers from spreading a single process over all GPUs; how many there are.

    It would wrap the model in DataParallel and multiply the batch without a word.
    """
    gpus = int(arguments.n_gpu)  # looks for the device first, which sets it
    if gpus > 1:
        arguments._n_gpu = 1
    return gpus
