"""`promptlift votes`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promptlift.cli.door import go_offline, guarded, say
from promptlift.cli.parameters import JudgedRun, Overwrite, VoteKind, arg, opt
from promptlift.errors import ConfigError
from promptlift.files import check_new, check_overwrites
from promptlift.scoring.pictures.config import PAPER_CLIP

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


@app.command()
def learn(
    runs: Annotated[list[Path], arg("Run folders of `judge`.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File of the head, as votes.safetensors.")
    ],
    clip: Annotated[
        str, typer.Option(help="CLIP or SigLIP whose features it reads: folder, Hub name, pocket.")
    ] = PAPER_CLIP,
    question: Annotated[str | None, opt("match or picture [the last that was asked].")] = None,
    kind: VoteKind = "person",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    offline: Annotated[bool, typer.Option("--offline", help="Do not use the network.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Learn from votes what people prefer: a head for `score --aesthetic` and `pick`.

    Says how often it agrees with votes on prompts that it did not learn from.

    Examples:

      promptlift votes learn runs/mine -o mine.safetensors

      promptlift pick "a cat" -n 4 -o runs/cat --metric aesthetic --aesthetic mine.safetensors
    """
    with guarded():
        go_offline(offline)

        from promptlift.judging.collecting.study import Study
        from promptlift.judging.learning import comparisons_of, learn_head, save_head
        from promptlift.judging.records import PERSON
        from promptlift.picture_files import PictureReader
        from promptlift.scoring.pictures.config import PictureScoringConfig
        from promptlift.scoring.pictures.feature_cache import CACHE, FeatureCache
        from promptlift.scoring.pictures.preference_models import ScorerContext

        if output.suffix != ".safetensors":
            raise ConfigError(f"{output} must end in .safetensors")
        check_new([output], overwrite=overwrite)
        config = PictureScoringConfig(clip=clip, device=device, offline=offline)
        studies = [Study.open([run], None) for run in runs]
        cache = FeatureCache(runs[0] / "scores" / CACHE)
        try:
            reader = PictureReader(config.batch_size)
            encoder = ScorerContext(config=config, cache=cache, reader=reader).encoder(clip)
            given = comparisons_of(studies, encoder, reader, question=question, kind=kind)
            head = learn_head(given)
        finally:
            cache.close()
        save_head(head, output, clip, encoder.model_id)
        value, low, high = head.accuracy
        by = "" if kind == PERSON else f"{kind} "
        say(
            f"{head.votes} {by}votes on {head.prompts} prompts, {head.ties} ties left out; of "
            f"votes on other prompts the head agrees with {value:.1%} [{low:.1%}, {high:.1%}]; "
            f"head in {output}"
        )


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
