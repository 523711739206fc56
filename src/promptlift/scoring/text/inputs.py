"""What is scored: pairs from a file, with predictions or without."""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from promptlift.errors import InputError
from promptlift.files import sha256_of_file
from promptlift.pairs.load import load_pairs
from promptlift.records import FORMS, MODES, Pair
from promptlift.tables import Fault, Row, read_rows

_PREDICTIONS = ("prediction", "prompt", "improved")


@dataclass(frozen=True, kw_only=True)
class TextInputs:
    """What is scored.

    Attributes:
        pairs: sources and targets; a target is empty where there are none.
        predictions: whole improved prompts, None where a model is still to make them.
        file: where they are from.
        model: who made the predictions, as far as the file says.
    """

    pairs: list[Pair]
    predictions: list[str] | None
    file: Path
    model: str | None = None

    @property
    def targets(self) -> bool:
        return all(pair.target for pair in self.pairs)

    @property
    def forms(self) -> list[str]:
        """The forms of the pairs."""
        return [form for form in FORMS if any(pair.form == form for pair in self.pairs)]

    def chosen(self, limit: int | None, seed: int) -> "TextInputs":
        """At most so many random ones, in their order."""
        if limit is None or limit >= len(self.pairs):
            return self
        places = sorted(random.Random(seed).sample(range(len(self.pairs)), limit))
        predictions = self.predictions
        return TextInputs(
            pairs=[self.pairs[place] for place in places],
            predictions=None if predictions is None else [predictions[place] for place in places],
            file=self.file,
            model=self.model,
        )

    def identity(self) -> dict[str, str]:
        """Hashes of the file and of what was taken from it."""
        digest = hashlib.sha256()
        for place, pair in enumerate(self.pairs):
            made = "" if self.predictions is None else self.predictions[place]
            row = [pair.mode, pair.source, pair.target, made]
            digest.update(json.dumps(row).encode())
        return {self.file.name: sha256_of_file(self.file), "pairs": digest.hexdigest()}


def read_pairs(path: Path, mode: str, report: Callable[[str], None]) -> TextInputs:
    """Pairs to improve the sources of.

    Raises:
        InputError: a row is no pair, or there are not two.
    """
    pairs = []
    for item in load_pairs(path, mode=mode, report=report):
        if isinstance(item, Fault):
            raise InputError(f"{path} line {item.number}: {item.message}")
        pairs.append(item)
    return _enough(TextInputs(pairs=pairs, predictions=None, file=path))


def read_predictions(path: Path, mode: str) -> TextInputs:
    """Rows with `source`, `prediction` (or `prompt`, as improvements have) and perhaps `target`.

    Rows with an `error`, as a batch of improvements leaves them, are passed over.

    Raises:
        InputError: a row lacks a text, or has no target where others have one.
    """
    pairs, predictions, models = [], [], set()
    for row in read_rows(path):
        if isinstance(row, Fault):
            raise InputError(f"{path} line {row.number}: {row.message}")
        if isinstance(row.value, str):
            raise InputError(f"{path} line {row.number}: a line of text has no column `source`.")
        if row.value.get("error"):
            continue
        pair, prediction = _prediction(path, row, mode)
        pairs.append(pair)
        predictions.append(prediction)
        models.add(row.value.get("model"))
    without = [place for place, pair in enumerate(pairs) if not pair.target]
    if without and len(without) < len(pairs):
        raise InputError(f"{path}: row {without[0] + 1} has no `target`, while others have one.")
    model = str(models.pop()) if len(models) == 1 and None not in models else None
    return _enough(TextInputs(pairs=pairs, predictions=predictions, file=path, model=model))


def _prediction(path: Path, row: Row, default: str) -> tuple[Pair, str]:
    """Pair and prediction of a row."""
    assert not isinstance(row.value, str)
    column = next((name for name in _PREDICTIONS if name in row.value), "prediction")
    texts = {
        "source": row.value.get("source"),
        "prediction": row.value.get(column),
        "target": row.value.get("target") or "",
    }
    for name, value in texts.items():
        if not isinstance(value, str) or (name == "source" and not value.strip()):
            raise InputError(
                f"{path} line {row.number}: `{name}` is missing or no text. Each row needs "
                "`source` and `prediction` (or `prompt`), and may have `target` and `mode`."
            )
    mode = row.value.get("mode") or default
    if mode not in MODES:
        raise InputError(f"{path} line {row.number}: `mode` is {mode!r}; it is extend or rewrite.")
    form = row.value.get("form") or "tags"
    if form not in FORMS:
        raise InputError(f"{path} line {row.number}: `form` is {form!r}; it is tags or paragraph.")
    source, target = str(texts["source"]), str(texts["target"])
    pair = Pair(source=source, target=target, mode=str(mode), form=str(form))
    return pair, str(texts["prediction"])


def _enough(examples: TextInputs) -> TextInputs:
    if len(examples.pairs) < 2:
        raise InputError(f"{examples.file} has {len(examples.pairs)} rows to score; give 2 or more")
    return examples
