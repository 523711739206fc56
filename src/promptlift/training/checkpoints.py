"""Checkpoints of a run: which are whole, which are kept, and how weights come back.

`checkpoint-STEP` holds what `transformers` needs to go on and is whole once it holds `complete`.
The last two are kept for going on. Of epochs, the ones with the lowest loss on validation pairs
are kept as well; those that are not among the last two lose optimizer, schedule and random state,
two thirds of their size, and hold `weights` instead of `complete`.
"""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptlift.files import write_json, write_text

COMPLETE_FILE, WEIGHTS_FILE = "complete", "weights"
PROGRESS_FILE = "progress.json"
STATE_FILE = "trainer_state.json"  # as transformers names it
_TO_GO_ON = ("optimizer.pt", "scheduler.pt", "rng_state*.pth", PROGRESS_FILE)


def checkpoint(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies in a run folder."""
    return folder / "checkpoints" / f"checkpoint-{step}"


def step_of(path: Path) -> int:
    """The step of a checkpoint."""
    return int(path.name.split("-")[1])


def complete_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run folder that a run can go on from, oldest first."""
    return _with(folder, COMPLETE_FILE)


def evaluated_losses(history: list[dict[str, Any]]) -> dict[int, float]:
    """Loss on validation pairs by step."""
    return {row["step"]: row["eval_loss"] for row in history if "eval_loss" in row}


def best_checkpoint(folder: Path, losses: Mapping[int, float]) -> Path | None:
    """The kept checkpoint with the lowest finite validation loss, the earlier of equals."""
    found = _best([*complete_checkpoints(folder), *_with(folder, WEIGHTS_FILE)], losses, 1)
    return found[0] if found else None


def mark_complete(path: Path, progress: dict[str, Any]) -> None:
    """Say that all of a checkpoint is written, with what the log needs to go on."""
    write_json(path / PROGRESS_FILE, progress)
    write_text(path / COMPLETE_FILE, "")


def progress_of(path: Path) -> dict[str, Any]:
    """What `mark_complete` was given; empty for checkpoints that hold none."""
    try:
        found: dict[str, Any] = json.loads((path / PROGRESS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found


def history_of(path: Path) -> tuple[int, list[dict[str, Any]]]:
    """Step and log of a checkpoint."""
    state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
    return int(state["global_step"]), list(state["log_history"])


def prune(folder: Path, losses: Mapping[int, float], keep: int) -> None:
    """Remove checkpoints that are neither among the last two nor among the `keep` best."""
    whole = complete_checkpoints(folder)
    everything = [*whole, *_with(folder, WEIGHTS_FILE)]
    best = _best(everything, losses, keep)
    for path in everything:
        if path in whole[-2:]:
            continue
        if path not in best:
            shutil.rmtree(path)
        elif path in whole:
            (path / COMPLETE_FILE).rename(path / WEIGHTS_FILE)
            for pattern in _TO_GO_ON:
                for file in path.glob(pattern):
                    file.unlink()


def load_weights(model: Any, path: Path) -> None:
    """The weights of a checkpoint into a model of its shape; with LoRA those of the adapter."""
    from safetensors.torch import load_file

    if hasattr(model, "peft_config"):
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, load_file(path / "adapter_model.safetensors"))
        return
    # Weights that are shared are stored once, under one of their names. `tie_weights` must not
    # follow: transformers 5 would make FLAN-T5's own head out of the embedding.
    found = model.load_state_dict(load_file(path / "model.safetensors"), strict=False)
    assert not found.unexpected_keys, found.unexpected_keys


def _with(folder: Path, file: str) -> list[Path]:
    found = (folder / "checkpoints").glob(f"checkpoint-*/{file}")
    return sorted((path.parent for path in found), key=step_of)


def _best(paths: list[Path], losses: Mapping[int, float], count: int) -> list[Path]:
    # Of an epoch that diverged there is nothing to keep.
    known = [path for path in paths if math.isfinite(losses.get(step_of(path), math.nan))]
    return sorted(known, key=lambda path: (losses[step_of(path)], step_of(path)))[:count]
