"""How long a tuning takes and what memory it needs, measured on a few prompts."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

from promptlift.illustrating.records import Request
from promptlift.improving.improver import Improver
from promptlift.picking.picks import pair_of
from promptlift.records import Pair
from promptlift.training.config import TrainingConfig
from promptlift.training.data import FEWEST
from promptlift.training.memory import in_gb
from promptlift.training.preflight import Preflight
from promptlift.training.train import measure_run
from promptlift.tuning.config import BEST_OF_N, TuneConfig
from promptlift.tuning.lessons import with_old
from promptlift.tuning.tune import Material, check_enough

_TRIED = 4  # prompts that are improved and drawn


def preflight(
    material: Material,
    config: TuneConfig,
    training: TrainingConfig,
    *,
    threads: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Lines for people; the reward's own time is not counted. It leaves no files.

    Args:
        material, config, training: as `tune` takes them.
        threads: of the processor.
        report: takes lines of progress.
    """
    check_enough(material, config)
    config = replace(
        config, prompts=min(config.prompts, max(10, len(material.prompts) - config.held_out))
    )
    prompts = material.prompts[:_TRIED]
    improver = Improver.load(material.model, threads=threads)
    options: dict[str, Any] = {
        **config.options(config.n),
        "mode": config.mode,
        "seed": config.tune_seed,
    }
    improver.improve(prompts[:1], **options)  # the first is slower
    started = time.monotonic()
    improved = improver.improve(prompts, n=config.n, **options)
    a_result = (time.monotonic() - started) / (len(prompts) * config.n)

    texts = [one.prompt for several in improved for one in several]
    size = material.illustrator.backend.batch_size or 1
    drawn = [
        Request(prompt=text, seed=seed) for seed, text in enumerate(islice(cycle(texts), 3 * size))
    ]
    list(material.illustrator.draw_all(drawn[:size]))
    started = time.monotonic()
    list(material.illustrator.draw_all(drawn[size:]))
    a_picture = (time.monotonic() - started) / (2 * size)
    peak = _peak_bytes()

    taught = [
        pair
        for several in improved
        for better, worse in zip(several, reversed(several), strict=True)
        if (pair := pair_of(better, None if config.learn == BEST_OF_N else worse)) is not None
    ] or [Pair(source=prompts[0], target=texts[0], mode="extend")]
    a_prompt = 1 if config.learn == BEST_OF_N else config.n // 2
    # A round learns from all before it; this is one in the middle.
    count = max(FEWEST, config.prompts * a_prompt * (config.rounds + 1) // 2)
    pairs = with_old(list(islice(cycle(taught), count)), material.old, config.old_share, "0")
    report("measuring the training of a round")
    learned = measure_run(
        pairs, replace(training, model=material.model), validation=taught, threads=threads,
        report=lambda line: None,
    )  # fmt: skip
    return _lines(material, config, a_result, a_picture, peak, learned)


def _lines(
    material: Material, config: TuneConfig, a_result: float, a_picture: float, peak: int | None,
    learned: Preflight,
) -> list[str]:  # fmt: skip
    seeds = len(material.illustrator.seeds)
    results = config.prompts * config.n + config.held_out
    pictures = (config.prompts * (config.n + 1) + config.held_out) * seeds
    parts = {
        f"{results} results at {a_result:.2f} s": results * a_result,
        f"{pictures} pictures at {a_picture:.2f} s": pictures * a_picture,
        f"{learned.updates} updates at {learned.seconds_per_update:.2f} s": learned.hours * 3600,
    }
    a_round = sum(parts.values())
    first = config.held_out * (a_result + 2 * seeds * a_picture)
    told = "; ".join(f"{name}, {seconds / 60:.1f} min" for name, seconds in parts.items())
    lines = [
        f"preflight: a round takes {a_round / 60:.1f} min: {told}",
        f"preflight: {config.rounds} rounds and measuring the model as it comes, "
        f"{(config.rounds * a_round + first) / 3600:.1f} h; the reward's own time is not counted",
        *learned.lines()[-1:],
    ]
    return [*lines, f"preflight: memory while drawing {in_gb(peak)}"] if peak else lines


def _peak_bytes() -> int | None:
    """The most that PyTorch held on the GPU so far; None without one."""
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
