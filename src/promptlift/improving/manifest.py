"""Model folders, trained (PyTorch) and exported (ONNX), and their metadata.

A trained folder is what `transformers` saves, with `promptlift.json` beside it. An exported
folder holds `manifest.json`, `tokenizer.json` and its family's graphs, such as `decoder.onnx`.
docs/formats.md lists the fields.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, ModelError
from promptlift.files import sha256_of_file, write_json
from promptlift.schema import upgraded

SCHEMA_VERSION = 1
MANIFEST_FILE = "manifest.json"
CARD_FILE = "promptlift.json"

# The prefix of the paper; a T5 without a card is taken to rewrite with it.
PAPER_PREFIX = "translate basic prompt to detailed longer prompt: "


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Metadata of a model, whatever the format of its weights.

    Attributes:
        name: short name, used in records.
        modes: the modes that it has learned, each with the prefix of its sources.
        forms: the forms that it writes, each with the text that comes before that prefix.
        decoding: decoding options to use unless the caller says otherwise.
        unasked: what it adds though no prompt names it, where options let it: "artists", "styles".
        licence: SPDX expression of the weights.
        training: summary of the training run, free form.
    """

    name: str
    modes: dict[str, str]
    forms: dict[str, str] = field(default_factory=lambda: {"tags": ""})
    decoding: dict[str, Any] = field(default_factory=dict)
    unasked: tuple[str, ...] = ("artists", "styles")
    licence: str = "unknown"
    training: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "ModelCard":
        """The card of a trained folder; that of the paper where it has none or is a Hub name."""
        path = folder / CARD_FILE
        if not path.exists():
            return cls(name=folder.name, modes={"rewrite": PAPER_PREFIX})
        values = _read_json(path, {"schema_version", *cls.__dataclass_fields__})
        try:
            return cls._of(values)
        except (TypeError, ValueError) as error:
            raise ModelError(f"{path} is faulty: {error}.") from error

    @classmethod
    def _of(cls, values: dict[str, Any]) -> "ModelCard":
        """A card as JSON has it; an older one has older names of options."""
        unasked = tuple(values.get("unasked", cls.unasked))
        decoding = upgraded(values.get("decoding", {}))
        return cls(**{**values, "decoding": decoding, "unasked": unasked})

    def mode(self, asked: str | None) -> str:
        """The mode that was asked for; where none was, "extend", or the first that it has learned.

        Raises:
            ConfigError: the model has not learned the mode.
        """
        return self._learned("mode", self.modes, asked, usual="extend")

    def form(self, asked: str | None) -> str:
        """The form that was asked for; where none was, "tags", or the first that it has learned.

        Raises:
            ConfigError: the model has not learned the form.
        """
        return self._learned("form", self.forms, asked, usual="tags")

    def prefix(self, mode: str, form: str | None = None) -> str:
        """The text that the model expects before a source.

        Raises:
            ConfigError: the model has not learned the mode or the form.
        """
        return self.forms[self.form(form)] + self.modes[self.mode(mode)]

    def _learned(
        self, what: str, learned: Mapping[str, str], asked: str | None, *, usual: str
    ) -> str:
        if asked is None:
            return usual if usual in learned else next(iter(learned))
        if asked not in learned:
            raise ConfigError(
                f"{self.name} has not learned {what} {asked!r}; it has: {', '.join(learned)}"
            )
        return asked

    def write(self, folder: Path) -> None:
        write_json(folder / CARD_FILE, {"schema_version": SCHEMA_VERSION, **asdict(self)})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Metadata of an exported folder.

    Attributes:
        card: the model's metadata, see `ModelCard`.
        precision: "int8", "int4" or "fp32".
        architecture: `model_type`, "t5" where it is absent or "llama", and the model's sizes,
            named as in the configurations of `transformers`.
        tokens: ids of `pad`, `eos`, `unk` and `decoder_start`.
        check: how the export compared with PyTorch.
        files: SHA-256 of each file by name.
        promptlift_version: the version that exported it.
    """

    card: ModelCard
    precision: str
    architecture: dict[str, Any]
    tokens: dict[str, int]
    check: dict[str, Any]
    files: dict[str, str]
    promptlift_version: str

    @property
    def family(self) -> str:
        """What `transformers` calls the kind of model: "t5" or "llama"."""
        return str(self.architecture.get("model_type", "t5"))

    @property
    def model_id(self) -> str:
        """`name@hash`, the first 12 hex digits of the hash over all file hashes."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return f"{self.card.name}@{hashlib.sha256(lines.encode()).hexdigest()[:12]}"

    @classmethod
    def read(cls, folder: Path, *, verify: bool = False) -> "Manifest":
        """Read `folder/manifest.json`; with `verify`, compare every file with its hash.

        Raises:
            ModelError: a file is missing or damaged, or the schema is newer than this code.
        """
        values = _read_json(folder / MANIFEST_FILE, {"schema_version", *cls.__dataclass_fields__})
        try:
            values["card"] = ModelCard._of(values["card"])
            manifest = cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{folder / MANIFEST_FILE} is faulty: {error}. Export the model again."
            ) from error
        for name, digest in manifest.files.items():
            path = folder / name
            if not path.is_file():
                raise ModelError(f"{folder}: {name} is missing. Export the model again.")
            if verify and sha256_of_file(path) != digest:
                raise ModelError(
                    f"{path} is damaged: its SHA-256 differs from the one in {MANIFEST_FILE}. "
                    "Export the model again or reinstall promptlift."
                )
        return manifest

    def write(self, folder: Path) -> None:
        """Write `folder/manifest.json`. Written last, it says that the folder is complete."""
        write_json(folder / MANIFEST_FILE, {"schema_version": SCHEMA_VERSION, **asdict(self)})


def is_exported(folder: Path) -> bool:
    """Whether `folder` holds a complete export."""
    return (folder / MANIFEST_FILE).is_file()


def _read_json(path: Path, known: set[str]) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist: is {path.parent} a model folder?") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
        found = values.get("schema_version") if isinstance(values, dict) else None
        raise ModelError(
            f"{path} has schema_version {found}, and this promptlift reads {SCHEMA_VERSION}. "
            "Export the model again with this version."
        )
    if unknown := set(values) - known:
        raise ModelError(f"{path} has unknown fields: {', '.join(sorted(unknown))}")
    del values["schema_version"]
    return values
