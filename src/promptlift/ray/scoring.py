"""Reading the pictures of a run on a cluster, before they are scored."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from promptlift.ray.cluster import cluster, each, gpus_there, room
from promptlift.ray.config import RayConfig
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import CACHE, parts_begun
from promptlift.scoring.pictures.run import score_part
from promptlift.shards import Shard


def read_pictures(
    run_folder: Path,
    config: PictureScoringConfig,
    on: RayConfig,
    *,
    threads: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Make the features of all pictures and prompts, a part an actor; `score_pictures` then finds
    them.

    The folder of the run must be at the same path on all machines.

    Args:
        run_folder: with `pictures/index.parquet`.
        config: as for `score_pictures`.
        on: the cluster.
        threads: processor threads of an actor; 1 where None.
        report: takes lines for the user.

    Raises:
        PromptliftError: as for `score_pictures`.
    """
    with cluster(on, report):
        needs: dict[str, Any] = {"cpus": threads or 1, "gpus": 0}
        if config.device != "cpu" and gpus_there():
            needs |= {"gpus": 1}
        # A job that goes on keeps its parts, however many actors there are now.
        begun = {count for _, count in parts_begun(run_folder / "scores" / CACHE)}
        parts = max(begun, default=on.actors or room(**needs))
        shards = [Shard(number, parts) for number in range(1, parts + 1)]
        settings = {
            "folder": run_folder.absolute(), "config": config, "threads": needs["cpus"]
        }  # fmt: skip
        for line in each(shards, _Read, settings, actors=on.actors, **needs):
            report(line)


class _Read:
    """What an actor does: the features of one part."""

    def __init__(self, folder: Path, config: PictureScoringConfig, threads: int) -> None:
        self.folder, self.config, self.threads = folder, config, threads

    def __call__(self, shard: Shard) -> str:
        lines: list[str] = []
        score_part(self.folder, self.config, shard, threads=self.threads, report=lines.append)
        return lines[-1]
