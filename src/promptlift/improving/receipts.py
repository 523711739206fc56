"""Receipts: an improvement's record as JSON, replayed or carried by a picture."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from promptlift.errors import InputError, ModelError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.editing import edited
from promptlift.improving.improver import Improver
from promptlift.improving.loading import BUNDLED, bundled_model_path, earlier_release
from promptlift.improving.manifest import Manifest, is_exported
from promptlift.improving.tools import infotext
from promptlift.png_text import is_png, png_texts
from promptlift.records import SCHEMA_VERSION, Dropped, Improvement
from promptlift.schema import upgraded_record

KEYWORD, A1111_KEYWORD = "promptlift", "parameters"
# Options that older versions of a receipt cannot lack, newer ones may add to.
_OPTIONS = tuple(item.name for config in (DecodingConfig, ControlConfig) for item in fields(config))
_NEGATIVE = "Negative prompt:"
# `Steps: 20, Sampler: "a, b", Size: 512x512`, as A1111 reads its last line; what stands between
# commas and is no setting is passed over. In `aa:1.2, bb:1.3, cc:1.1` a number follows at once.
_SETTING = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)|[^,]*(?:,|$)')
_FIRST_SETTING = re.compile(r"\s*\w[\w \-/]*:(?!\S)")
_FEWEST_SETTINGS = 3  # with fewer A1111 takes the line for a part of the prompt
# Entries of our own, for what A1111's lines would not give back: a prompt may have such a line.
_OWN_PROMPT, _OWN_NEGATIVE = "promptlift prompt", "promptlift negative"


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A receipt that was replayed.

    Attributes:
        receipt: the improvement as recorded.
        again: the result of the replay.
        versions: packages whose version differs: name, then and now.
    """

    receipt: Improvement
    again: Improvement
    versions: dict[str, tuple[str, str]]

    @property
    def same(self) -> bool:
        """Whether prompt, additions and notes are as recorded."""
        return all(
            getattr(self.receipt, name) == getattr(self.again, name)
            for name in ("prompt", "additions", "dropped", "notes", "clip_tokens")
        )


def receipt_text(improvement: Improvement) -> str:
    """A receipt as JSON."""
    return json.dumps({**improvement.to_dict(), "schema_version": SCHEMA_VERSION})


def read_receipts(path: Path) -> list[Improvement]:
    """The receipts of a file: a JSON object, JSON lines, or the text of a PNG.

    Raises:
        InputError: it holds no receipt, or something else.
    """
    data = path.read_bytes()
    if is_png(data):
        receipt = png_texts(data, f"{path}").get(KEYWORD)
        if receipt is None:
            raise InputError(f"{path} carries no receipt of promptlift")
        return [parse_receipt(receipt, f"{path}")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is neither a PNG picture nor JSON in UTF-8") from error
    if text.lstrip().startswith("{"):
        try:
            json.loads(text)
        except ValueError:
            pass
        else:
            return [parse_receipt(text, f"{path}")]
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty and holds no receipt")
    return [parse_receipt(line, f"{path}, line {number}") for number, line in lines]


def bundled_of(receipts: Sequence[Improvement]) -> Path | None:
    """The bundled model's folder where that model made all the receipts; otherwise None."""
    folder = bundled_model_path()
    if not is_exported(folder):
        return None
    model_id = Manifest.read(folder).model_id
    is_its = all(one.model == model_id and "llm" not in one.settings for one in receipts)
    return folder if is_its else None


def replay(receipt: Improvement, improver: Improver) -> Replay:
    """Repeat an improvement from its receipt.

    Raises:
        ModelError: it was made by another model.
    """
    if improver.model_id != receipt.model:
        if line := earlier_release(receipt.model):
            raise ModelError(f"the receipt is of {receipt.model}, which {line}")
        server = receipt.settings.get("llm")
        raise ModelError(
            f"the receipt is of {receipt.model}, not of {improver.model_id}; "
            + (
                f"pass --llm-url {server.get('url')} --model {server.get('model')}, and "
                "--instruction and --llm-json as it had them"
                if isinstance(server, dict)
                else f"pass --model {BUNDLED}"
                if bundled_of([receipt])
                else "name the folder of that model with --model"
            )
        )
    names = set(_OPTIONS) - improver.model.ignores
    options = {name: value for name, value in receipt.settings.items() if name in names}
    variants = improver.improve(
        receipt.source,
        n=receipt.variant + 1,  # with diversity a variant depends on those before it
        seed=receipt.seed,
        mode=receipt.mode,
        negative=receipt.negative,
        **options,
    )
    removed, pinned = (receipt.checks.get(name, ()) for name in ("removed", "pinned"))
    again = edited(variants[receipt.variant], removed, pinned)
    then, now = receipt.settings.get("versions", {}), again.settings["versions"]
    differing = {
        name: (str(then.get(name, "none")), str(now.get(name, "none")))
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    }
    return Replay(receipt=receipt, again=again, versions=differing)


def a1111_parameters(improvement: Improvement, settings: Mapping[str, object] | None = None) -> str:
    """The text that A1111 and the tools that follow it keep under `parameters`.

    It always ends in a line of settings. Without one, the last line of a prompt or of a negative
    prompt may be taken for it.

    Args:
        improvement: gives prompt and negative prompt.
        settings: of the picture: "Steps", "Sampler", "CFG scale", "Seed", "Size", "Model". Where
            they are too few for A1111, it is added how the prompt was improved.
    """
    entries = dict(settings or {"Seed": improvement.seed})
    if len(entries) < _FEWEST_SETTINGS:
        entries |= infotext(improvement)
    given = {_OWN_PROMPT: improvement.prompt, _OWN_NEGATIVE: improvement.negative or ""}
    text = _a1111_lines(improvement, entries)
    for (key, whole), read in zip(given.items(), parse_a1111_parameters(text)[:2], strict=True):
        if read != _stripped(whole):
            entries[key] = _stripped(whole)
    return _a1111_lines(improvement, entries)


def a1111_text(improvement: Improvement) -> str:
    """What to paste into A1111's prompt field, whose arrow button reads it back."""
    return a1111_parameters(improvement)


def parse_a1111_parameters(text: str) -> tuple[str, str, dict[str, str]]:
    """Prompt, negative prompt and settings of A1111's `parameters`, read as A1111 reads them.

    Two departures: a last line of weights is no line of settings, nor is one that begins the
    negative prompt; and where `a1111_parameters` wrote an entry for what the lines cannot carry,
    that is what counts. Lines lose the blanks around them, as in A1111.
    """
    *lines, last = text.strip().split("\n")
    settings = _settings(last)
    if not settings:
        lines = [*lines, last]
    prompt: list[str] = []
    negative: list[str] | None = None
    for line in lines:
        if line.strip().startswith(_NEGATIVE):
            negative = [line.strip().removeprefix(_NEGATIVE)]
        elif negative is not None:
            negative.append(line)
        else:
            prompt.append(line)
    return (
        settings.pop(_OWN_PROMPT, _stripped("\n".join(prompt))),
        settings.pop(_OWN_NEGATIVE, _stripped("\n".join(negative or []))),
        settings,
    )


def parse_receipt(text: str, place: str) -> Improvement:
    """A receipt from its JSON.

    Args:
        text: as `receipt_text` makes it.
        place: where it was found, for the error.

    Raises:
        InputError: it is not a receipt, or has another version.
    """
    try:
        value = upgraded_record(json.loads(text))
        if value["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{place}: a receipt of version {value['schema_version']}; "
                f"this promptlift reads {SCHEMA_VERSION}"
            )
        known = {item.name: value[item.name] for item in fields(Improvement)}
        known["additions"] = tuple(known["additions"])
        known["dropped"] = tuple(Dropped(**item) for item in known["dropped"])
        known["notes"] = tuple(known["notes"])
        if not all(isinstance(known[name], str) for name in ("source", "prompt", "mode", "model")):
            raise TypeError("text")
        if not all(type(known[name]) is int and known[name] >= 0 for name in ("seed", "variant")):
            raise TypeError("number")
        if not isinstance(known["settings"], dict):
            raise TypeError("settings")
        removed = known["checks"].get("removed", [])
        if not all(type(place) is int and place >= 0 for place in [*removed]):
            raise TypeError("removed")
        pinned = known["checks"].get("pinned", [])
        if not all(isinstance(phrase, str) for phrase in [*pinned]):
            raise TypeError("pinned")
        return Improvement(**known)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else "is no receipt"
        raise InputError(
            f"{place} {what}. A receipt is a line that `promptlift improve --json` printed."
        ) from error


def _a1111_lines(improvement: Improvement, entries: Mapping[str, object]) -> str:
    lines = [improvement.prompt]
    if improvement.negative:
        lines.append(f"{_NEGATIVE} {improvement.negative}")
    lines.append(", ".join(f"{key}: {_quoted(str(value))}" for key, value in entries.items()))
    return "\n".join(lines)


def _settings(line: str) -> dict[str, str]:
    """The settings of a line; none where it is a line of something else."""
    if line.strip().startswith(_NEGATIVE) or not _FIRST_SETTING.match(line):
        return {}
    found = {key: _unquoted(value) for key, value in _SETTING.findall(line) if key}
    return found if len(found) >= _FEWEST_SETTINGS else {}


def _stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().split("\n"))


def _quoted(text: str) -> str:
    plain = text and text == text.strip() and not re.search(r'[,:\n"]', text)
    return text if plain else json.dumps(text, ensure_ascii=False)


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text.strip()
