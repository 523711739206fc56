"""A page that shows what is in a set of pairs: one HTML file with its plots inside."""

from pathlib import Path
from typing import Any

from promptlift.files import write_text
from promptlift.reporting.page import figure, figures, page, section, table
from promptlift.reporting.plot_files import inline
from promptlift.reporting.plots import bar_plot, histogram
from promptlift.reporting.wording import spoken


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
    plots = {
        _lengths(found["source_words"], "Words of sources"): _spread(found["source_words"]),
        _lengths(found["target_words"], "Words of targets"): _spread(found["target_words"]),
        bar_plot("Targets that add a …", adding, x="% of pairs", form="{:.0f}%"): "",
        _top(found["top_source_words"], "Commonest words of sources"): "",
        _top(found["top_target_words"], "Commonest words of targets"): "",
        _top(found["top_target_phrases"], "Commonest phrases of targets"): "",
    }
    drawn = [figure(inline(plot, f"plot-{number}"), caption)
             for number, (plot, caption) in enumerate(plots.items(), 1)]  # fmt: skip
    sections = [
        section("In figures", table(_table(found), numbers=True)),
        section("Plots", figures(drawn)),
    ]
    write_text(path, page(title, sections))


def _table(found: dict[str, Any]) -> list[tuple[str, str]]:
    counted = ("distinct_sources", "distinct_targets", "repeated_pairs", "prompts")
    counts = {
        "pairs": found["pairs"],
        **{f"pairs to {mode}": count for mode, count in found["modes"].items()},
        **{spoken(name): found[name] for name in counted},
        f"near-duplicate prompts ({found['near_duplicate_threshold']} similar or more)":
            found["near_duplicate_prompts"],
    }  # fmt: skip
    rows = [(name, f"{count:,}") for name, count in counts.items()]
    kept = found["survival"]
    if kept["pairs"]:
        rows.append(
            ("mean share of the source's words that a rewrite keeps", f"{kept['mean']:.1%}")
        )
        rows.append(("rewrites that keep all of them", f"{kept['all_words']:.1%}"))
    return rows


def _lengths(lengths: dict[str, Any], title: str) -> Any:
    values = [int(n) for n, count in lengths["histogram"].items() for _ in range(count)]
    return histogram(title, [("pairs", values)], x="words", y="pairs")


def _spread(lengths: dict[str, Any]) -> str:
    return f"Median {lengths['median']}, mean {lengths['mean']}, longest {lengths['longest']}."


def _top(rows: list[list[Any]], title: str) -> Any:
    return bar_plot(title, [(str(name), count) for name, count in rows], x="pairs")
