"""A page that shows what is in a set of pairs: one HTML file with its plots inside."""

from pathlib import Path
from typing import Any

from promptlift.files import write_text
from promptlift.reporting.page import Section, figure, figures, page, table
from promptlift.reporting.plots import bar_plot, histogram, inline


def write_pairs_page(found: dict[str, Any], title: str, path: Path) -> None:
    """Write the page of a description that `promptlift.pairs.describe` made.

    Args:
        found: the description.
        title: shown as heading, for instance the file's name.
        path: HTML file to write; it needs nothing beside it, and no network.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    adding = [(kind, 100 * share) for kind, share in found["share_adding"].items()]
    plots = [
        _lengths(found["source_words"], "Words of sources"),
        _lengths(found["target_words"], "Words of targets"),
        bar_plot("Targets that add a …", adding, x="% of pairs", form="{:.0f}%"),
        _top(found["top_source_words"], "Commonest words of sources"),
        _top(found["top_target_words"], "Commonest words of targets"),
        _top(found["top_target_phrases"], "Commonest phrases of targets"),
    ]
    drawn = [inline(plot, f"plot-{number}") for number, plot in enumerate(plots, 1)]
    captions = [_spread(found[f"{side}_words"]) for side in ("source", "target")]
    captions += [""] * (len(drawn) - 2)
    sections = [
        Section("In figures", table(_table(found), numbers=True)),
        Section("Plots", figures(map(figure, drawn, captions))),
    ]
    write_text(path, page(title, sections))


def _table(found: dict[str, Any]) -> list[tuple[str, str]]:
    kept = found["survival"]
    rows = [("pairs", f"{found['pairs']:,}")]
    rows += [(f"pairs to {mode}", f"{count:,}") for mode, count in found["modes"].items()]
    rows += [
        (name.replace("_", " "), f"{found[name]:,}")
        for name in ("distinct_sources", "distinct_targets", "repeated_pairs", "prompts")
    ]
    limit = found["near_duplicate_threshold"]
    rows.append((f"near-duplicate prompts ({limit} alike or more)",
                 f"{found['near_duplicate_prompts']:,}"))  # fmt: skip
    if kept["pairs"]:
        rows.append(("words of the source that survive a rewrite, mean", f"{kept['mean']:.1%}"))
        rows.append(("rewrites in which all survive", f"{kept['all_words']:.1%}"))
    return rows


def _lengths(lengths: dict[str, Any], title: str) -> Any:
    values = [int(n) for n, count in lengths["histogram"].items() for _ in range(count)]
    return histogram(title, [("pairs", values)], x="words", y="pairs")


def _spread(lengths: dict[str, Any]) -> str:
    return f"Median {lengths['median']}, mean {lengths['mean']}, longest {lengths['longest']}."


def _top(rows: list[list[Any]], title: str) -> Any:
    return bar_plot(title, [(str(name), count) for name, count in rows], x="pairs")
