"""What people prefer: their votes beside the paper's, and how metrics agree with them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptlift.errors import PromptliftError
from promptlift.judging.binomial import wilson
from promptlift.judging.rates import TIES_HALF, TIES_LOSE, WITHOUT_TIES
from promptlift.judging.records import PERSON, QUESTIONS
from promptlift.judging.results import agreement_with_metrics, results_of
from promptlift.judging.study import FILE, Study
from promptlift.reporting.page import Section, figures, heading, join, paragraph, table
from promptlift.reporting.picture_data import PictureData
from promptlift.reporting.plots import interval_plot
from promptlift.reporting.training_sections import Draw

_PAPER_WINS, _PAPER_VOTES = 79, 100
_RULES = {TIES_LOSE: "ties to the original", WITHOUT_TIES: "without ties",
          TIES_HALF: "ties as half"}  # fmt: skip


def preference(folder: Path, shown: PictureData, draw: Draw) -> Section | None:
    """The votes of people, by question, or what there is instead; None of an unjudged run."""
    if not (folder / FILE).is_file():
        return None
    try:
        study = Study.open([folder], None)
        results = results_of(study)
    except PromptliftError as error:
        return Section("What people prefer", paragraph(f"No figures: {error}"))
    programs = sum(vote.kind != PERSON for vote in study.store.votes())
    low, high = wilson(_PAPER_WINS, _PAPER_VOTES)
    parts = [
        paragraph(
            f"Blind votes on {results['pairs']} pairs. The paper's {_PAPER_WINS} of "
            f"{_PAPER_VOTES} ({_share(_PAPER_WINS / _PAPER_VOTES, low, high)}) are the votes of "
            "its author, who knew which picture was which, and gave ties to the original.",
            note=True,
        )
    ]
    if programs:
        parts.append(paragraph(f"{programs} votes of programs are not counted.", note=True))
    for question, found in results["questions"].items():
        parts.append(heading(QUESTIONS.get(question, question)))
        for system, part in found["systems"].items():
            parts += _rates(system, part, f"preference-{question}-{system}", draw)
        if strengths := found.get("bradley_terry"):
            parts.append(_strengths(strengths))
        parts.append(_raters(found["raters"]))
        gains = _gains(shown)
        agreed = agreement_with_metrics(study, gains, question=question) if gains else {}
        if agreed:
            parts.append(_metrics(agreed, shown))
    return Section("What people prefer", join(parts))


def _rates(system: str, part: Mapping[str, Any], name: str, draw: Draw) -> list[Any]:
    together, by_rater = part["rates"]["together"], part["rates"]["by_rater"]
    rows, plotted = [], []
    for rule, said in _RULES.items():
        rate = together["rates"][rule]
        crossed = _share(None, rate["crossed_low"], rate["crossed_high"])
        rows.append((said, _rate(rate), crossed, rate["n"]))
        if rate["rate"] is not None:
            plotted.append((said, rate["rate"], rate["low"], rate["high"]))
    rows += [
        (f"{rater}, {_RULES[TIES_LOSE]}", _rate(tally["rates"][TIES_LOSE]), "-", tally["votes"])
        for rater, tally in by_rater.items()
    ]
    low, high = wilson(_PAPER_WINS, _PAPER_VOTES)
    paper = _PAPER_WINS / _PAPER_VOTES
    rows.append(("the paper, not blind, ties to the original", _share(paper, low, high), "-",
                 _PAPER_VOTES))  # fmt: skip
    plotted.append(("the paper, not blind", paper, low, high))
    counts = (
        f"{system}: won {together['wins']}, lost {together['losses']}, tied {together['ties']}, "
        f"{together['both_bad']} of these both bad; {together['raters']} raters, "
        f"{together['prompts']} prompts; exact sign test, ties left out: p "
        f"{together['sign_test']:.2g}."
    )
    alpha, evidence = part["agreement"]["alpha"], part["evidence"]
    notes = [] if alpha is None else [f"Raters agree: Krippendorff's alpha {alpha:.2f}."]
    notes.append(
        f"Evidence against no difference, which may be looked at after every vote: e-value "
        f"{evidence['e_value']:.3g} (20 decides)."
    )
    header = ("win rate", "Wilson 95%", "over raters and prompts 95%", "votes")
    plot = interval_plot(f"Win rate of {system}", plotted, x="share of votes",
                         marked=len(plotted) - 1, line=0.5)  # fmt: skip
    caption = f"Wilson 95% intervals. n = {together['votes']} votes. Grey: the paper."
    return [paragraph(counts), table(rows, header, numbers=True),
            paragraph(" ".join(notes), note=True),
            figures([draw(plot, name, caption)])]  # fmt: skip


def _raters(checks: list[Mapping[str, Any]]) -> Any:
    rows = [
        (
            check["rater"],
            f"{check['alike']} of {check['repeats']}" if check["repeats"] else "-",
            "-" if check["chance"] is None else f"{check['chance']:.0%}",
            _share(check["left_share"], check["left_low"], check["left_high"]),
            f"{check['attention_passed']} of {check['attention']}" if check["attention"] else "-",
        )
        for check in checks
    ]
    header = ("rater", "repeated pairs answered alike", "by chance", "left preferred",
              "known pairs right")  # fmt: skip
    return table(rows, header, numbers=True)


def _strengths(found: Mapping[str, Any]) -> Any:
    if "missing" in found:
        return paragraph(f"No Bradley-Terry strengths: {found['missing']}", note=True)
    ends = zip(found["low"], found["high"], strict=True)
    rows = [
        (system, f"{strength:.2f}", f"{_end(low)} to {_end(high)}")
        for system, strength, (low, high) in zip(
            found["systems"], found["strengths"], ends, strict=True
        )
    ]
    return table(rows, ("system", "Bradley-Terry strength, log-odds", "95%"), numbers=True)


def _metrics(agreed: Mapping[str, Mapping[str, Any]], shown: PictureData) -> Any:
    rows = [
        (
            shown.title(metric),
            _share(found["accuracy"], found["accuracy_low"], found["accuracy_high"]),
            _number(found["tau"], found["tau_low"], found["tau_high"]),
            f"{found['decided']} of {found['pairs']}",
        )
        for metric, found in agreed.items()
    ]
    header = ("metric", "finds the picture that people prefer", "Kendall's tau-b", "decided pairs")
    note = "95% bootstrap intervals over prompts; chance is 50%."
    return join([table(rows, header, numbers=True), paragraph(note, note=True)])


def _gains(shown: PictureData) -> dict[str, dict[tuple[int, int], float]]:
    """By metric, how much better the first variant's picture is, by prompt and seed."""
    gains: dict[str, dict[tuple[int, int], float]] = {}
    for pair in shown.pairs:
        if pair.improved.variant == 0:
            for metric, gain in pair.gains.items():
                key = (pair.improved.prompt_index, pair.improved.seed)
                gains.setdefault(metric, {})[key] = gain
    return gains


def _rate(rate: Mapping[str, Any]) -> str:
    return "no votes" if rate["rate"] is None else _share(rate["rate"], rate["low"], rate["high"])


def _share(value: float | None, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return "-"
    ends = f"{low:.1%} to {high:.1%}"
    return ends if value is None else f"{value:.1%} ({ends})"


def _number(value: float | None, low: float | None, high: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ({_end(low)} to {_end(high)})"


def _end(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.2f}"
