"""What the votes of a study say: typed, and kept in `RUN/judging/results.json`.

The file names the votes that it was computed from. While they stay the same, the report and
`votes show` read it; otherwise they compute it again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from promptlift import __version__
from promptlift.errors import InputError
from promptlift.files import write_json
from promptlift.judging.collecting.study import Study
from promptlift.judging.records import PERSON, WHOLE, JudgedPair, Vote
from promptlift.judging.statistics.agreement import Agreement, agreement
from promptlift.judging.statistics.bradley_terry import Strengths, bradley_terry
from promptlift.judging.statistics.metrics_agreement import (
    MetricAgreement,
    mean_preferences,
    metric_agreement,
)
from promptlift.judging.statistics.rater_checks import RaterCheck, rater_checks
from promptlift.judging.statistics.rates import WinRates, win_rates
from promptlift.judging.statistics.sequential_test import Evidence, evidence
from promptlift.pictures import IMPROVED, ORIGINAL

FILE = "judging/results.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a rater has come: so many of their tasks are done."""

    name: str
    total: int
    done: int


@dataclass(frozen=True, kw_only=True)
class SystemResults:
    """What raters say of one system against the original.

    Attributes:
        rates: win rates.
        agreement: between raters.
        evidence: that may be looked at after every vote.
    """

    rates: WinRates
    agreement: Agreement
    evidence: Evidence


@dataclass(frozen=True, kw_only=True)
class QuestionResults:
    """The answers to one question.

    Attributes:
        systems: by name, those with votes.
        raters: a check of each rater.
        bradley_terry: strengths, where several systems were judged and finite strengths exist.
        no_strengths: why there are none though several systems were judged.
    """

    systems: Mapping[str, SystemResults]
    raters: tuple[RaterCheck, ...]
    bradley_terry: Strengths | None = None
    no_strengths: str | None = None


@dataclass(frozen=True, kw_only=True)
class Results:
    """All statistics of a study.

    Attributes:
        schema_version, promptlift_version: of what wrote them.
        votes_sha256: of the records that they were computed from.
        study: name of the study.
        kind: whose votes, "person" or "simulated".
        pairs: of pictures.
        raters: how far each has come.
        questions: by name.
    """

    schema_version: int
    promptlift_version: str
    votes_sha256: str
    study: str
    kind: str
    pairs: int
    raters: tuple[Progress, ...]
    questions: Mapping[str, QuestionResults]


def read_results(study: Study, *, kind: str = PERSON) -> Results:
    """The statistics of a study: the kept ones, or new ones where votes have changed.

    Args:
        study: with votes.
        kind: "person", or "simulated" for the votes of programs.

    Raises:
        InputError: nobody has voted yet.
        MissingExtraError: SciPy is not installed.
    """
    path, digest = study.folder / FILE, _digest(study)
    try:
        kept: Results = _typed(Results, json.loads(path.read_text("utf-8")))
        made = (kept.schema_version, kept.promptlift_version, kept.kind, kept.votes_sha256)
        if made == (SCHEMA_VERSION, __version__, kind, digest):
            return kept
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # no file, or one of another version
    results = _compute(study, kind, digest)
    write_json(path, asdict(results))
    return results


def agreement_with_metrics(
    study: Study,
    gains: Mapping[str, Mapping[tuple[int, int], float]],
    *,
    question: str,
    system: str = IMPROVED,
) -> dict[str, MetricAgreement]:
    """How well each metric agrees with people, on pairs of original and improved pictures.

    Args:
        study: with votes.
        gains: by metric, then by prompt index and seed: improved minus original, higher being
            better.
        question: the question that people answered.
        system: the system whose improved pictures are compared.
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
            found[metric] = metric_agreement(*zip(*rows, strict=True))
    return found


def _compute(study: Study, kind: str, digest: str) -> Results:
    every, pairs = study.store.votes(), study.store.pairs()
    votes = [vote for vote in every if vote.kind == kind]
    if not votes:
        hint = f"; {len(every)} votes of programs do not count" if every else ""
        raise InputError(f"{study.folder} has no votes of a {kind} yet{hint}")
    return Results(
        schema_version=SCHEMA_VERSION,
        promptlift_version=__version__,
        votes_sha256=digest,
        study=study.store.settings()["study"],
        kind=kind,
        pairs=len(pairs),
        raters=tuple(
            Progress(name=rater.name, total=place.total, done=place.position)
            for rater in study.store.raters()
            for place in [study.store.place(rater, study.questions)]
        ),
        questions={
            question: _of_question(votes, pairs, question, kind) for question in study.questions
        },
    )


def _of_question(
    votes: Sequence[Vote], pairs: Sequence[JudgedPair], question: str, kind: str
) -> QuestionResults:
    names = sorted({name for pair in pairs for name in pair.systems} - {ORIGINAL})
    of_question = [vote for vote in votes if vote.question == question]
    against = {name: [vote for vote in of_question if {vote.left, vote.right} == {name, ORIGINAL}]
               for name in names}  # fmt: skip
    strengths = missing = None
    if len(names) > 1:
        try:
            strengths = bradley_terry(votes, question=question, kind=kind)
        except InputError as error:
            missing = str(error)
    known = {str(pair.id): WHOLE for pair in pairs}
    return QuestionResults(
        systems={name: _of_system(found, name, question, kind)
                 for name, found in against.items() if found},
        raters=tuple(rater_checks(votes, known=known, question=question, kind=kind)),
        bradley_terry=strengths,
        no_strengths=missing,
    )  # fmt: skip


def _of_system(votes: Sequence[Vote], system: str, question: str, kind: str) -> SystemResults:
    return SystemResults(
        rates=win_rates(votes, question=question, kind=kind, system=system),
        agreement=agreement(votes, question=question, kind=kind, system=system),
        evidence=evidence(votes, question=question, kind=kind, system=system),
    )


def _digest(study: Study) -> str:
    """SHA-256 of every record; pairs and tasks never change once they are assigned."""
    text = json.dumps([study.store.settings()["study"], study.store.records()])
    return hashlib.sha256(text.encode()).hexdigest()


def _typed(kind: Any, value: Any) -> Any:
    """A value that JSON gave, as the type that a field of a record names."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _typed(hint, value[name]) for name, hint in hints.items()})  # type: ignore[operator]
    inner = get_args(kind)
    if get_origin(kind) is tuple:
        return tuple(_typed(inner[0], one) for one in value)
    if get_origin(kind) is Mapping:
        return {key: _typed(inner[1], one) for key, one in value.items()}
    if get_origin(kind) is UnionType:  # of a type and None
        return None if value is None else _typed(inner[0], value)
    return value
