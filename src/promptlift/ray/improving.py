"""Improving Parquet files on a cluster, part by part."""

import json
import re
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError, ModelError, PromptliftError
from promptlift.files import LockedError, locked
from promptlift.improving.journal import Written, check_same, header_of
from promptlift.pairs.columns import choose_prompt_column
from promptlift.ray.batches import ImproveBatch, renamed, with_ids
from promptlift.ray.cluster import cluster, each
from promptlift.ray.config import RayConfig
from promptlift.ray.parts import File, Folder, Part, cut, files_of

MANIFEST = "_promptlift.json"  # readers of folders leave out what begins with an underscore
_INDEX = "index"
_OURS = re.compile(rf"\.?(part-\d+\.parquet|{re.escape(MANIFEST)})(\.[0-9a-f]{{32}})?")
_RESULTS = "results"


def improve_parquet(
    inputs: Sequence[str],
    output: str,
    options: Mapping[str, Any],
    config: RayConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Written:
    """Improve the prompts of Parquet files into a folder of Parquet files.

    A part of the input is done when its file is there, so a job that was stopped goes on with the
    parts that are missing. Rows have the columns that `ImproveBatch` gives, and before them
    `index`, the row of the input from 0.

    Args:
        inputs: addresses of files, folders, or names with * and ?.
        output: address of the folder.
        options: parameters of `ImproveBatch`; a `seed` of None takes that of the job that goes on,
            or draws one.
        config: the cluster, and the parts.
        resume: go on with what is there.
        overwrite: begin anew.
        report: takes lines for the user.
        progress: takes the number of rows that are done, and of all.

    Raises:
        ConfigError: there is a job already, or one with other options.
        InputError: the input cannot be read.
        PromptliftError: the cluster, or a file system, failed.
    """
    files = list(files_of(inputs))
    column = _column(files, options.get("column"), config.id_column)
    parts = cut(files, config.part_rows)
    if not parts:
        raise InputError(f"{', '.join(inputs)} holds no prompt")
    folder = Folder(output)
    with _alone(folder):
        seed = options.get("seed")
        if seed is None:
            seed = _read(folder).get("seed") if resume else None
        options = {
            **options,
            "seed": secrets.randbits(32) if seed is None else seed,
            "column": column,
            "id_column": config.id_column,
        }
        header = _header(options, files, config)
        there = _begin(folder, header, resume=resume, overwrite=overwrite)
        todo = [part for part in parts if part.name not in there]
        total = sum(part.rows for part in parts)
        done = total - sum(part.rows for part in todo)
        progress(done, total)
        if todo:
            settings = {"output": folder.address, "options": options, "model_id": header["model"]}
            cpus = options.get("threads") or 1
            with cluster(config, report):
                for rows in each(todo, _Improve, settings, actors=config.actors, cpus=cpus):
                    done += rows
                    progress(done, total)
        return _finish(folder, header, parts)


class _Improve:
    """What an actor does: a part is read, improved, and written."""

    def __init__(self, output: str, options: Mapping[str, Any], model_id: str) -> None:
        self.folder = Folder(output)
        self.improve = ImproveBatch(**options)
        own = self.improve.session.model.model_id
        if own != model_id:
            raise ModelError(f"{socket.gethostname()} has the model {own}, the job {model_id}")

    def __call__(self, part: Part) -> int:
        import pyarrow as pa

        table = with_ids(part.read(), self.improve.id_column)  # before it has an index, too
        table = table.rename_columns(renamed(table.column_names, {_INDEX}))
        places = pa.array(range(part.index, part.index + part.rows), pa.int64())
        self.folder.write_table(part.name, self.improve(table.add_column(0, _INDEX, places)))
        return part.rows


def _column(files: Sequence[File], asked: str | None, id_column: str | None) -> str:
    """The column of the prompts, which is the same in all files."""
    found = {
        choose_prompt_column(Path(file.path), file.columns, asked): file.path for file in files
    }
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise InputError(
            f"prompts are column {one!r} in {first} and {other!r} in {second}; name it: --column"
        )
    [column] = found
    if _INDEX in (column, id_column):
        raise ConfigError(
            f"results have a column {_INDEX!r} of their own; rename that of the input"
        )
    for file in files:
        if id_column is not None and id_column not in file.columns:
            raise InputError(
                f"{file.path} has no column {id_column!r}; it has: {', '.join(file.columns)}"
            )
    return column


def _header(options: Mapping[str, Any], files: Sequence[File], config: RayConfig) -> dict[str, Any]:
    """All that decides the results and the parts."""
    batch = ImproveBatch(**options)
    source = {
        "files": [[Path(file.path).name, file.rows, file.mark] for file in files],
        "column": batch.column,
        "mode": batch.mode,
        "id_column": config.id_column,
        "part_rows": config.part_rows,
    }
    try:
        return header_of(batch.session, source, **batch.asked)
    finally:
        batch.session.model.close()


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """Hold the folder, where its file system has locks."""
    if folder.system.type_name != "local":
        yield
        return
    try:
        with locked(Path(folder.path) / ".promptlift.lock", ""):
            yield
    except LockedError as error:
        raise ConfigError(f"{folder.address} is being written by another process") from error


def _begin(folder: Folder, header: Mapping[str, Any], *, resume: bool, overwrite: bool) -> set[str]:
    """Make the folder ready; the names of the parts that are done."""
    ours = {name for name in folder.names() if _OURS.fullmatch(name)}
    left = {name for name in ours if name.startswith(".")}  # by a kill
    ours -= left
    earlier = _read(folder)
    if overwrite:
        # The manifest last: parts without one are those of nobody.
        folder.remove(sorted(ours, reverse=True))
        ours = set()
    elif MANIFEST in ours and resume:
        check_same(f"{folder.address}/{MANIFEST}", earlier, header)
    elif MANIFEST in ours:
        state = "a finished" if _RESULTS in earlier else "an unfinished"
        raise ConfigError(
            f"{folder.address} holds {state} job. "
            "Pass --resume to go on, or --overwrite to begin anew."
        )
    elif ours:
        raise ConfigError(
            f"{folder.address} has parts without {MANIFEST}, which says of which job they are. "
            "Pass --overwrite to begin anew, or name another folder."
        )
    folder.remove(sorted(left))
    folder.write(MANIFEST, _json(header))
    return ours


def _finish(folder: Folder, header: Mapping[str, Any], parts: Sequence[Part]) -> Written:
    """Count the rows of all parts, and note that the job is done."""
    import pyarrow.dataset as ds

    names = [part.name for part in parts]
    if missing := sorted({*names} - folder.names()):
        raise PromptliftError(f"{folder.address} lacks {len(missing)} parts, as {missing[0]}")
    found = ds.dataset([f"{folder.path}/{name}" for name in names], filesystem=folder.system)
    rows, failed = found.count_rows(), found.count_rows(filter=ds.field("error").is_valid())
    total = sum(part.rows for part in parts)
    expected = (total - failed) * header["n"] + failed
    if rows != expected:
        raise PromptliftError(f"{folder.address} has {rows} rows where {expected} should be")
    folder.write(MANIFEST, _json({**header, _RESULTS: {"rows": rows, "failed": failed}}))
    return Written(total, failed)


def _read(folder: Folder) -> dict[str, Any]:
    try:
        found = json.loads(folder.read(MANIFEST) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
