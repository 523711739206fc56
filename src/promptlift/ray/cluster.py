"""A Ray cluster, and work on it: a call for each item, by actors that load their model once."""

import logging
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from promptlift.errors import (
    ConfigError,
    InputError,
    MissingExtraError,
    ModelError,
    PromptliftError,
    first_line,
)
from promptlift.ray.config import RayConfig

_ITEM, _RESULT = "item", "result"
_ANSWER_S = 10.0
_KINDS = (ConfigError, InputError, ModelError)


@contextmanager
def cluster(config: RayConfig, report: Callable[[str], None]) -> Iterator[None]:
    """Connect to the cluster, or start one of this machine for a while.

    Raises:
        MissingExtraError: Ray is not installed.
        PromptliftError: the cluster does not answer.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("Working on a cluster", "ray") from error
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    # Ray warns of each actor that may be started anew.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    if outer := ray.is_initialized():
        report("on the Ray cluster that this process is connected to")
    else:
        # "local", since without an address Ray looks for one that an earlier cluster left.
        address = config.ray_address or os.environ.get("RAY_ADDRESS") or "local"
        # What an actor prints would come between the lines of progress.
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        try:
            _check_answers(address)
            with _silent():
                ray.init(address, include_dashboard=False if address == "local" else None, **quiet)
        except (OSError, ValueError, RuntimeError) as error:
            place = "no Ray could be started on this machine"
            if address != "local":
                place = f"no Ray cluster at {address}"
            raise PromptliftError(f"{place}: {first_line(error)}") from error
    try:
        report(f"Ray {ray.__version__} with {_count('CPU'):g} processor cores")
        yield
    finally:
        if not outer:
            ray.shutdown()


def each(
    items: Sequence[Any],
    worker: type,
    settings: Mapping[str, Any],
    *,
    actors: int | None,
    cpus: int,
    gpus: float = 0,
) -> Iterator[Any]:
    """What `worker(**settings)(item)` gives for each item, as they come.

    An actor that dies is started anew, and its item done again.

    Args:
        items: that can be pickled.
        worker: a class; each actor makes one.
        settings: of the worker.
        actors: how many; where None as many as there is room for, more when machines come.
        cpus, gpus: what an actor needs.

    Raises:
        ConfigError: no machine has as much as an actor needs.
        PromptliftError: what a worker raised.
    """
    import ray
    from ray.exceptions import RayError

    largest = max(node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"])
    if cpus > largest:
        raise ConfigError(
            f"an actor needs {cpus} processor cores, and the largest machine of the cluster has "
            f"{largest:g}. Give fewer --threads"
        )
    count = min(actors or room(cpus=cpus, gpus=gpus), len(items))
    pool = ray.data.ActorPoolStrategy(min_size=count, max_size=count if actors else None)
    found = ray.data.from_items(
        [{_ITEM: pickle.dumps(item)} for item in items], override_num_blocks=len(items)
    ).map_batches(
        _Actor,
        fn_constructor_kwargs={"worker": worker, "settings": dict(settings)},
        batch_size=1,
        num_cpus=cpus,
        num_gpus=gpus or None,
        compute=pool,
    )
    try:
        for row in found.iter_rows():
            result = pickle.loads(row[_RESULT])
            if isinstance(result, PromptliftError):
                raise result
            yield result
    except RayError as error:
        # Of what a worker's Python raised, the last line says what it was.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise PromptliftError(f"the cluster gave up: {lines[-1][:300]}") from error


class _Actor:
    """A worker as Ray Data calls it: Arrow, which carries rows, would change what is in them."""

    def __init__(self, worker: type, settings: Mapping[str, Any]) -> None:
        self._made: Any = None
        self._make = partial(worker, **settings)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[bytes]]:
        return {_RESULT: [pickle.dumps(self._done(pickle.loads(item))) for item in batch[_ITEM]]}

    def _done(self, item: Any) -> Any:
        """What the worker gives, or the error that it expects: Ray would make text of it."""
        try:
            if self._made is None:
                self._made = self._make()
            return self._made(item)
        except PromptliftError as error:
            kind = type(error) if type(error) in _KINDS else PromptliftError
            return kind(str(error))
        except OSError as error:
            place = error.filename2 or error.filename or socket.gethostname()
            return PromptliftError(f"{place}: {error.strerror or error}")


def room(*, cpus: int, gpus: float = 0) -> int:
    """How many actors the cluster has room for, at least one."""
    found = [_count("CPU") / cpus, *([_count("GPU") / gpus] if gpus else [])]
    return max(1, int(min(found)))


def gpus_there() -> bool:
    """Whether a machine of the cluster has a GPU."""
    return _count("GPU") >= 1


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what a library writes beside Python's streams from the terminal."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _check_answers(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray itself tries for minutes."""
    host, mark, port = address.rpartition("://")[2].rpartition(":")
    if mark and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()


def _count(resource: str) -> float:
    import ray

    found: dict[str, float] = ray.cluster_resources()
    return found.get(resource, 0.0)
