"""Files `reproduction.json` read, and laid beside the paper and each other."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.experimenting.paper_figures import PAPER, PARTS, Key, is_known, title_of
from promptlift.experimenting.reproduction import FILE, SCHEMA_VERSION
from promptlift.reporting.run_files import finite
from promptlift.reporting.wording import interval, listed

_LONGEST = 200  # characters of a text that tables show
_NOT_GIVEN = "not given"
# Settings by which runs differ most, in words.
_SETTINGS = {
    "train.model": "trained", "pairs.data": "pairs", "train.epochs": "epochs",
    "train.learning_rate": "learning rate", "train.evaluation_decoding": "predictions decoded as",
    "illustrate.model": "drawn with", "illustrate.width": "pixels wide",
    "illustrate.num_inference_steps": "denoising steps",
}  # fmt: skip
# Settings of figures: the first that is measured has them.
_MEASURED_WITH = {"BERTScore by": ("bertscore_f1", "encoder"),
                  "CLIPScore by": ("clipscore_original_original", "model")}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What a file says.

    Attributes:
        name: of the file, or of its folder where the file is called reproduction.json.
        facts: texts of one line by name: machine, versions, time, settings.
        figures: by name and epoch `value`, `low`, `high` and `n` (all but the value may be None).
        missing: figures that the run has not got, with what to do.
    """

    name: str
    facts: Mapping[str, str]
    figures: Mapping[Key, Mapping[str, float | None]]
    missing: Mapping[Key, str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of texts under a title; the first row has the heads."""

    title: str
    rows: Sequence[Sequence[str]]


def read_reproductions(paths: Sequence[Path]) -> list[Reproduction]:
    """Read files, in their order; those of one name are called by their paths.

    Raises:
        InputError: a file cannot be read, is none of these or is damaged.
    """
    found = [_read(path) for path in paths]
    names = [one.name for one in found]
    return [
        replace(one, name=str(path)) if names.count(one.name) > 1 else one
        for one, path in zip(found, paths, strict=True)
    ]


def tables_of(found: Sequence[Reproduction]) -> list[Table]:
    """The runs, and each part of the paper's figures: the paper's beside those of the runs."""
    facts = dict.fromkeys(name for one in found for name in one.facts)
    names = [one.name for one in found]
    tables = []
    if facts:
        rows = [[name, *(one.facts.get(name, "-") for one in found)] for name in facts]
        tables.append(Table(title="Runs", rows=[["", *names], *rows]))
    for title, part in PARTS.items():
        keys = {key: None for one in found for key in one.figures} | dict.fromkeys(PAPER)
        ordered = sorted(
            (key for key in keys if key[0] in part),
            key=lambda key: (part.index(key[0]), key[1] or 0),
        )
        rows = [[title_of(key), _of_paper(key), *(_of_run(one, key) for one in found)]
                for key in ordered]  # fmt: skip
        if told := _told(rows):
            tables.append(Table(title=title, rows=[["", "paper", *names], *told]))
    return tables


def _told(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Without rows of which neither the paper nor a run has a figure."""
    return [row for row in rows if {*row[1:]} - {_NOT_GIVEN, "-"}]


def missing_of(found: Sequence[Reproduction]) -> list[str]:
    """What the runs have not got, a line for each run and reason, with what to do."""
    lines = []
    for one in found:
        by_reason: dict[str, dict[str, list[int]]] = {}
        for (name, epoch), reason in one.missing.items():
            epochs = by_reason.setdefault(reason, {}).setdefault(title_of((name, None)), [])
            epochs += [] if epoch is None else [epoch]
        for reason, epochs_of in by_reason.items():
            titles = [f"{title} (epoch {listed([*map(str, epochs)])})" if epochs else title
                      for title, epochs in epochs_of.items()]  # fmt: skip
            lines.append(f"{one.name} lacks {', '.join(titles)}: {reason}")
    return lines


def as_text(tables: Sequence[Table], align: Callable[[Sequence[Sequence[str]]], list[str]]) -> str:
    """Tables for a terminal."""
    parts = ["\n".join([table.title, *(f"  {line}" for line in align(table.rows))])
             for table in tables]  # fmt: skip
    return "\n\n".join(parts)


def as_markdown(tables: Sequence[Table], level: int = 2) -> str:
    """Tables as Markdown, each under a heading of this level."""
    parts = []
    for table in tables:
        heads, *rows = ["| " + " | ".join(map(_escaped, row)) + " |" for row in table.rows]
        line = "| --- |" + " ---: |" * (len(table.rows[0]) - 1)
        parts.append("\n".join([f"{'#' * level} {table.title}\n", heads, line, *rows]))
    return "\n\n".join(parts) + "\n"


def _of_paper(key: Key) -> str:
    paper = PAPER.get(key)
    if paper is None or paper.value is None:
        return _NOT_GIVEN
    note = f"; {paper.note}" if paper.note else ""
    return _written(vars(paper)) + note


def _of_run(one: Reproduction, key: Key) -> str:
    figure = one.figures.get(key)
    return "-" if figure is None else _written(figure)


def _written(figure: Mapping[str, Any]) -> str:
    value, n = figure["value"], figure["n"]
    whole = float(value).is_integer() and abs(value) >= 100
    said = f"{value:,.0f}" if whole else interval(figure)
    if not whole and figure["low"] is None:
        said = f"{value:.3f}" if abs(value) < 1 else f"{value:.6g}"
    return said if n is None or n == value else f"{said}, n = {n:,}"


def _escaped(text: str) -> str:
    """A text as a cell of Markdown; files come from strangers."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text).replace("&", "&amp;")


def _read(path: Path) -> Reproduction:
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file; name a {FILE}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as a {FILE}: {error}") from error
    if not isinstance(value, dict) or "schema_version" not in value or "figures" not in value:
        raise InputError(f"{path} is no {FILE}: promptlift experiment writes one in its run folder")
    if value["schema_version"] != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema_version {str(value['schema_version'])[:20]!r}, and this promptlift "
            f"reads {SCHEMA_VERSION}; update promptlift, or write the file anew"
        )
    figures: dict[Key, Mapping[str, float | None]] = {}
    missing: dict[Key, str] = {}
    if not isinstance(value["figures"], list) or not value["figures"]:
        raise InputError(f"{path}: `figures` must be a list of figures")
    for place, item in enumerate(value["figures"]):
        where = f"{path}, figures[{place}]"
        key = _key(item, where)
        if key in figures or key in missing:
            raise InputError(f"{where}: {title_of(key)} is there twice")
        if item.get("ours") is None:
            missing[key] = _text(item.get("missing") or "not measured")
        else:
            figures[key] = _figure(item["ours"], where)
    name = path.stem if path.name != FILE else path.resolve().parent.name
    return Reproduction(name=name, facts=_facts(value, path), figures=figures, missing=missing)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _key(item: Any, where: str) -> Key:
    name, epoch = (item.get("name"), item.get("epoch")) if isinstance(item, dict) else (None, None)
    is_epoch = epoch is None or (isinstance(epoch, int) and not isinstance(epoch, bool))
    if not isinstance(name, str) or not is_epoch or not is_known((name, epoch)):
        said = _text(f"{name!r}, epoch {epoch!r}")
        raise InputError(f"{where} is no figure that this promptlift knows: {said}")
    return name, epoch


def _figure(ours: Any, where: str) -> dict[str, float | None]:
    if not isinstance(ours, dict) or _number(ours.get("value")) is None:
        raise InputError(f"{where}: `ours` must have a number as `value`, or be null")
    found = {name: _number(ours.get(name)) for name in ("value", "low", "high", "n")}
    for name, number in found.items():
        if number is None and ours.get(name) is not None:
            raise InputError(f"{where}: `{name}` must be a number or null")
    low, high, n = found["low"], found["high"], found["n"]
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise InputError(f"{where}: `low` and `high` are no interval")
    if n is not None and (n < 1 or not n.is_integer()):
        raise InputError(f"{where}: `n` must be a whole number, 1 or more")
    return {**found, "n": None if n is None else int(n)}


def _number(value: Any) -> float | None:
    return None if isinstance(value, bool | str) else finite(value)


def _facts(value: Mapping[str, Any], path: Path) -> dict[str, str]:
    parts = {name: value.get(name) or {} for name in ("seconds", "versions", "settings")}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise InputError(f"{path}: `{name}` must be an object")
    noted = value.get("machines") or []
    if not isinstance(noted, list):
        raise InputError(f"{path}: `machines` must be a list")
    machines = [_machine(one) for one in noted if isinstance(one, dict)]
    seconds = [one for one in map(_number, parts["seconds"].values()) if one is not None]
    train, draw = (_number(parts["seconds"].get(name)) for name in ("train", "draw"))
    versions = {"promptlift": value.get("promptlift_version"), **parts["versions"]}
    unlike = value.get("unlike_paper")
    facts = {
        "experiment": value.get("experiment"),
        "written": value.get("written"),
        "machine": "; ".join(dict.fromkeys(machines)),
        "versions": ", ".join(f"{name} {one}" for name, one in versions.items() if one),
        "hours": f"{sum(seconds) / 3600:.2f}" if seconds else None,
        "hours training": None if train is None else f"{train / 3600:.2f}",
        "hours drawing": None if draw is None else f"{draw / 3600:.2f}",
        **{title: parts["settings"].get(name) for name, title in _SETTINGS.items()},
        **_measured_with(value["figures"]),
        "settings other than the paper's": str(len(unlike)) if isinstance(unlike, list) else None,
    }
    return {name: _text(fact) for name, fact in facts.items() if fact not in (None, "", {}, [])}


def _measured_with(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for title, (name, setting) in _MEASURED_WITH.items():
        for item in figures:
            settings = (item.get("ours") or {}).get("settings")
            if item["name"] == name and isinstance(settings, dict):
                found.setdefault(title, settings.get(setting))
    return found


def _machine(one: Mapping[str, Any]) -> str:
    gpus, memory = one.get("gpus") or [], one.get("gpu_memory_gb")
    if isinstance(gpus, list) and gpus:
        card = f"{len(gpus)} x {gpus[0]}" if len(gpus) > 1 else str(gpus[0])
        return f"{card} ({memory} GB)" if memory else card
    return f"{one.get('processor')}, {one.get('cores')} cores"


def _text(value: Any) -> str:
    """A line of a file that somebody sent: without control characters, and not too long."""
    said = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"
