"""Settings of a job on a cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from promptlift.errors import ConfigError, MissingExtraError
from promptlift.options import check, flag, option


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Where the work is done, and in which parts."""

    engine: str | None = option(
        None, "ray: on a Ray cluster.", choices=("ray",), shown="in this process"
    )
    ray_address: str | None = option(
        None,
        "The cluster, as HOST:6379; auto for the one that this machine belongs to.",
        shown="RAY_ADDRESS, or one that is started on this machine",
    )
    actors: int | None = option(
        None, "Processes that work at a time.", least=1, shown="as many as the cluster has room for"
    )
    part_rows: int = option(1000, "Rows of a part, which is done or not done.", least=1)
    id_column: str | None = option(
        None, "Column that names the rows.", shown="id if there is one, else a hash of the row"
    )

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def asked(cls, given: Mapping[str, Any]) -> "RayConfig | None":
        """The settings that were typed; None where no cluster is asked for.

        Raises:
            ConfigError: one cannot be used, or is of no use without a cluster.
            MissingExtraError: Ray is not installed.
        """
        config = cls(**given)
        if config.engine is None and given:
            raise ConfigError(f"{', '.join(map(flag, given))} needs --engine ray")
        if config.engine is None:
            return None
        if find_spec("ray") is None or find_spec("pyarrow") is None:
            raise MissingExtraError("Working on a cluster", "ray")
        return config
