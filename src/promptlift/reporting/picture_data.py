"""The pictures of a run in pairs, with what scoring found of each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptlift.errors import PromptliftError
from promptlift.files import sha256_of_file
from promptlift.pictures import INDEX as INDEX_FILE
from promptlift.pictures import SIDES, Picture, PicturePair, id_of, pair_up, read_index
from promptlift.reporting.run_files import Row, finite, json_of, rows_of
from promptlift.reporting.wording import spoken
from promptlift.scoring.pictures.pair_scores import gain_of
from promptlift.statistics import average_ranks

_UNKNOWN = (None, None)
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

    @property
    def compared(self) -> dict[str, list[Row]]:
        """Improved less original pictures by each opinion: clearly higher, lower, or unclear."""
        found: dict[str, list[Row]] = {"higher": [], "lower": [], "unclear": []}
        for row in (self.scores or {}).get("comparisons") or []:
            if row["metric"] in self.opinions:
                side = "higher" if row["low"] > 0 else "lower" if row["high"] < 0 else "unclear"
                found[side].append(row)
        return found

    def score(self, system: str, metric: str) -> Row | None:
        """The score of some pictures or pairs, such as "improved pictures", by a metric."""
        systems = (self.scores or {}).get("systems", [])
        scores = (score for found in systems if found["name"] == system
                  for score in found["scores"] if score["metric"] == metric)  # fmt: skip
        return next(scores, None)

    def title(self, metric: str) -> str:
        """How people write a metric."""
        return str(self.metrics.get(metric, {}).get("title", spoken(metric)))

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
    if not (folder / INDEX).is_file():
        begun = (folder / "pictures").is_dir()
        why = (
            f"{INDEX} is not there: drawing has not finished; the same command continues it"
            if begun
            else f"no pictures yet: promptlift illustrate {folder}"
        )
        return PictureData(folder=folder, missing=[why])
    try:
        pictures = read_index(folder / "pictures")
    except (PromptliftError, ValueError) as error:
        return PictureData(folder=folder, missing=[f"{INDEX} was left out: {error}"])
    missing: list[str] = []
    scores = _scores(folder, missing)
    if scores is None and not missing:
        missing.append(f"pictures are not scored yet: promptlift score {folder}")
    found = PictureData(folder=folder, pictures=pictures, scores=scores)
    return replace(found, pairs=_pairs(found, missing), missing=missing)


def _scores(folder: Path, missing: list[str]) -> dict[str, Any] | None:
    scores = json_of(folder, SCORES, missing)
    if scores is None:
        return None
    if not all(isinstance(scores.get(name), list) for name in ("metrics", "systems")):
        missing.append(f"{SCORES} has no metrics or no systems and was left out")
        return None
    if (scores.get("pictures") or {}).get("sha256") != sha256_of_file(folder / INDEX):
        missing.append(
            f"{SCORES} belongs to pictures that were drawn earlier and was left out: "
            f"promptlift score {folder}"
        )
        return None
    return scores


def _pairs(found: PictureData, missing: list[str]) -> list[ShownPair]:
    scored: dict[tuple[Any, ...], Row] = {}
    verdicts: dict[tuple[Any, ...], Row] = {}
    if found.scores is not None:
        needed = ("source", "prompt", "original_file", "improved_file")
        for row in rows_of(found.folder, "scores/pairs.parquet", needed, missing):
            scored[row.get("prompt_index"), row.get("seed"), row.get("variant")] = row
        if (found.folder / "scores/verdicts.jsonl").is_file():
            path = "scores/verdicts.jsonl"
            for row in rows_of(found.folder, path, ("choice", "reason"), missing):
                verdicts[row.get("prompt_index"), row.get("variant")] = row
    return _ranked([
        _shown(pair, number, scored.get((one.prompt_index, one.seed, one.variant), {}),
               verdicts.get((one.prompt_index, one.variant)), found.metrics)
        for number, pair in enumerate(pair_up(found.pictures), 1)
        for one in [pair.improved]
    ])  # fmt: skip


def _shown(
    pair: PicturePair, number: int, row: Row, verdict: Row | None, metrics: Mapping[str, Row]
) -> ShownPair:
    """A pair without its ranks, from its row of scores/pairs.parquet."""
    sides = {name: tuple(finite(row.get(f"{name}_{side}_picture")) for side in SIDES)
             for name in metrics}  # fmt: skip
    of_pair = {name: value for name in metrics if (value := finite(row.get(name))) is not None}
    gains = dict(of_pair)
    for name, (first, second) in sides.items():
        if first is not None and second is not None:
            higher = metrics[name].get("higher_is_better")
            gains[name] = gain_of(first, second, higher_is_better=bool(higher))
    return ShownPair(
        number=number,
        original=pair.original,
        improved=pair.improved,
        values={name: (one, two) for name, (one, two) in sides.items() if (one, two) != _UNKNOWN},
        of_pair=of_pair,
        gains={name: gains[name] for name in metrics
               if name in gains and metrics[name].get("higher_is_better") is not None},
        ranks={},
        verdict=verdict,
    )  # fmt: skip


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


def settings_of(pictures: Sequence[Picture]) -> dict[str, str]:
    """Names and values of how pictures were drawn, where all of them have it in common."""
    first, several = pictures[0], f"several, see {INDEX}"
    model, settings = {"model": several}, {"settings": several}
    if all(one.model == first.model for one in pictures):
        model = {_role(place): id_of(part)
                 for place, part in enumerate(first.model)}  # fmt: skip
    if all(one.settings == first.settings for one in pictures):
        settings = {spoken(name): str(part) for name, part in first.settings.items()
                    if part not in (None, False, "")}  # fmt: skip
    return model | settings


def _role(place: int) -> str:
    return ("model", "refiner")[place] if place < 2 else f"model {place + 1}"
