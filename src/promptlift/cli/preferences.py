"""`promptlift preferences`."""

from pathlib import Path
from typing import Annotated

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import JudgedRun, Overwrite, VoteKind, opt
from promptlift.files import check_new, check_overwrites


def preferences(
    run: JudgedRun,
    output: Annotated[
        Path | None,
        opt(
            "JSONL, CSV, TSV or Parquet, by its ending [RUN/judging/preferences.jsonl].",
            "--output",
            "-o",
        ),
    ] = None,
    overwrite: Overwrite = False,
    question: Annotated[str | None, opt("match or picture [the last that was asked].")] = None,
    kind: VoteKind = "person",
) -> None:
    """Write votes as preferences: of two texts for one prompt, the one that people chose.

    The file has the columns prompt, chosen and rejected that TRL's trainers read.

    Examples:

      promptlift preferences runs/mine
    """
    with guarded():
        from promptlift.judging.collecting.study import Study
        from promptlift.judging.preferences import COLUMNS, preferences_of
        from promptlift.judging.records import PERSON
        from promptlift.tables import write_rows

        study = Study.open([run], None)
        path = output or run / "judging" / "preferences.jsonl"
        check_overwrites([path], [study.store.path])
        check_new([output], overwrite=overwrite)  # the run's own file is made anew
        rows, undecided = preferences_of(study, question, kind=kind)
        write_rows(path, map(vars, rows), COLUMNS)
        by = "" if kind == PERSON else ", by a program, not by people"
        say(f"{len(rows)} preferences in {path}, {undecided} undecided left out{by}")
