"""`promptlift prefer`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.errors import ConfigError, InputError
from promptlift.files import check_overwrites

if TYPE_CHECKING:
    from promptlift.judging.preferences import Preference
    from promptlift.judging.reranker import Reranker


def prefer(
    run: Annotated[Path, typer.Argument(help="Run folder of `judge`.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="JSONL, CSV, TSV or Parquet, by its ending [RUN/judging/preferences.jsonl].",
            show_default=False,
        ),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(help="match or picture [the last that was asked].", show_default=False),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="person, or simulated for votes that a program gave.")
    ] = "person",
    rerank: Annotated[
        Path | None,
        typer.Option(
            help="Improvements with several variants, to be put in order.", show_default=False
        ),
    ] = None,
    best: Annotated[
        Path | None,
        typer.Option(
            help="Where --rerank writes them, the best variant first.", show_default=False
        ),
    ] = None,
) -> None:
    """Turn votes into a preference set, and learn from it which variants people prefer.

    The set has the columns prompt, chosen and rejected that TRL's trainers read. With votes on
    enough prompts a small model of them is measured on held-out prompts and kept in
    RUN/judging/reranker.json; it is used only where --rerank asks for it.

    Examples:

      promptlift prefer runs/mine

      promptlift prefer runs/mine --rerank improved.jsonl --best ordered.jsonl
    """
    with guarded():
        from promptlift.judging.collecting.study import Study
        from promptlift.judging.preferences import COLUMNS, preferences_of
        from promptlift.judging.records import PERSON, QUESTIONS, SIMULATED
        from promptlift.tables import write_rows

        if (rerank is None) != (best is None):
            raise ConfigError("--rerank FILE and --best FILE belong together")
        if kind not in (PERSON, SIMULATED):
            raise ConfigError(f"kind is {kind!r} and must be {PERSON} or {SIMULATED}")
        if question not in (None, *QUESTIONS):
            raise ConfigError(f"question is {question!r} and must be {' or '.join(QUESTIONS)}")
        study = Study.open([run], None)
        path = output or run / "judging" / "preferences.jsonl"
        check_overwrites(
            [path, *([best] if best else [])], [study.store.path, *([rerank] if rerank else [])]
        )
        asked = question or study.questions[-1]
        rows, undecided = preferences_of(study, asked, kind=kind)
        write_rows(path, (row.to_dict() for row in rows), COLUMNS)
        by = "" if kind == PERSON else ", by a program, not by people"
        say(f"{len(rows)} preferences in {path}, {undecided} undecided left out{by}")
        reranker = _learn(rows, run / "judging" / "reranker.json", kind, asked)
        if rerank is not None and best is not None:
            if reranker is None:
                raise InputError("these votes cannot put variants in order; ask more people")
            write_rows(best, _ordered(reranker, rerank), [])
            say(f"the best variant first in {best}")


def _learn(rows: "list[Preference]", path: Path, kind: str, question: str) -> "Reranker | None":
    from promptlift.judging.reranker import (
        MIN_PROMPTS,
        Reranker,
        held_out,
        orders_variants,
        save_reranker,
    )

    prompts = len({row.prompt_index for row in rows})
    if prompts < MIN_PROMPTS:
        say(f"votes decide on {prompts} prompts; to learn from them takes {MIN_PROMPTS}")
        return None
    measured = held_out(rows)
    reranker = Reranker.fit(rows)
    save_reranker(reranker, path, measured, kind=kind, question=question)
    print(
        f"on held-out prompts the preferred text is found in {measured['accuracy']:.1%} "
        f"[{measured['low']:.1%}, {measured['high']:.1%}] of {measured['n']} preferences, "
        f"p {measured['p']:.2g}; the longer text is it in {measured['longer']:.1%}"
    )
    say(f"weights in {path}")
    if not orders_variants(measured):
        print(
            "that is no better than chance, or than taking the longer text "
            f"(p {measured['p_longer']:.2g}), so it says nothing of the order of variants"
        )
        return None
    return reranker


def _ordered(reranker: "Reranker", path: Path) -> "Any":
    """Rows of improvements, of each prompt the best variant first."""
    from promptlift.illustrating.inputs import read_entries
    from promptlift.tables import Fault

    for entry in read_entries(path):
        if isinstance(entry, Fault):
            say(f"{path} row {entry.number}: {entry.message}")
            continue
        scored = [(reranker.score(one.source, one.prompt), one) for one in entry.variants]
        for score, one in sorted(scored, key=lambda item: -item[0]):
            yield {"index": entry.index, **one.to_dict(), "preference": score}
