"""`ImproveBatch`: a batch of rows with prompts in, the same rows with improvements out."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import ConfigError, InputError
from promptlift.improving.batch import Item, improve_items
from promptlift.improving.improver import BATCH_SIZE, Improver
from promptlift.improving.journal import COLUMNS
from promptlift.pairs.columns import choose_prompt_column
from promptlift.pairs.load import prompt_of
from promptlift.tables import Fault, parquet_rows

if TYPE_CHECKING:
    import pyarrow

ID = "id"
# `index` and `line` are places in one file.
RESULTS = tuple(name for name in COLUMNS if name not in ("index", "line"))
_NESTED = {"dropped", "checks", "settings"}  # as JSON text: all parts have the same columns


class ImproveBatch:
    """Improves the prompts of a batch, for `Dataset.map_batches` of Ray Data.

    An actor loads the model once. A result depends on prompt, seed, variant and options alone, and
    neither on the batch nor on the actor.

    Args:
        seed: of all results.
        column: of the prompts, found as `improve` does where None.
        id_column: column that names the rows; where None, the column `id` if there is one, else a
            new column `id` with a hash of the row.
        n: number of variants of each prompt: rows that follow each other.
        mode: as for `Improver.improve_stream`.
        preset: as for `Improver.improve_stream`.
        negative: as for `Improver.improve_stream`.
        model: as for `Improver.load`.
        threads: processor threads of the actor; give `map_batches` as many `num_cpus`.
        batch_size: results that are decoded together; it does not change them.
        llm: options of a language model, by their names in `LLMConfig`.
        settings: decoding and constraints, as for `Improver.improve_stream`.

    Raises:
        ConfigError: an option cannot be used.
        ModelError: the model cannot be loaded.
    """

    def __init__(
        self,
        *,
        seed: int,
        column: str | None = None,
        id_column: str | None = None,
        n: int = 1,
        mode: str | None = None,
        preset: str | None = None,
        negative: str | None = None,
        model: str | Path | None = None,
        threads: int | None = 1,
        batch_size: int = BATCH_SIZE,
        llm: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        improver = Improver.load(model, threads=threads, **(llm or {}))
        self.session = improver.session(preset=preset, batch_size=batch_size, **settings)
        self.mode = improver.card.mode(mode)
        self.column, self.id_column = column, id_column
        self.asked: dict[str, Any] = {"n": n, "seed": seed, "negative": negative}

    def __call__(self, batch: Any) -> "pyarrow.Table":
        """The rows of a batch with the columns of `improve --output` beside their own.

        Columns of the input that have such a name are called `input_NAME`. `dropped`, `checks` and
        `settings` are JSON text. A row that cannot be improved has an `error`.

        Args:
            batch: a PyArrow table, a pandas frame, or NumPy arrays by column.

        Raises:
            InputError: the batch has no such column.
        """
        import pyarrow as pa

        table = _table(batch)
        column = choose_prompt_column(Path("the batch.parquet"), table.column_names, self.column)
        kept = with_ids(table, self.id_column)
        kept = kept.rename_columns(renamed(kept.column_names, RESULTS, spared=self.id_column))
        places: list[int] = []
        rows: list[dict[str, Any]] = []
        items = self._items(table.select([column]), column)
        for objects in improve_items(self.session, items, **self.asked):
            places += [objects[0]["index"]] * len(objects)
            rows += map(_flat, objects)
        results = pa.Table.from_pylist(rows, schema=schema(self.asked["seed"]))
        kept = kept.take(pa.array(places, pa.int64()))
        for name in results.column_names:
            kept = kept.append_column(name, results[name])
        return kept

    def _items(self, table: "pyarrow.Table", column: str) -> Iterator[Item]:
        for place, row in enumerate(_rows(table)):
            found = row if isinstance(row, Fault) else prompt_of(row, column)
            if isinstance(found, Fault):
                yield Item(index=place, prompt=None, error=found.message)
            else:
                yield Item(index=place, prompt=str(found.value), mode=self.mode)


def with_ids(table: "pyarrow.Table", id_column: str | None) -> "pyarrow.Table":
    """A table whose rows have an id.

    Raises:
        InputError: it has no such column of ids.
    """
    import pyarrow as pa

    if id_column is not None and id_column not in table.column_names:
        raise InputError(
            f"there is no column {id_column!r} for --id-column; "
            f"there are: {', '.join(table.column_names)}"
        )
    if id_column is not None or ID in table.column_names:
        return table
    ids = pa.array([_hash(table.slice(i, 1)) for i in range(table.num_rows)], pa.string())
    return table.add_column(0, ID, ids)


def renamed(names: Sequence[str], taken: Collection[str], spared: str | None = None) -> list[str]:
    """Names of columns, of which none is one of those taken.

    Raises:
        ConfigError: the column of ids has such a name.
    """
    if spared in taken:
        raise ConfigError(f"--id-column {spared}: results have a column of that name; rename it")
    found: list[str] = []
    for place, name in enumerate(names):
        others = {*found, *names[place + 1 :]}
        while name in taken or name in others:
            name = f"input_{name}"
        found.append(name)
    return found


def schema(seed: int) -> "pyarrow.Schema":
    """The columns of results, the same for any model and options."""
    import pyarrow as pa

    types: dict[str, Any] = {
        "additions": pa.list_(pa.string()),
        "notes": pa.list_(pa.string()),
        "clip_tokens": pa.int64(),
        "variant": pa.int64(),
        "schema_version": pa.int64(),
        "seed": pa.int64() if seed < 2**63 else pa.uint64(),
    }
    return pa.schema([(name, types.get(name, pa.string())) for name in RESULTS])


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: fields.get(name) for name in RESULTS}
    for name in _NESTED & fields.keys():
        found[name] = json.dumps(fields[name], ensure_ascii=False)
    return found


def _rows(table: "pyarrow.Table") -> Iterator[Any]:
    for batch in table.to_batches():
        yield from parquet_rows(batch, 1)


def _hash(row: "pyarrow.Table") -> str:
    """Of the content of a row, the names of its columns included."""
    import pyarrow as pa

    text = [pa.string(), pa.large_string(), pa.string_view()]
    for place, name in enumerate(row.column_names):
        if row[name].type in text:  # which may not be UTF-8
            row = row.set_column(place, name, row[name].cast(pa.large_binary()))
    content = json.dumps(row.to_pylist()[0], sort_keys=True, default=repr)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _table(batch: Any) -> "pyarrow.Table":
    import pyarrow as pa

    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, Mapping):
        return pa.table({name: pa.array(list(values)) for name, values in batch.items()})
    return pa.Table.from_pandas(batch, preserve_index=False)
