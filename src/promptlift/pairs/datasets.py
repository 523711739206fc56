"""A data set that is given as a file, a folder, or a name on the Hub: its files, its pairs."""

import re
from collections.abc import Callable
from pathlib import Path

from promptlift.errors import InputError, MissingExtraError
from promptlift.files import check_overwrites
from promptlift.pairs.config import ColumnsConfig
from promptlift.pairs.faults import Faults
from promptlift.pairs.load import load_pairs, write_pairs
from promptlift.tables import check_output_ending, write_rows

_FILES = (".parquet", ".jsonl", ".csv", ".tsv", ".json")
_ENDINGS = (*_FILES, ".txt", ".gz", ".zip", ".xlsx")
# Words of a file name that name a split, as the Hub reads them:
# https://huggingface.co/docs/hub/datasets-file-names-and-splits
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
_ABOUT = ("dataset_infos.json", "dataset_info.json", "state.json")  # about the data, no rows


def load_data_set(
    name: str,
    output: Path,
    columns: ColumnsConfig,
    *,
    split: str = "train",
    faulty: Path | None = None,
    offline: bool = False,
    report: Callable[[str], None],
) -> tuple[int, Faults]:
    """Write the sound pairs of a data set to a file, and say how many they are.

    Args:
        name, split, offline: see `find_files`.
        output: file of pairs.
        columns: of the data set.
        faulty: file for all faulty rows.
        report: takes the columns and the first faulty rows.

    Raises:
        InputError: there is no such data set, or it has no sound pair; no pairs are written.
    """
    check_output_ending(output)
    if faulty is not None:
        check_output_ending(faulty)
    files = find_files(name, split, offline=offline)
    check_overwrites([output, faulty], files)
    faults = Faults(report)
    pairs = [
        pair
        for path in files
        for pair in faults.sound(path, load_pairs(path, **vars(columns), check=True, report=report))
    ]
    if faulty is not None:
        write_rows(faulty, faults.rows, ("file", "line", "fault"))
    if not pairs:
        raise InputError(f"{name} holds no sound pair; {output} was not written")
    write_pairs(output, pairs)
    return len(pairs), faults


def find_files(name: str, split: str = "train", *, offline: bool = False) -> list[Path]:
    """The files of one split of a data set, given as a file, a folder or a name on the Hub.

    A folder is laid out as the Hub lays out data sets: files with the split in their name
    (`data/train-00000-of-00002.parquet`, `my_train.jsonl`), or in a folder so named; where no
    file names a split, all of them belong to "train". Hidden files and those that only describe
    the data are left out.

    Args:
        name: path, or `owner/name` on the Hub, which is downloaded to the Hub's own cache.
        split: for instance "train" or "test"; a single file is taken whole.
        offline: take the Hub's data set from the cache only.

    Raises:
        InputError: there is no such data set or split.
        MissingExtraError: a name on the Hub without the extra `hub`.
    """
    path = Path(name)
    if path.is_file():
        return [path]
    if not path.is_dir():
        if path.suffix.lower() in _ENDINGS:
            raise InputError(f"{name} does not exist.")
        if path.is_absolute() or not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise InputError(f"{name} is no file, no folder, and no name like owner/name.")
        path = _download(name, offline)
    found = sorted(file for file in path.rglob("*") if _is_data(file, file.relative_to(path)))
    by_split: dict[str, list[Path]] = {}
    for file in found:
        words = re.split(r"[-._ /0-9]", file.relative_to(path).as_posix().lower())
        if named := [_SPLITS[word] for word in words if word in _SPLITS]:
            by_split.setdefault(named[-1], []).append(file)  # the file's own name comes last
    by_split = by_split or {"train": found}
    files = by_split.get(_SPLITS.get(split, split))
    if not files:
        there = ", ".join(sorted(name for name, files in by_split.items() if files))
        raise InputError(f"{name} has no split {split!r}; it has: {there or 'no files of data'}.")
    return files


def _is_data(file: Path, inside: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return file.suffix.lower() in _FILES and file.name not in _ABOUT and not hidden


def _download(name: str, offline: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("A data set of the Hub", "hub") from error
    try:
        patterns = [f"*{ending}" for ending in _FILES]
        return Path(
            snapshot_download(
                name, repo_type="dataset", allow_patterns=patterns, local_files_only=offline
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        how = "is not in the cache" if offline else "could not be downloaded"
        raise InputError(
            f"data set {name} {how} ({type(error).__name__}). Check the name and the connection, "
            "or give a folder that holds its files."
        ) from error
