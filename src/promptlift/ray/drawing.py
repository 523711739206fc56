"""Drawing the pictures of a run on a cluster: a process a GPU, one folder, one index."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.job import STAGE, IllustrationJob
from promptlift.ray.cluster import cluster, each, gpus_there
from promptlift.ray.config import RayConfig
from promptlift.runs import Run

_AT_A_TIME = 8  # prompts that an actor takes


def draw(
    run: Run,
    improvements: Path,
    config: IllustrationConfig,
    chosen: Collection[int],
    on: RayConfig,
    *,
    threads: int | None = None,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Draw what is missing of a run's pictures, and write their index.

    The folder of the run must be at the same path on all machines.

    Args:
        run: that this process holds.
        improvements: the file.
        config: the picture model and its settings.
        chosen: positions of the prompts to draw.
        on: the cluster.
        threads: processor threads of an actor without a GPU; those of the run, or 1, where None.
        report: takes lines for the user.
        progress: takes the number of prompts that are drawn, and of all.

    Raises:
        PromptliftError: as for `IllustrationJob`.
    """
    listed = sorted(chosen)
    items = [listed[start : start + _AT_A_TIME] for start in range(0, len(listed), _AT_A_TIME)]
    threads = threads or run.threads.get(STAGE) or 1
    settings = {
        "folder": run.folder.absolute(),
        "improvements": improvements.absolute(),
        "config": config,
        "threads": threads,
    }
    with cluster(on, report):
        needs: dict[str, Any] = {"actors": on.actors, "cpus": threads, "gpus": 0}
        if config.device != "cpu" and gpus_there():
            needs |= {"cpus": 1, "gpus": 1}
        done = 0
        for prompts, lines in each(items, _Draw, settings, **needs):
            done += prompts
            progress(done, len(listed))
            for line in lines:
                report(line)
        # On the cluster too: this machine may have no GPU, and pictures of a CPU are others.
        for _, lines in each(
            [None], _Draw, {**settings, "all_of": listed}, **{**needs, "actors": 1}
        ):
            for line in lines:
                report(line)


class _Draw:
    """What an actor does: it draws some prompts, or makes the index of all."""

    def __init__(
        self,
        folder: Path,
        improvements: Path,
        config: IllustrationConfig,
        threads: int,
        all_of: Collection[int] | None = None,
    ) -> None:
        import torch

        torch.set_num_threads(threads)
        run = Run.open(folder)
        run.threads[STAGE] = threads
        self.lines: list[str] = []
        self.job = IllustrationJob(
            run, improvements, Illustrator.of(config), chosen=all_of, held=True,
            report=self.lines.append,
        )  # fmt: skip

    def __call__(self, chosen: Collection[int] | None) -> tuple[int, list[str]]:
        if chosen is None:
            self.lines += self.job.outcome(self.job.draw())
        else:
            self.job.draw_part(chosen)
        said, self.lines[:] = [*self.lines], []
        return len(chosen or ()), said
