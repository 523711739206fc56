"""What people prefer: their votes beside the paper's, and how metrics agree with them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path

from promptlift.errors import PromptliftError
from promptlift.judging.collecting.study import FILE, Study
from promptlift.judging.records import PERSON, QUESTIONS
from promptlift.judging.results import Results, SystemResults, agreement_with_metrics, read_results
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
    columns,
    figures,
    join,
    note,
    paragraph,
    section,
    subsection,
    table,
)
from promptlift.reporting.picture_data import PictureData
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import interval_plot
from promptlift.reporting.wording import Ends, counts, p_text
from promptlift.statistics import Estimate, wilson

TITLE = "What people prefer"
_PAPER_WINS, _PAPER_VOTES = 79, 100
_PAPER = Estimate(_PAPER_WINS / _PAPER_VOTES, *wilson(_PAPER_WINS, _PAPER_VOTES))
_RULES = {TIES_LOSE: "ties to the original", WITHOUT_TIES: "without ties",
          TIES_HALF: "a tie as half a win"}  # fmt: skip

_Gains = dict[str, dict[str, dict[tuple[int, int], float]]]


def preference(folder: Path, shown: PictureData, draw: Draw) -> Section | None:
    """The votes of people, by question, or why there are none; None of an unjudged run."""
    if not (folder / FILE).is_file():
        return None
    study = None
    try:
        study = Study.open([folder], None)
        results = read_results(study)
        return section(TITLE, *_of_study(study, results, shown, draw), finding=_won(results))
    except PromptliftError as error:
        return section(TITLE, paragraph(f"No figures: {error}"))
    finally:
        if study:
            study.store.close()


def _won(results: Results) -> str:
    """What people prefer, by question and system, in a line."""
    said = []
    for question, found in results.questions.items():
        for system, part in found.systems.items():
            all_votes = part.rates.together
            said.append(
                f"Asked “{QUESTIONS.get(question, question)}”, people preferred {system} "
                f"{all_votes.wins:,} times, the original {all_votes.losses:,} times and neither "
                f"{all_votes.ties:,} times, on {all_votes.prompts:,} prompts: "
                f"{_share(all_votes.rates[TIES_HALF].wilson)} with a tie as half a win."
            )
    return " ".join(said)


def _of_study(study: Study, results: Results, shown: PictureData, draw: Draw) -> Iterator[Html]:
    votes = study.store.votes()
    yield note(
        f"Raters voted blind on {results.pairs} pairs. The paper's {_PAPER_WINS} of {_PAPER_VOTES} "
        f"({_share(_PAPER)}) are the votes of one rater, its author, who knew which picture was "
        "which and gave ties to the original. The two pictures of each of its pairs came from "
        "different noise."
    )
    if programs := [vote.rater for vote in votes if vote.kind != PERSON]:
        yield note(
            f"Programs gave {len(programs)} more votes ({', '.join(sorted(set(programs)))}), which "
            "no figure here includes. They are shown by: promptlift votes show --kind simulated."
        )
    gains = _gains(study, shown)
    for question, found in results.questions.items():
        skipped = sum(
            (vote.answer, vote.question, vote.kind) == ("skip", question, PERSON) for vote in votes
        )
        missing = found.no_strengths
        yield subsection(
            QUESTIONS.get(question, question),
            *(
                _rates(system, part, f"preference-{question}-{system}", draw)
                for system, part in found.systems.items()
            ),
            _strengths(found.bradley_terry) if found.bradley_terry else None,
            note(f"No Bradley-Terry strengths: {missing}") if missing else None,
            _raters(found.raters),
            note(f"Raters skipped {skipped} pairs, which no figure includes.") if skipped else None,
            *(
                _metrics(agreed, shown, system if len(found.systems) > 1 else "",
                         f"metrics-and-people-{question}-{system}", draw)
                for system, of_system in gains.items()
                if (agreed := agreement_with_metrics(study, of_system, question=question,
                                                     system=system))
            ),
        )  # fmt: skip


def _rates(system: str, part: SystemResults, name: str, draw: Draw) -> Html:
    together, by_rater = part.rates.together, part.rates.by_rater
    over = "raters and prompts" if together.raters > 1 else "prompts"
    crossed = [_share(replace(together.rates[rule].crossed, value=None)) for rule in _RULES]
    rows = [_row("all raters", together), (f"all, over {over}", *[""] * 5, *crossed, "")]
    if len(by_rater) > 1:
        rows += [_row(rater, tally) for rater, tally in by_rater.items()]
    rows.append(("the paper, not blind", _PAPER_VOTES, _PAPER_WINS, "-", "-", "-", _share(_PAPER),
                 "-", "-", "-"))  # fmt: skip
    rates = {title: together.rates[rule].wilson for rule, title in _RULES.items()}
    plotted = [(title, *_percent(rate)) for title, rate in rates.items() if rate.value is not None]
    return join([
        paragraph(
            f"{system}: won {together.wins}, lost {together.losses}, tied {together.ties}; "
            f"{together.raters} raters, {together.prompts} prompts."
        ),
        note(
            "In brackets are Wilson's 95% intervals, which take votes as independent. The second "
            f"row has 95% intervals of a bootstrap over {over}; such an interval has no width "
            "where all votes agree, and is too narrow where a few raters differ much. p is that "
            "of the exact two-sided sign test, which leaves ties out."
        ),
        table(rows, ("win rate", "votes", "won", "lost", "tied", "ties with both bad",
                     *_RULES.values(), "p"), numbers=True),
        bullets([_agreement(part.agreement), _evidence(part.evidence)]),
        figures([draw(
            interval_plot, name, f"Votes won by {system}",
            [*plotted, ("the paper, not blind", *_percent(_PAPER))],
            x="% of votes", marked=len(plotted), line=50,
            caption=f"n = {together.votes} votes, Wilson's 95% intervals. Grey: the paper, ties to "
                    "the original. Dotted: chance, where ties are left out or count as half.",
        )]),
    ])  # fmt: skip


def _row(name: str, tally: Tally) -> tuple[object, ...]:
    shares = [_share(tally.rates[rule].wilson) for rule in _RULES]
    return (name, tally.votes, tally.wins, tally.losses, tally.ties,
            tally.both_bad, *shares, p_text(tally.sign_test))  # fmt: skip


def _agreement(found: Agreement) -> str:
    if len(found.raters) < 2:
        return "Only one rater voted, so there is no agreement between raters."
    alpha = "not defined" if found.alpha.value is None else _number(found.alpha)
    return (
        f"Krippendorff's alpha is {alpha}, n = {found.pairs} pairs that two raters "
        "or more judged; 1 is perfect agreement and 0 is chance."
    )


def _evidence(found: Evidence) -> str:
    if not found.prompts:
        return "No first vote on a prompt preferred a picture, so there is no evidence yet."
    reached = (
        f"it reached 20 after {found.stop}, which is enough to stop"
        if found.stop
        else "20 would be enough to stop"
    )
    return (
        "Evidence that you may look at after every vote, from the first vote on each prompt: the "
        f"e-value against no difference is {found.e_value:.3g}, n = {found.prompts} decided votes; "
        f"{reached}. The win rate without ties is {found.low:.1%} to {found.high:.1%} "
        "(95% confidence sequence)."
    )


def _raters(checks: Sequence[RaterCheck]) -> Html:
    def alike(check: RaterCheck) -> str:
        ends = check.consistency
        return f"{check.alike} of {check.repeats} ({ends.low:.0%} to {ends.high:.0%})"

    return columns(checks, {
        "rater": lambda check: check.rater,
        "repeats answered alike": lambda check: alike(check) if check.repeats else "-",
        "by chance": lambda check: "-" if check.chance is None else f"{check.chance:.0%}",
        "left preferred": lambda check: _share(check.left_share),
        "p of side bias": lambda check: p_text(check.left_test) if check.decided else "-",
        "known pairs right": lambda check:
            f"{check.attention_passed} of {check.attention}" if check.attention else "-",
    })  # fmt: skip


def _strengths(found: Strengths) -> Html:
    rows = zip(found.systems, found.strengths, found.low, found.high, strict=True)
    return columns(rows, {
        "system": lambda row: row[0],
        "Bradley-Terry strength, log-odds": lambda row: f"{row[1]:.2f}",
        "95%": lambda row: f"{_end(row[2])} to {_end(row[3])}",
    })  # fmt: skip


def _metrics(
    agreed: Mapping[str, MetricAgreement], shown: PictureData, system: str, name: str, draw: Draw
) -> Html:
    plotted = [(shown.title(metric), *_percent(found.accuracy))
               for metric, found in agreed.items() if found.accuracy.value is not None]  # fmt: skip
    decided = counts(found.decided for found in agreed.values())
    return join([
        note(
            "How often each metric picks the picture that people prefer, on pairs where people are "
            "not evenly split, and how well its differences rank the pairs as people's mean votes "
            "do (Kendall's tau-b). The intervals are 95% bootstrap intervals over prompts. A "
            "metric that guesses has 50% and 0."
        ),
        columns(agreed.items(), {
            f"metric{f', of {system}' if system else ''}": lambda item: shown.title(item[0]),
            "finds the preferred picture": lambda item: _share(item[1].accuracy),
            "Kendall's tau-b": lambda item: _number(item[1].tau),
            "decided pairs": lambda item: f"{item[1].decided} of {item[1].pairs}",
            "prompts": lambda item: item[1].prompts,
        }),
        figures([draw(
            interval_plot, name, "Preferred pictures found by metrics", plotted,
            x="% of decided pairs", marked=len(plotted), line=50,
            caption=f"n = {decided} decided pairs, 95% intervals. Dotted: chance.",
        )]),
    ])  # fmt: skip


def _gains(study: Study, shown: PictureData) -> _Gains:
    """By system and metric how much better its picture is, by prompt and seed.

    Metrics of pairs, such as directional similarity, prefer neither picture.
    """
    gains: _Gains = {}
    for pair in shown.pairs:
        of_system = gains.setdefault(study.system_of(pair.improved), {})
        for metric in (name for name in pair.values if name in pair.gains):
            key = (pair.improved.prompt_index, pair.improved.seed)
            of_system.setdefault(metric, {})[key] = pair.gains[metric]
    return gains


def _percent(found: Estimate) -> Ends:
    """A share in percent with its ends, to be plotted."""
    value, low, high = (0 if end is None else 100 * end for end in astuple(found))
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
