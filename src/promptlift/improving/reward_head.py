"""The reward head of a Llama: how well what it wrote last belongs to its prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import ModelError
from promptlift.files import atomic_path

REWARD_FILE = "reward_head.npz"


@dataclass(frozen=True)
class Fluency:
    """How much the probability of a phrase's tokens counts in its reward.

    Attributes:
        mean: factor of the mean of their natural-log probabilities, as the model has them without
            temperature and rules.
        least: factor of the least of these.
    """

    mean: float = 0.0
    least: float = 0.0

    def of(self, log_probabilities: Sequence[float]) -> float:
        """What a phrase of these log-probabilities gets beside what its last state says."""
        count = len(log_probabilities)
        return self.mean * sum(log_probabilities) / count + self.least * min(log_probabilities)


@dataclass(frozen=True)
class RewardHead:
    """A linear map from the hidden state of a phrase's last token, learned from judgements.

    Attributes:
        layer: the hidden state that this layer reads, from 0.
        weight: float32 [width].
        bias: added to the product.
        fluency: what is added for the phrase's probability.
    """

    layer: int
    weight: npt.NDArray[np.float32]
    bias: float
    fluency: Fluency = Fluency()

    @classmethod
    def read(cls, folder: Path) -> "RewardHead | None":
        """That of a trained folder; None where it has none.

        Raises:
            ModelError: the file is damaged.
        """
        path = folder / REWARD_FILE
        if not path.is_file():
            return None
        try:
            with np.load(path) as found:
                weight = np.asarray(found["weight"], dtype=np.float32)
                fluency = Fluency(*map(float, found.get("fluency", ())))
                return cls(int(found["layer"]), weight, float(found["bias"]), fluency)
        except (OSError, ValueError, TypeError, KeyError, EOFError) as error:
            raise ModelError(f"{path} is no reward head: {error}. Learn it again.") from error

    def write(self, folder: Path) -> None:
        """Write it beside a trained model."""
        with atomic_path(folder / REWARD_FILE) as path, path.open("wb") as file:
            np.savez(
                file,
                layer=self.layer,
                weight=self.weight,
                bias=self.bias,
                fluency=[self.fluency.mean, self.fluency.least],
            )


def attach(model: Any, head: RewardHead) -> None:
    """Have a PyTorch model carry its reward head.

    Raises:
        ModelError: the head is of another kind or size of model.
    """
    config = model.config
    if (
        config.model_type != "llama"
        or head.weight.shape != (config.hidden_size,)
        or not 0 <= head.layer < config.num_hidden_layers
    ):
        raise ModelError(f"{REWARD_FILE} belongs to another model. Remove it, or learn it again.")
    model.reward_head = head


def reward_head_of(model: Any) -> RewardHead | None:
    """That of a PyTorch model; None where it has none."""
    return getattr(model, "reward_head", None)
