"""What people prefer: their votes beside the paper's, and how metrics agree with them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from promptlift.errors import PromptliftError
from promptlift.judging.collecting.study import FILE, Study
from promptlift.judging.records import PERSON, QUESTIONS
from promptlift.judging.results import SystemResults, agreement_with_metrics, read_results
from promptlift.judging.statistics.agreement import Agreement
from promptlift.judging.statistics.bradley_terry import Strengths
from promptlift.judging.statistics.metrics_agreement import MetricAgreement
from promptlift.judging.statistics.rater_checks import RaterCheck
from promptlift.judging.statistics.rates import TIES_HALF, TIES_LOSE, WITHOUT_TIES, Tally
from promptlift.judging.statistics.sequential_test import Evidence
from promptlift.reporting.page import (
    Html,
    Section,
    bullets,
    figures,
    heading,
    join,
    paragraph,
    table,
)
from promptlift.reporting.picture_data import PictureData
from promptlift.reporting.plots import Draw, interval_plot
from promptlift.reporting.wording import counts, p_text
from promptlift.statistics import Estimate, wilson

TITLE = "What people prefer"
_PAPER_WINS, _PAPER_VOTES = 79, 100
_PAPER = Estimate(_PAPER_WINS / _PAPER_VOTES, *wilson(_PAPER_WINS, _PAPER_VOTES))
_RULES = {TIES_LOSE: "ties to the original", WITHOUT_TIES: "without ties",
          TIES_HALF: "ties as half"}  # fmt: skip

_Gains = dict[str, dict[str, dict[tuple[int, int], float]]]


def preference(folder: Path, shown: PictureData, draw: Draw) -> Section | None:
    """The votes of people, by question, or what there is instead; None of an unjudged run."""
    if not (folder / FILE).is_file():
        return None
    try:
        study = Study.open([folder], None)
    except PromptliftError as error:
        return Section(TITLE, paragraph(f"No figures: {error}"))
    try:
        return Section(TITLE, join(_of_study(study, shown, draw)))
    except PromptliftError as error:
        return Section(TITLE, paragraph(f"No figures: {error}"))
    finally:
        study.store.close()


def _of_study(study: Study, shown: PictureData, draw: Draw) -> list[Html]:
    results, votes = read_results(study), study.store.votes()
    parts = [
        paragraph(
            f"Blind votes on {results.pairs} pairs. The paper's {_PAPER_WINS} of "
            f"{_PAPER_VOTES} ({_share(_PAPER)}) are the votes of "
            "one rater, its author, who knew which picture was which, and gave ties to the "
            "original; the two pictures of a pair came from different noise.",
            note=True,
        )
    ]
    if programs := [vote for vote in votes if vote.kind != PERSON]:
        names = ", ".join(sorted({vote.rater for vote in programs}))
        parts.append(
            paragraph(
                f"{len(programs)} votes are of programs ({names}) and in no figure here: "
                "promptlift votes show --kind simulated.",
                note=True,
            )
        )
    gains = _gains(study, shown)
    for question, found in results.questions.items():
        parts.append(heading(QUESTIONS.get(question, question)))
        several = len(found.systems) > 1
        for system, part in found.systems.items():
            parts += _rates(system, part, f"preference-{question}-{system}", draw)
        if found.bradley_terry:
            parts.append(_strengths(found.bradley_terry))
        if found.no_strengths:
            parts.append(paragraph(f"No Bradley-Terry strengths: {found.no_strengths}", note=True))
        parts.append(_raters(found.raters))
        skipped = sum(
            (vote.answer, vote.question, vote.kind) == ("skip", question, PERSON) for vote in votes
        )
        if skipped:
            parts.append(paragraph(f"Skipped, and in no figure: {skipped}.", note=True))
        for system, of_system in gains.items():
            agreed = agreement_with_metrics(study, of_system, question=question, system=system)
            if agreed:
                name = f"metrics-and-people-{question}-{system}"
                parts += _metrics(agreed, shown, system if several else "", name, draw)
    return parts


def _rates(system: str, part: SystemResults, name: str, draw: Draw) -> list[Html]:
    together, by_rater = part.rates.together, part.rates.by_rater
    rates = together.rates
    over = "raters and prompts" if together.raters > 1 else "prompts"
    crossed = [_share(replace(rates[rule].crossed, value=None)) for rule in _RULES]
    rows = [_row("all raters", together), (f"all, over {over}", *[""] * 5, *crossed, "")]
    if len(by_rater) > 1:
        rows += [_row(rater, tally) for rater, tally in by_rater.items()]
    rows.append(("the paper, not blind", _PAPER_VOTES, _PAPER_WINS, "-", "-", "-",
                 _share(_PAPER), "-", "-", "-"))  # fmt: skip
    outcome = (
        f"{system}: won {together.wins}, lost {together.losses}, tied {together.ties}; "
        f"{together.raters} raters, {together.prompts} prompts."
    )
    note = (
        "In brackets Wilson's 95% intervals, which take votes as independent; in the second row "
        f"95% intervals of a bootstrap over {over}, which has no width where all votes agree and "
        "is too narrow where few raters differ much. p: exact two-sided sign test, ties left out."
    )
    header = ("win rate", "votes", "won", "lost", "tied", "of these both bad", *_RULES.values(),
              "p")  # fmt: skip
    plotted = [
        (said, *_percent(rates[rule].wilson))
        for rule, said in _RULES.items()
        if rates[rule].wilson.value is not None
    ]
    plot = interval_plot(
        f"Votes won by {system}",
        [*plotted, ("the paper, not blind", *_percent(_PAPER))],
        x="% of votes", marked=len(plotted), line=50,
    )  # fmt: skip
    caption = (
        f"n = {together.votes} votes, Wilson's 95% intervals. Grey: the paper, ties to the "
        "original. Dotted: what a coin gives where ties are left out or count as half."
    )
    return [paragraph(outcome), paragraph(note, note=True), table(rows, header, numbers=True),
            bullets([*_agreement(part.agreement), _evidence(part.evidence)]),
            figures([draw(plot, name, caption)])]  # fmt: skip


def _row(name: str, tally: Tally) -> tuple[object, ...]:
    shares = [_share(tally.rates[rule].wilson) for rule in _RULES]
    return (name, tally.votes, tally.wins, tally.losses, tally.ties,
            tally.both_bad, *shares, p_text(tally.sign_test))  # fmt: skip


def _agreement(found: Agreement) -> list[str]:
    if len(found.raters) < 2:
        return ["One rater alone: nobody to agree with."]
    return [
        "Krippendorff's alpha "
        f"{_number(found.alpha)}, "
        f"n = {found.pairs} pairs that two raters or more judged; 1 is perfect, 0 is chance."
    ]


def _evidence(found: Evidence) -> str:
    if not found.prompts:
        return "No first vote on a prompt was decided: no evidence yet."
    reached = (
        f"20 was reached after {found.stop}, enough to stop"
        if found.stop
        else "20 would be enough to stop"
    )
    return (
        "Evidence that may be looked at after every vote, of the first vote on each prompt: "
        f"e-value {found.e_value:.3g} against no difference, n = {found.prompts} decided; "
        f"{reached}. Win rate without ties {found.low:.1%} to {found.high:.1%} "
        "(95% confidence sequence)."
    )


def _raters(checks: Sequence[RaterCheck]) -> Html:
    rows = [
        (
            check.rater,
            f"{check.alike} of {check.repeats} ({check.consistency.low:.0%} to "
            f"{check.consistency.high:.0%})"
            if check.repeats
            else "-",
            "-" if check.chance is None else f"{check.chance:.0%}",
            _share(check.left_share),
            "-" if check.left_share.value is None else p_text(check.left_test),
            f"{check.attention_passed} of {check.attention}" if check.attention else "-",
        )
        for check in checks
    ]
    header = ("rater", "repeats answered alike", "by chance", "left preferred", "p of side bias",
              "known pairs right")  # fmt: skip
    return table(rows, header, numbers=True)


def _strengths(found: Strengths) -> Html:
    ends = zip(found.low, found.high, strict=True)
    rows = [
        (system, f"{strength:.2f}", f"{_end(low)} to {_end(high)}")
        for system, strength, (low, high) in zip(found.systems, found.strengths, ends, strict=True)
    ]
    return table(rows, ("system", "Bradley-Terry strength, log-odds", "95%"), numbers=True)


def _metrics(
    agreed: Mapping[str, MetricAgreement], shown: PictureData, system: str, name: str, draw: Draw
) -> list[Html]:
    rows, plotted = [], []
    for metric, found in agreed.items():
        tau = _number(found.tau)
        decided = f"{found.decided} of {found.pairs}"
        rows.append((shown.title(metric), _share(found.accuracy), tau, decided, found.prompts))
        if found.accuracy.value is not None:
            plotted.append((shown.title(metric), *_percent(found.accuracy)))
    header = (f"metric{f', of {system}' if system else ''}", "finds the preferred picture",
              "Kendall's tau-b", "decided pairs", "prompts")  # fmt: skip
    note = (
        "Whether each automatic metric finds the picture that people prefer, where they are not "
        "evenly split, and how its differences rank beside their mean votes. 95% bootstrap "
        "intervals over prompts; a metric that tosses a coin has 50% and 0."
    )
    parts = [paragraph(note, note=True), table(rows, header, numbers=True)]
    if plotted:
        plot = interval_plot("Preferred pictures found by metrics", plotted,
                             x="% of decided pairs", marked=len(plotted), line=50)  # fmt: skip
        n = counts(row.decided for row in agreed.values())
        caption = f"n = {n} decided pairs, 95% intervals; dotted: a coin."
        parts.append(figures([draw(plot, name, caption)]))
    return parts


def _gains(study: Study, shown: PictureData) -> _Gains:
    """By system and metric how much better its picture is, by prompt and seed.

    Metrics of pairs, such as directional similarity, prefer neither picture.
    """
    gains: _Gains = {}
    for pair in shown.pairs:
        of_system = gains.setdefault(study.system_of(pair.improved), {})
        for metric in pair.values:
            if metric in pair.gains:
                key = (pair.improved.prompt_index, pair.improved.seed)
                of_system.setdefault(metric, {})[key] = pair.gains[metric]
    return gains


def _percent(found: Estimate) -> tuple[float, float, float]:
    ends = found.value, found.low, found.high
    value, low, high = (math.nan if end is None else 100 * end for end in ends)
    return value, low, high


def _share(found: Estimate) -> str:
    """A share with its interval; the interval alone where there is no value."""
    value, low, high = found.value, found.low, found.high
    if low is None or high is None or (value is None and (low, high) == (0.0, 1.0)):
        return "-"
    ends = f"{low:.1%} to {high:.1%}"
    return ends if value is None else f"{value:.1%} ({ends})"


def _number(found: Estimate) -> str:
    if found.value is None:
        return "-"
    return f"{found.value:.2f} ({_end(found.low)} to {_end(found.high)})"


def _end(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.2f}"
