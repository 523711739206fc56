"""What the paper's experiment takes of a GPU, calculated and not measured.

The figures and how they were calculated are in docs/reproduce.md. Other models have none.
"""

from collections.abc import Sequence

from promptlift.experimenting.config import ExperimentConfig
from promptlift.training.config import PAPER_DATA

# By model on the paper's pairs: hours an epoch, minutes an evaluation (assumed and most) of each
# decoding, GB with the longest pairs.
_TRAINING = {
    "google/flan-t5-base": (0.26, {"paper": (3.6, 17.8), "paper-exact": (0.3, 0.3)}, 18),
    "google-t5/t5-base": (0.23, {"paper": (3.1, 15.5), "paper-exact": (0.3, 0.3)}, 17),
}
# By preset: seconds a picture by GPU, and GB.
_DRAWING = {
    "paper": ({"RTX 3090": 4.4, "RTX 4090": 1.9, "A100": 1.0}, 13),
    "sdxl": ({"RTX 3090": 17.3, "RTX 4090": 7.4, "A100": 3.9, "H100": 1.2}, 16),
}
_PARAMETERS = {"google/flan-t5-base": 248e6, "google-t5/t5-base": 223e6}
_WEIGHT, _WITH_MOMENTS = 4, 12  # bytes a parameter, alone and with AdamW's two moments
_KEPT = 3  # checkpoints to go on from: the last two, and the one that is being written


def estimates_of(config: ExperimentConfig, downloads_gb: Sequence[float | None]) -> list[str]:
    """Time, memory and disk of an experiment, a line each; none where nothing was calculated.

    Args:
        config: of the experiment.
        downloads_gb: sizes of what it takes from the Hub, None where one is not known.
    """
    train, draw = config.train, config.illustrate
    hours, memory = [], []
    if train.model in _TRAINING and config.pairs.data == PAPER_DATA:
        epoch, evaluations, gigabytes = _TRAINING[train.model]
        said = f"training {train.epochs * epoch:.1f} h"
        if train.evaluation_decoding in evaluations:
            assumed, most = (
                train.epochs * one / 60 for one in evaluations[train.evaluation_decoding]
            )
            said += f" and its evaluations {assumed:.1f} h, at most {most:.1f} h,"
        hours.append(f"{said} on RTX 3090 and 4090, A100 and H100")
        memory.append(f"training {gigabytes} GB at its longest pairs")
    if draw.model in _DRAWING and not draw.is_server and config.improve.sample:
        seconds, gigabytes = _DRAWING[draw.model]
        pictures = config.improve.sample * draw.seeds * (1 + config.improve.n)
        each = ", ".join(f"{one * pictures / 60:.0f} min on {gpu}" for gpu, one in seconds.items())
        hours.append(f"drawing {pictures} pictures {each}")
        memory.append(f"drawing {gigabytes} GB")
    if not hours:
        return []
    lines = [f"time, calculated and not measured: {'; '.join(hours)}",
             f"memory of the GPU, calculated and not measured: {', '.join(memory)}"]  # fmt: skip
    if train.model in _PARAMETERS and None not in downloads_gb:
        kept = _KEPT * _WITH_MOMENTS + (train.keep_checkpoints + 1) * _WEIGHT
        run = _PARAMETERS[train.model] * kept / 1e9
        downloads = sum(filter(None, downloads_gb))
        lines.append(
            f"disk, calculated and not measured: {downloads:.0f} GB of models, "
            f"{run:.0f} GB for the run folder with its checkpoints"
        )
    return lines
