"""The pictures of a run in pairs, with what scoring found of each."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptlift.errors import PromptliftError
from promptlift.files import sha256_of_file
from promptlift.pictures import INDEX as INDEX_FILE
from promptlift.pictures import SIDES, Picture, pair_up, read_index
from promptlift.reporting.run_data import Row, json_of, number, rows_of
from promptlift.scoring.pictures.pair_scores import gain_of
from promptlift.statistics import average_ranks

INDEX, SCORES = f"pictures/{INDEX_FILE}", "scores/pictures.json"
# What the two pictures differ in beside the model's opinion of them: a rank among the few values
# of the first says little, and the second holds each picture against another text.
_NOT_OPINIONS = ("near_blank", "clipscore_own_prompt", "match_probability_original_prompt",
                 "match_probability_improved_prompt")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    """An original and an improved picture of one prompt, from the same noise.

    Attributes:
        number: its place among the pairs of the run, from 1.
        original, improved: the pictures.
        values: by metric, the value of the original and of the improved picture; None where
            there is none.
        of_pair: values of the pair as such, as directional similarity.
        gains: by metric, by how much the improved picture is better, and of the metrics of pairs
            that have a better end the value itself.
        ranks: by each metric that is an opinion of the picture, how its gain stands among those
            of all pairs, from 0 for the smallest to 1 for the greatest.
        verdict: choice and reason; None where there is none.
    """

    number: int
    original: Picture
    improved: Picture
    values: Mapping[str, tuple[float | None, float | None]]
    of_pair: Mapping[str, float]
    gains: Mapping[str, float]
    ranks: Mapping[str, float]
    verdict: Row | None

    @property
    def disagreement(self) -> float | None:
        """Greatest rank less smallest, from 0 to 1; None where fewer than two metrics rank it."""
        if len(self.ranks) < 2:
            return None
        return max(self.ranks.values()) - min(self.ranks.values())


@dataclass(frozen=True, kw_only=True)
class PictureData:
    """The pictures of a run.

    Attributes:
        folder: the run.
        pictures: all that the index lists.
        pairs: in the order of prompts, seeds and variants.
        scores: scores/pictures.json; None where there is none of these pictures.
        missing: what is not there or could not be used, a line each, with what to do.
    """

    folder: Path
    pictures: Sequence[Picture] = ()
    pairs: Sequence[ShownPair] = ()
    scores: Row | None = None
    missing: Sequence[str] = ()

    @property
    def metrics(self) -> dict[str, Row]:
        """Metrics by name, as scoring lists them."""
        return {metric["name"]: metric for metric in (self.scores or {}).get("metrics", [])}

    @property
    def opinions(self) -> list[str]:
        """Metrics by which pairs are ranked and may be ranked otherwise by another."""
        found = {name for pair in self.pairs for name in pair.ranks}
        return [name for name in self.metrics if name in found]

    def title(self, metric: str) -> str:
        """How people write a metric."""
        return str(self.metrics.get(metric, {}).get("title", metric.replace("_", " ")))

    def titled(self, text: str) -> str:
        """A text with metrics written as people write them, such as the reason of a verdict."""
        names = sorted(self.metrics, key=len, reverse=True)
        if not names:
            return text
        return re.sub("|".join(map(re.escape, names)), lambda found: self.title(found[0]), text)


def read_pictures(folder: Path) -> PictureData:
    """The pictures of a run folder, as far as they go; what is missing or damaged is named.

    Scores of other pictures than the index lists now are left out.
    """
    missing: list[str] = []
    if not (folder / INDEX).is_file():
        missing.append(
            f"{INDEX} is not there: drawing has not finished; the same command goes on with it"
            if (folder / "pictures").is_dir()
            else f"no pictures yet: promptlift illustrate {folder}"
        )
        return PictureData(folder=folder, missing=missing)
    try:
        pictures = read_index(folder / "pictures")
    except (PromptliftError, ValueError) as error:
        missing.append(f"{INDEX} was left out: {error}")
        return PictureData(folder=folder, missing=missing)
    scores = _scores(folder, missing)
    if scores is None and not missing:
        missing.append(f"pictures are not scored yet: promptlift score {folder}")
    found = PictureData(folder=folder, pictures=pictures, scores=scores)
    pairs = _pairs(found, missing)
    return replace(found, pairs=pairs, missing=missing)


def _scores(folder: Path, missing: list[str]) -> dict[str, Any] | None:
    scores = json_of(folder, SCORES, missing)
    if scores is None:
        return None
    if not all(isinstance(scores.get(name), list) for name in ("metrics", "systems")):
        missing.append(f"{SCORES} has no metrics or no systems and was left out")
        return None
    if (scores.get("pictures") or {}).get("sha256") != sha256_of_file(folder / INDEX):
        missing.append(
            f"{SCORES} is of other pictures than were drawn last and was left out: "
            f"promptlift score {folder}"
        )
        return None
    return scores


_Key = tuple[Any, ...]


def _pairs(found: PictureData, missing: list[str]) -> list[ShownPair]:
    scored: dict[_Key, Row] = {}
    verdicts: dict[_Key, Row] = {}
    if found.scores is not None:
        needed = ("source", "prompt", "original_file", "improved_file")
        listed = rows_of(found.folder, "scores/pairs.parquet", needed, missing)
        scored = {_key(row, "prompt_index", "seed", "variant"): row for row in listed}
        if (found.folder / "scores/verdicts.jsonl").is_file():
            judged = rows_of(found.folder, "scores/verdicts.jsonl", ("choice", "reason"), missing)
            verdicts = {_key(row, "prompt_index", "variant"): row for row in judged}
    pairs = []
    for place, pair in enumerate(pair_up(found.pictures), 1):
        key = (pair.improved.prompt_index, pair.improved.seed, pair.improved.variant)
        row = scored.get(key, {})
        values = _values(row, found.metrics)
        of_pair = {
            name: value for name in found.metrics if (value := _finite(row.get(name))) is not None
        }
        pairs.append(
            ShownPair(
                number=place,
                original=pair.original,
                improved=pair.improved,
                values=values,
                of_pair=of_pair,
                gains=_gains(values, of_pair, found.metrics),
                ranks={},
                verdict=verdicts.get((key[0], key[2])),
            )
        )
    return _ranked(pairs)


def _values(row: Row, metrics: Mapping[str, Row]) -> dict[str, tuple[float | None, float | None]]:
    found = {}
    for name in metrics:
        both = tuple(_finite(row.get(f"{name}_{side}_picture")) for side in SIDES)
        if any(value is not None for value in both):
            found[name] = (both[0], both[1])
    return found


def _gains(
    values: Mapping[str, tuple[float | None, float | None]],
    of_pair: Mapping[str, float],
    metrics: Mapping[str, Row],
) -> dict[str, float]:
    found = {}
    for name, metric in metrics.items():
        better = metric.get("higher_is_better")
        if better is None:
            continue
        if name in of_pair:
            found[name] = of_pair[name]
        first, second = values.get(name, (None, None))
        if first is not None and second is not None:
            found[name] = gain_of(first, second, higher_is_better=better)
    return found


def _ranked(pairs: Sequence[ShownPair]) -> list[ShownPair]:
    """The pairs with their ranks, by the metrics that are opinions of the picture."""
    names = dict.fromkeys(
        name for pair in pairs for name in pair.gains
        if name in pair.values and name not in _NOT_OPINIONS
    )  # fmt: skip
    ranks: list[dict[str, float]] = [{} for _ in pairs]
    for name in names:
        having = [place for place, pair in enumerate(pairs) if name in pair.gains]
        standing = average_ranks([pairs[place].gains[name] for place in having])
        for place, rank in zip(having, standing, strict=True):
            ranks[place][name] = float(rank)
    return [replace(pair, ranks=found) for pair, found in zip(pairs, ranks, strict=True)]


def _key(row: Row, *names: str) -> _Key:
    return tuple(row.get(name) for name in names)


def _finite(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def settings_of(pictures: Sequence[Picture]) -> list[tuple[str, str]]:
    """Names and values of how pictures were drawn, where all of them have it in common."""
    found: list[tuple[str, str]] = []
    first = pictures[0]
    if all(one.model == first.model for one in pictures):
        found += [
            (_role(place), f"{part['name']}@{part['sha256'][:12]}")
            for place, part in enumerate(first.model)
        ]
    else:
        found.append(("model", f"several, see {INDEX}"))
    if all(one.settings == first.settings for one in pictures):
        found += [
            (name.replace("_", " "), str(part))
            for name, part in first.settings.items()
            if part not in (None, False, "")
        ]
    else:
        found.append(("settings", f"several, see {INDEX}"))
    return found


def _role(place: int) -> str:
    return ("model", "refiner")[place] if place < 2 else f"model {place + 1}"
