"""What the votes of a study say, as one JSON file, `RUN/judging/results.json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlift import __version__
from promptlift.errors import InputError
from promptlift.files import write_json
from promptlift.judging.collecting.assignment import ATTENTION, WHOLE
from promptlift.judging.collecting.study import Study
from promptlift.judging.records import IMPROVED, ORIGINAL, PERSON, Vote
from promptlift.judging.statistics.agreement import agreement
from promptlift.judging.statistics.bradley_terry import bradley_terry
from promptlift.judging.statistics.metrics_agreement import mean_preferences, metric_agreement
from promptlift.judging.statistics.planning import votes_for_width
from promptlift.judging.statistics.rater_checks import rater_checks
from promptlift.judging.statistics.rates import TIES_HALF, win_rates
from promptlift.judging.statistics.sequential_test import first_decided, monitor

FILE = "judging/results.json"
SCHEMA_VERSION = 1
_HALF_WIDTH = 0.05  # of the interval that planning aims at


def results_of(study: Study, *, kind: str = PERSON) -> dict[str, Any]:
    """All statistics of a study, by question.

    Args:
        study: with votes.
        kind: "person", or "simulated" to look at votes that a program gave.

    Raises:
        InputError: nobody voted yet.
    """
    votes = [vote for vote in study.store.votes() if vote.kind == kind]
    if not votes:
        others = len(study.store.votes())
        hint = f"; {others} votes of programs do not count" if others else ""
        raise InputError(f"{study.folder} has no votes of a {kind} yet{hint}")
    return {
        "schema_version": SCHEMA_VERSION,
        "promptlift_version": __version__,
        "study": study.store.settings()["study"],
        "kind": kind,
        "pairs": len(study.store.pairs()),
        "raters": [
            {"name": rater.name, "total": place.total, "done": place.position}
            for rater in study.store.raters()
            for place in [study.store.place(rater, study.questions)]
        ],
        "questions": {
            question: _of_question(study, votes, question, kind) for question in study.questions
        },
    }


def write_results(study: Study, results: Mapping[str, Any]) -> Path:
    """Write the results into the run."""
    path = study.folder / FILE
    write_json(path, results)
    return path


def _of_question(study: Study, votes: Sequence[Vote], question: str, kind: str) -> dict[str, Any]:
    systems = sorted({name for pair in study.store.pairs() for name in pair.systems} - {ORIGINAL})
    found: dict[str, Any] = {"systems": {}}
    for system in systems:
        against = [
            vote for vote in votes if vote.purpose == ATTENTION
            or {vote.left, vote.right} == {system, ORIGINAL}
        ]  # fmt: skip
        if not any(vote.question == question for vote in against):
            continue
        asked: dict[str, Any] = {"question": question, "kind": kind, "system": system}
        rates = win_rates(against, **asked)
        decided = first_decided(against, **asked)
        evidence = monitor(decided)
        half = rates.together.rates[TIES_HALF].rate
        found["systems"][system] = {
            "rates": rates.to_dict(),
            "agreement": agreement(against, **asked).to_dict(),
            "evidence": {
                "prompts": len(decided),
                "e_value": float(evidence.e_values[-1]) if decided else 1.0,
                "low": float(evidence.low[-1]) if decided else 0.0,
                "high": float(evidence.high[-1]) if decided else 1.0,
                "stop": int(evidence.stop),
            },
            "votes_for_half_width": {
                "half_width": _HALF_WIDTH,
                "votes": None if half is None else votes_for_width(half, _HALF_WIDTH),
            },
        }
    known = {str(pair.id): WHOLE for pair in study.store.pairs()}
    checks = rater_checks(votes, known=known, question=question, kind=kind)
    found["raters"] = [check.to_dict() for check in checks]
    if len(systems) > 1:
        try:
            strengths = bradley_terry(votes, question=question, kind=kind)
            found["bradley_terry"] = strengths.to_dict()
        except InputError as error:
            found["bradley_terry"] = {"missing": str(error)}
    return found


def agreement_with_metrics(
    study: Study,
    gains: Mapping[str, Mapping[tuple[int, int], float]],
    *,
    question: str,
    system: str = IMPROVED,
) -> dict[str, dict[str, Any]]:
    """How well each metric agrees with people, on pairs of original and improved pictures.

    Args:
        study: with votes.
        gains: by metric, then by prompt index and seed: improved less original, higher being
            better.
        question: which.
        system: that drew the improved pictures.
    """
    votes = [vote for vote in study.store.votes() if {vote.left, vote.right} == {ORIGINAL, system}]
    people = mean_preferences(votes, question=question, system=system)
    seeds = {str(pair.id): pair.seed for pair in study.store.pairs()}
    found = {}
    for metric, values in gains.items():
        rows = [
            (index, values[index, seeds[pair]], preference)
            for pair, (index, preference) in people.items()
            if (index, seeds[pair]) in values
        ]
        if rows:
            prompts, differences, preferences = zip(*rows, strict=True)
            found[metric] = metric_agreement(prompts, differences, preferences).to_dict()
    return found
