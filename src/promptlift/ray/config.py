"""Settings of a job on a cluster."""

from dataclasses import dataclass

from promptlift.options import check, option


@dataclass(frozen=True, kw_only=True)
class RayConfig:
    """Where the work is done, and in which parts."""

    engine: str | None = option(
        None, "ray: on a Ray cluster.", choices=("ray",), shown="in this process"
    )
    ray_address: str | None = option(
        None,
        "The cluster, as ray://HOST:10001 or auto.",
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
