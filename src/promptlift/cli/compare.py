"""`promptlift compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders; the first is the reference.",
                                   show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for a page with plots.", show_default=False),
    ] = None,
    examples: Annotated[int, typer.Option(help="Pairs to show side by side.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:  # fmt: skip
    """Say what sets runs apart: settings, final figures, a paired test, examples.

    Tests are made where all runs were measured on the same pairs. With several metrics or runs,
    read the corrected p (Holm).

    Examples:

      promptlift compare runs/one runs/two

      promptlift compare runs/one runs/two runs/three --output compared
    """
    with guarded():
        import json as json_module

        from promptlift.errors import ConfigError
        from promptlift.reporting.compare import compare_runs
        from promptlift.reporting.compare_page import write_comparison

        if examples < 0:
            raise ConfigError(f"--examples is {examples} and must be 0 or more")
        found = compare_runs(runs, examples=examples, report=say)
        if output is not None:
            say(f"page in {write_comparison(found, output)}")
        if json:
            typer.echo(json_module.dumps(found, ensure_ascii=False, indent=2))
        else:
            _show(found)


def _show(found: dict[str, Any]) -> None:
    from promptlift.reporting.compare_page import unlike
    from promptlift.reporting.wording import interval, p_text

    names = [run["name"] for run in found["runs"]]
    settings = [[row["name"], *map(_cell, row["values"])] for row in found["settings"]]
    typer.echo("What differs" if settings else "No setting, input or version differs")
    if settings:
        _table([["", *names], *settings])
    figures = [
        [row["title"], *("-" if score is None else interval(score) for score in row["scores"])]
        for row in found["figures"]
    ]
    if figures:
        typer.echo(f"\nFinal figures, from {found['figures_from']} (95% intervals)")
        _table([["", *names], *figures])
    for line in unlike(found):
        typer.echo(line)
    if found["pairs"]["why_no_test"]:
        typer.echo(f"\nNo paired test: {found['pairs']['why_no_test']}")
    else:
        n, tests = found["pairs"]["n"], len(found["tests"])
        typer.echo(
            f"\nPaired differences from {names[0]}, n = {n} pairs (95% intervals, p of a sign-flip "
            f"permutation test, corrected for {tests} tests by Holm)"
        )
        _table(
            [["", "run", "difference", "p", "corrected p"]]
            + [[test["title"], test["run"], interval({**test, "value": test["difference"]}),
                p_text(test["p"]), p_text(test["p_holm"])] for test in found["tests"]]
        )  # fmt: skip
    for item in found["examples"]:
        typer.echo("")
        rows = [("source", item["source"]), *zip(names, item["predictions"], strict=True),
                ("target", item["target"])]  # fmt: skip
        for name, text in rows:
            if text:
                typer.echo(f"{name}: {' '.join(text.split())}")


def _table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  " + "  ".join(cells).rstrip())


def _cell(value: Any) -> str:
    text = "-" if value is None else " ".join(str(value).split())
    return text if len(text) <= 32 else text[:31] + "…"
