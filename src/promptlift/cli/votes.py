"""`promptlift votes`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import JudgedRun, Overwrite, VoteKind
from promptlift.files import check_new, check_overwrites

if TYPE_CHECKING:
    from promptlift.judging.results import Results
    from promptlift.judging.statistics.rater_checks import RaterCheck
    from promptlift.judging.statistics.rates import WinRate
    from promptlift.judging.statistics.sequential_test import Evidence

app = typer.Typer(
    help="What votes say, and votes as files.", rich_markup_mode=None, no_args_is_help=True
)


@app.command()
def show(
    run: JudgedRun,
    kind: VoteKind = "person",
    as_json: Annotated[bool, typer.Option("--json", help="Print all statistics as JSON.")] = False,
) -> None:
    """Win rates with intervals, agreement between raters, and each rater's consistency.

    Examples:

      promptlift votes show runs/mine

      promptlift votes show runs/mine --json
    """
    with guarded():
        from promptlift.judging.collecting.study import Study
        from promptlift.judging.results import FILE, read_results

        results = read_results(Study.open([run], None), kind=kind)
        print(json.dumps(asdict(results)) if as_json else _text(results))
        say(f"all statistics in {run / FILE}")


@app.command()
def export(
    run: JudgedRun,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV, TSV, JSONL or Parquet, by its ending.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Write every vote, and every undo, to a file.

    Examples:

      promptlift votes export runs/mine --output votes.csv
    """
    with guarded():
        from promptlift.judging.collecting.study import Study
        from promptlift.judging.collecting.tables import export_votes

        study = Study.open([run], None)
        check_overwrites([output], [study.store.path])
        check_new([output], overwrite=overwrite)
        say(f"{export_votes(study.store, output)} records in {output}")


@app.command("import")
def import_(
    run: JudgedRun,
    votes: Annotated[Path, typer.Argument(help="File that `votes export` wrote.")],
) -> None:
    """Add votes of this study that were given elsewhere, as on a copy of the run.

    Examples:

      promptlift votes import runs/mine votes.csv
    """
    with guarded():
        from promptlift.judging.collecting.study import Study
        from promptlift.judging.collecting.tables import import_votes

        study = Study.open([run], None)
        say(f"{import_votes(study.store, votes)} new records of {votes}")


def _text(results: "Results") -> str:
    from promptlift.judging.statistics.rates import RULES

    lines = []
    for question, found in results.questions.items():
        for system, part in found.systems.items():
            tally = part.rates.together
            lines.append(
                f"{question}: {system} won {tally.wins} of {tally.votes} votes, lost "
                f"{tally.losses}, tied {tally.ties} ({tally.both_bad} both bad); "
                f"{tally.raters} raters, {tally.prompts} prompts; "
                f"sign test p {tally.sign_test:.2g}"
            )
            lines += [f"  {said}: {_rate(tally.rates[rule])}" for rule, said in RULES.items()]
            lines.append(_evidence(part.evidence))
            if part.agreement.alpha.value is not None:
                lines.append(
                    f"  raters agree: Krippendorff's alpha {part.agreement.alpha.value:.2f}"
                )
        lines += [_check(check) for check in found.raters]
        lines.append("")
    done = ", ".join(f"{rater.name} {rater.done}/{rater.total}" for rater in results.raters)
    return "\n".join([*lines, f"done: {done}"])


def _rate(rate: "WinRate") -> str:
    one, crossed = rate.wilson, rate.crossed
    if one.value is None:
        return "no votes"
    text = f"{one.value:.1%} [{one.low:.1%}, {one.high:.1%}]"
    if crossed.low is not None:
        text += f", over raters and prompts [{crossed.low:.1%}, {crossed.high:.1%}]"
    return text


def _evidence(evidence: "Evidence") -> str:
    verdict = (
        f"reached after {evidence.stop} prompts: you may stop"
        if evidence.stop
        else "20 not reached: more votes may decide it, and looking again costs nothing"
    )
    return (
        f"  evidence against no difference: e-value {evidence.e_value:.3g}; {verdict}\n"
        f"  win rate of first decided votes, however often you look: "
        f"[{evidence.low:.1%}, {evidence.high:.1%}] of {evidence.prompts} prompts"
    )


def _check(check: "RaterCheck") -> str:
    parts = []
    if check.consistency.value is not None:
        parts.append(
            f"{check.alike} of {check.repeats} repeated pairs answered alike "
            f"(chance {check.chance:.0%})"
        )
    if check.left_share.value is not None:
        parts.append(f"left preferred in {check.left_share.value:.0%}, p {check.left_test:.2g}")
    if check.attention:
        parts.append(f"{check.attention_passed} of {check.attention} known pairs right")
    return f"  {check.rater}: {'; '.join(parts) or 'no repeated or decided pairs'}"
