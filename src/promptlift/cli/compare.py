"""`promptlift compare`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import AsJson, Overwrite, arg, opt
from promptlift.cli.showing import aligned
from promptlift.errors import ConfigError
from promptlift.files import check_new
from promptlift.reporting.wording import counted


def compare(
    runs: Annotated[list[Path], arg("Run folders; the first is the reference.")],
    output: Annotated[Path | None, opt("Folder for a page with plots.", "--output", "-o")] = None,
    overwrite: Overwrite = False,
    examples: Annotated[int, typer.Option(help="Pairs to show side by side.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Say what sets runs apart: settings, final figures, a paired test, examples.

    Tests are made where all runs were measured on the same pairs. With several metrics or runs,
    read the corrected p (Holm).

    Examples:

      promptlift compare runs/one runs/two

      promptlift compare runs/one runs/two runs/three --output compared
    """
    with guarded():
        from promptlift.reporting.compare import compare_runs
        from promptlift.reporting.compare_page import write_comparison

        if examples < 0:
            raise ConfigError(f"--examples is {examples} and must be 0 or more")
        if output is not None:
            check_new([output / "index.html"], overwrite=overwrite)
        found = compare_runs(runs, examples=examples, report=say)
        if output is not None:
            say(f"page in {write_comparison(found, output)}")
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2) if as_json else _text(found))


def _text(found: dict[str, Any]) -> str:
    from promptlift.reporting.compare_page import unlike
    from promptlift.reporting.wording import interval, p_text

    names = [run["name"] for run in found["runs"]]
    settings = [[row["name"], *map(_cell, row["values"])] for row in found["settings"]]
    lines = ["What differs" if settings else "No setting, input or version differs"]
    lines += _table(["", *names], settings)
    figures = [
        [row["title"], *("-" if score is None else interval(score) for score in row["scores"])]
        for row in found["figures"]
    ]
    if figures:
        lines.append(f"\nFinal figures, from {found['figures_from']} (95% intervals)")
    lines += [*_table(["", *names], figures), *unlike(found)]
    if found["pairs"]["why_no_test"]:
        lines.append(f"\nNo paired test: {found['pairs']['why_no_test']}")
    else:
        n, count = found["pairs"]["n"], len(found["tests"])
        lines.append(
            f"\nPaired differences from {names[0]}, n = {n} pairs (95% intervals, p of a sign-flip "
            f"permutation test, corrected for {counted(count, 'test')} by Holm)"
        )
    tests = [
        [test["title"], test["run"], interval({**test, "value": test["difference"]}),
         p_text(test["p"]), p_text(test["p_holm"])]
        for test in found["tests"]
    ]  # fmt: skip
    lines += _table(["", "run", "difference", "p", "corrected p"], tests)
    for item in found["examples"]:
        texts = [item["source"], *item["predictions"], item["target"]]
        rows = zip(["source", *names, "target"], texts, strict=True)
        lines += ["", *(f"{name}: {' '.join(text.split())}" for name, text in rows if text)]
    return "\n".join(lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"  {line}" for line in aligned([heads, *rows])] if rows else []


def _cell(value: Any) -> str:
    text = "-" if value is None else " ".join(str(value).split())
    return text if len(text) <= 32 else text[:31] + "…"
