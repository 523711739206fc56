"""Picks as records: a row of `RUN/picks.jsonl` for each prompt, and the pairs that they make."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from promptlift.errors import InputError
from promptlift.illustrating.inputs import Entry, read_entries
from promptlift.pairs.load import write_pairs
from promptlift.picking.choosing import NOTHING, Choice, choose, confirmed
from promptlift.picking.scores import PromptScores
from promptlift.records import Dropped, Improvement, Pair
from promptlift.scoring.pictures.picture_features import caption
from promptlift.scoring.pictures.verdicts import Evidence
from promptlift.tables import Fault, Row, read_rows

SCHEMA_VERSION = 1
FILE, IMPROVEMENTS = "picks.jsonl", "improvements.jsonl"
CAUTION = (
    "the gain is that of the best variant on the very pictures it was chosen by; on average the "
    "true gain is smaller"
)


def entries_of(path: Path, report: Callable[[str], None] = lambda line: None) -> Iterator[Entry]:
    """The prompts that could be improved; `report` names the others."""
    for entry in read_entries(path):
        if isinstance(entry, Fault):
            report(f"{path.name} line {entry.number}: {entry.message}")
        else:
            yield entry


def candidates(entry: Entry) -> list[Improvement]:
    """The variants that compete: different from the original and from each other."""
    found: dict[str, Improvement] = {}
    for variant in entry.variants:
        if variant.prompt != variant.source:
            found.setdefault(variant.prompt, variant)
    return list(found.values())


def pick_row(
    entry: Entry,
    scores: PromptScores | None,
    *,
    always: bool,
    metric: dict[str, Any],
    picture_model: str,
) -> dict[str, Any]:
    """The row of a prompt, before any confirmation; docs/picture-metrics.md lists its fields.

    Args:
        entry: the prompt and its variants.
        scores: of its pictures; None where no variant competes, so that none were drawn.
        always: take the best variant whatever its gain.
        metric: `name`, `model` and `tie`.
        picture_model: `NAME@HASH`.
    """
    competing = candidates(entry)
    choice = _choice(competing, scores, entry, metric, always)
    chosen = None if choice.variant is None else competing[choice.variant]
    best = None if choice.best is None else competing[choice.best]
    first = entry.variants[0]
    return {
        "index": entry.index,
        "source": first.source,
        "prompt": first.source if chosen is None else chosen.prompt,
        "choice": "original" if chosen is None else "improved",
        "variant": None if chosen is None else chosen.variant,
        "reason": choice.reason,
        "clear": choice.clear,
        "best_variant": None if best is None else best.variant,
        "best_of": len(competing),
        **_evidence(choice.evidence),
        "caution": None if chosen is None else CAUTION,
        "confirmation": None,
        "mode": first.mode,
        "additions": [] if chosen is None else list(chosen.additions),
        "scores": None if scores is None or scores.are_undefined else _scores(competing, scores),
        "seeds": [] if scores is None else list(scores.seeds),
        "metric": {**metric, "always": always},
        "models": {"improver": first.model, "pictures": picture_model},
        "schema_version": SCHEMA_VERSION,
    }


def with_confirmation(row: dict[str, Any], scores: PromptScores) -> dict[str, Any]:
    """A row with the gain that its choice shows on pictures from fresh seeds."""
    tie = float(row["metric"]["tie"])
    [improved] = scores.improved.values()
    evidence = confirmed(scores.original, improved, tie=tie)
    found = {
        "confirmed": evidence.low > tie,  # clear here too
        **_evidence(evidence),
        "scores": {
            "original": scores.original.tolist(),
            str(row["variant"]): improved.tolist(),
        },
        "seeds": list(scores.seeds),
    }
    return {**row, "confirmation": found}


def read_picks(run_folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of `RUN/picks.jsonl`.

    Raises:
        InputError: it is missing or damaged.
    """
    path = run_folder / FILE
    for row in read_rows(path):
        if not isinstance(row, Row) or isinstance(row.value, str):
            raise InputError(f"{path} line {row.number} is damaged; run promptlift pick again")
        yield dict(row.value)


def pick_pairs(run_folder: Path) -> Iterator[Pair]:
    """Pairs that are known to draw better: the choices, and with a confirmation those it bears out.

    With `always` all choices.

    """
    rows = read_picks(run_folder)
    for entry, row in zip(entries_of(run_folder / IMPROVEMENTS), rows, strict=True):
        found = row["confirmation"]
        unsure = found is not None and not found["confirmed"] and not row["metric"]["always"]
        if row["choice"] == "original" or unsure:
            continue
        [chosen] = [one for one in entry.variants if one.variant == row["variant"]]
        if (pair := pair_of(chosen)) is not None:
            yield pair


def pair_of(better: Improvement, worse: Improvement | None = None) -> Pair | None:
    """What a model is to write for a prompt, as models read it, without weights and tags.

    A prompt that was rewritten gives a pair to rewrite, whose target is the result; one that was
    extended gives a pair to extend, whose target is what was added. Of a worse result of which the
    checks left nothing, what they dropped is what not to write. None where there is nothing to
    write, or nothing that differs.
    """
    source, target = caption(better.source), _written(better)
    rejected = None if worse is None else _written(worse) or _joined(worse, worse.dropped)
    if not source.strip() or not target.strip() or rejected == "" or rejected == target:
        return None
    return Pair(
        source=source, target=target, mode=better.mode, form=_form(better), rejected=rejected
    )


def _written(improvement: Improvement) -> str:
    if improvement.mode == "rewrite":
        return caption(improvement.prompt)
    return _joined(improvement, improvement.additions)


def _joined(improvement: Improvement, parts: Sequence[str | Dropped]) -> str:
    joint = " " if _form(improvement) == "paragraph" else ", "
    return joint.join(one.phrase if isinstance(one, Dropped) else one for one in parts)


def _form(improvement: Improvement) -> str:
    """The form that the model wrote: JSON is made of tags."""
    return "paragraph" if improvement.settings.get("form") == "paragraph" else "tags"


def write_pick_pairs(run_folder: Path, path: Path) -> int:
    """Write the pairs of `pick_pairs` as `promptlift train --pairs` reads them; their number."""
    pairs = list(pick_pairs(run_folder))
    write_pairs(path, pairs)
    return len(pairs)


def _choice(
    competing: Sequence[Improvement],
    scores: PromptScores | None,
    entry: Entry,
    metric: dict[str, Any],
    always: bool,
) -> Choice:
    if scores is None:
        if competing:
            return replace(NOTHING, reason="a picture of it was refused for each seed")
        why = entry.variants[0].notes[:1]
        return replace(NOTHING, reason="; ".join((NOTHING.reason, *why)))
    if scores.are_undefined:
        return replace(
            NOTHING, reason=f"nothing in the prompt that {metric['name']} could judge by"
        )
    return choose(
        scores.original,
        np.array([scores.improved[one.variant] for one in competing]),
        metric=metric["name"],
        blanks=np.array([scores.blanks[one.variant] for one in competing]),
        tie=metric["tie"],
        always=always,
    )


def _evidence(found: Evidence | None) -> dict[str, Any]:
    """Its fields, for a row's own level."""
    names = ("gain", "low", "high", "noise", "wins", "losses")
    values = {} if found is None else found.to_dict()
    return {name: values.get(name) for name in names}


def _scores(competing: Sequence[Improvement], scores: PromptScores) -> dict[str, list[float]]:
    """Of the original and of each variant that competes, in the order of the seeds."""
    improved = {str(one.variant): scores.improved[one.variant].tolist() for one in competing}
    return {"original": scores.original.tolist(), **improved}
