"""The CLIP of the pocket world, by which its pictures are scored: a CLIPModel, small."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor

from benchmarks.world.captions import caption
from benchmarks.world.learning import Schedule, learn
from benchmarks.world.tokens import END, MAX_LENGTH, START, world_tokenizer
from promptlift.world.scenes import SIZE, Scene

SCHEDULE = Schedule(steps=1600, batch_size=128, learning_rate=1e-3, seed=2)
_MEAN, _STD = 0.5, 0.25  # of levels from 0 to 1


def new_clip(seed: int) -> CLIPModel:
    """A CLIP with random weights, for pictures of 64 by 64 pixels."""
    torch.manual_seed(seed)
    vocab = world_tokenizer().get_vocab()
    return CLIPModel(
        CLIPConfig(
            projection_dim=128,
            text_config={
                "vocab_size": len(vocab),
                "hidden_size": 128,
                "intermediate_size": 256,
                "num_attention_heads": 4,
                "num_hidden_layers": 3,
                "max_position_embeddings": MAX_LENGTH,
                "bos_token_id": vocab[START],
                "eos_token_id": vocab[END],
                "pad_token_id": vocab[END],
                "projection_dim": 128,
            },
            vision_config={
                "image_size": SIZE,
                "patch_size": 8,
                "hidden_size": 128,
                "intermediate_size": 256,
                "num_attention_heads": 4,
                "num_hidden_layers": 4,
                "projection_dim": 128,
            },
        )
    )


def train_clip(
    pictures: npt.NDArray[np.uint8],
    scenes: Sequence[Scene],
    checkpoint: Path,
    report: Callable[[str], None],
    schedule: Schedule,
    start: Path | None = None,
) -> CLIPModel:
    """Train on pictures (n, 64, 64, 3) and captions of their scenes, drawn anew each time.

    The loss is CLIP's: each caption is to find its picture in the batch, and each picture its
    caption (Radford et al., "Learning Transferable Visual Models From Natural Language
    Supervision", 2021).

    Args:
        start: CLIP of the world that now learns the captions of the control world.
    """
    clip = new_clip(schedule.seed) if start is None else CLIPModel.from_pretrained(start).float()
    tokenizer, control = world_tokenizer(), start is not None

    def loss_of(rng: np.random.Generator) -> Tensor:
        at = np.sort(rng.integers(0, len(pictures), schedule.batch_size))
        texts = [caption(scenes[i], rng, control=control) for i in at]
        tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        levels = torch.from_numpy(pictures[at]).permute(0, 3, 1, 2).float() / 255
        found = clip(**tokens, pixel_values=(levels - _MEAN) / _STD)
        logits = found.logits_per_text.float()
        right = torch.arange(len(at))
        there = functional.cross_entropy(logits, right)
        return (there + functional.cross_entropy(logits.T, right)) / 2

    learn(clip, loss_of, schedule, checkpoint, report)
    return clip


def save_clip(clip: CLIPModel, folder: Path) -> None:
    """Save as a folder that transformers loads, in half precision."""
    clip.half().save_pretrained(folder)
    CLIPProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": SIZE},
            crop_size={"height": SIZE, "width": SIZE},
            image_mean=[_MEAN] * 3,
            image_std=[_STD] * 3,
        ),
        tokenizer=world_tokenizer(),
    ).save_pretrained(folder)
