"""Which files a pipeline is loaded from, and what identifies them: SHA-256, read once."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlift.errors import ModelError
from promptlift.files import sha256_of_file, write_json

INDEX = "model_index.json"
_TEXTS = (".json", ".txt", ".model")  # configs and tokenizers
_SUFFIXES = (".safetensors", ".bin", *_TEXTS)
# diffusion_pytorch_model.fp16.safetensors, model.fp16-00001-of-00002.safetensors
_VARIANT = re.compile(r"\.(\w+)(?:-\d+-of-\d+)?\.(?:safetensors|bin)(?:\.index\.json)?$")
_SAY_FROM = 1 << 30  # bytes: less is hashed within a second or so


@dataclass(frozen=True)
class Origin:
    """Where a pipeline came from.

    Attributes:
        name: as receipts give it: Hub name, name of the folder or of the file.
        root: folder of its files.
        files: all files of that folder that it was loaded from.
        config_root: the folder of `model_config`, where a single file was read with one.
        config_files: all files of that folder that it was loaded from.
    """

    name: str
    root: Path
    files: tuple[Path, ...]
    config_root: Path | None = None
    config_files: tuple[Path, ...] = ()

    def describe(self, cache: Path | None, report: Callable[[str], None]) -> dict[str, str]:
        """Name and hash, as receipts hold them.

        The hash is of all files that decide the pictures; what `model_config` has of them is also
        told apart, as `model_config`.
        """
        weights = hash_files(self.files, self.root, cache=cache, report=report)
        if self.config_root is None:
            return {"name": self.name, "sha256": weights}
        configs = hash_files(self.config_files, self.config_root, cache=cache, report=report)
        whole = _hash_of_hashes({"": weights, "model_config": configs})
        return {"name": self.name, "sha256": whole, "model_config": configs}


def read_index(folder: Path) -> dict[str, Any]:
    """The `model_index.json` of a pipeline's folder.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} holds no {INDEX}, so it is not a diffusers pipeline. "
            "Name the folder that `save_pretrained` of a pipeline wrote, or a .safetensors file."
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ModelError(
            f"{path} names no pipeline class; the folder is damaged or of another kind"
        )
    return index


def variant_of(folder: Path, wanted: str | None) -> str | None:
    """The variant of the weights to load: the wanted one where it is there, else what there is."""
    found = {
        _variant(path) for path in folder.glob("*/*") if path.suffix in (".safetensors", ".bin")
    }
    if wanted in found or not found:
        return wanted
    return None if None in found else "fp16" if "fp16" in found else sorted(map(str, found))[0]


def files_of(folder: Path, *, variant: str | None, without: Collection[str] = ()) -> list[Path]:
    """The files that a pipeline is loaded from: configs, tokenizers, and weights of one variant.

    Args:
        folder: of a pipeline.
        variant: of the weights, as "fp16".
        without: components that come from elsewhere.
    """
    index = read_index(folder)
    files = [folder / INDEX]
    for name, value in sorted(index.items()):
        if not isinstance(value, list) or value[0] is None or name in without:
            continue
        found = [path for path in (folder / name).glob("*") if path.suffix in _SUFFIXES]
        weights = [path for path in found if path.suffix in (".safetensors", ".bin")]
        chosen = [path for path in weights if _variant(path) == variant]
        chosen = chosen or [path for path in weights if _variant(path) is None]
        safe = [path for path in chosen if path.suffix == ".safetensors"]
        files += sorted({*found} - {*weights}) + sorted(safe or chosen)
    return files


def files_beside(folder: Path, parts: Mapping[str, str]) -> list[Path]:
    """The files of a pipeline's folder that a single file is read with.

    Args:
        folder: of a pipeline.
        parts: by component what is taken: "config" of a network whose weights are in the single
            file, "weights" also where they are not, "files" of a tokenizer or scheduler.
    """
    files = [folder / INDEX]
    for name, taken in sorted(parts.items()):
        inside = folder / name
        if taken == "files":
            files += sorted(path for path in inside.glob("*") if path.suffix in _TEXTS)
            continue
        files.append(inside / "config.json")
        if taken == "weights":  # the first that is there, as transformers looks for them
            found = [inside / "model.safetensors", inside / "pytorch_model.bin"]
            files += [path for path in found if path.is_file()][:1]
    return files


def hash_files(
    files: Sequence[Path], root: Path, *, cache: Path | None, report: Callable[[str], None]
) -> str:
    """SHA-256 over the lines `sha256  name` of files, sorted by name, in hex.

    Args:
        files: the files.
        root: their names are relative to it.
        cache: JSON file in which hashes are kept by path, size and time of change, so that going
            on with a run does not read gigabytes again.
        report: called with a line if this takes a while.
    """
    known = _read_cache(cache)
    keys = [_key(path) for path in files]
    missing = sum(
        path.stat().st_size for path, key in zip(files, keys, strict=True) if key not in known
    )
    if missing >= _SAY_FROM:
        report(f"reading {missing / 1e9:.1f} GB of weights once, for their hash")
    found = {
        key: known.get(key) or sha256_of_file(path) for path, key in zip(files, keys, strict=True)
    }
    if cache is not None and missing:
        write_json(cache, {**known, **found})
    names = [path.relative_to(root).as_posix() for path in files]
    return _hash_of_hashes({name: found[key] for name, key in zip(names, keys, strict=True)})


def _key(path: Path) -> str:
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def _read_cache(cache: Path | None) -> dict[str, str]:
    try:
        return dict(json.loads(cache.read_text(encoding="utf-8"))) if cache is not None else {}
    except (OSError, ValueError, TypeError):
        return {}


def _hash_of_hashes(hashes: Mapping[str, str]) -> str:
    """SHA-256 over the lines `sha256  name` of hashes by name, sorted by name, in hex."""
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _variant(path: Path) -> str | None:
    found = _VARIANT.search(path.name)
    return found[1] if found else None
