"""A page that shows what is in a set of pairs: one HTML file with its plots inside."""

from pathlib import Path
from typing import Any

from promptlift.files import write_text
from promptlift.reporting.page import (
    Section,
    answer_first,
    figure,
    figures,
    page,
    section,
    table,
)
from promptlift.reporting.plot_files import inline
from promptlift.reporting.plots import bar_plot, histogram
from promptlift.reporting.wording import counted, listed, spoken

_SHOWN = 3  # items of a sentence


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
    sections = [
        _answer(found),
        section("In figures", table(_table(found), numbers=True), finding=_different(found)),
        _plots("Lengths", _longest(found), {
            _lengths(found["source_words"], "Words of sources"): _spread(found["source_words"]),
            _lengths(found["target_words"], "Words of targets"): _spread(found["target_words"]),
        }),
        _plots("What targets add", _added(found), {
            bar_plot("Targets that add a …", adding, x="% of pairs", form="{:.0f}%"): "",
        }),
        _plots("Commonest words and phrases", _commonest(found), {
            _top(found["top_source_words"], "Commonest words of sources"): "",
            _top(found["top_target_words"], "Commonest words of targets"): "",
            _top(found["top_target_phrases"], "Commonest phrases of targets"): "",
        }),
    ]  # fmt: skip
    write_text(path, page(title, sections))


def _answer(found: dict[str, Any]) -> Section:
    modes = [f"{count:,} to {mode}" for mode, count in found["modes"].items()]
    if len(modes) == 1:
        modes = [f"{'all ' * (found['pairs'] > 1)}to {mode}" for mode in found["modes"]]
    faulty = found.get("faulty_rows", 0)  # pairs that came from no file lack it
    return answer_first(
        f"{counted(found['pairs'], 'pair')}, {listed(modes)}. {_medians(found)}",
        [
            f"Faulty rows, left out: {faulty:,}.",
            f"Pairs that are copies of others: {found['repeated_pairs']:,}. Near-duplicates of "
            f"others: {found['near_duplicate_prompts']:,} of "
            f"{counted(found['prompts'], 'different prompt')}.",
        ],
    )


def _medians(found: dict[str, Any]) -> str:
    source, target = found["source_words"]["median"], found["target_words"]["median"]
    return f"Median words: {source:g} in a source, {target:g} in a target."


def _longest(found: dict[str, Any]) -> str:
    sides = (counted(found[f"{side}_words"]["longest"], "word") for side in ("source", "target"))
    return "The longest source has {}, the longest target {}.".format(*sides)


def _added(found: dict[str, Any]) -> str:
    shares = sorted(found["share_adding"].items(), key=lambda item: -item[1])
    said = [f"a {kind} ({share:.0%})" for kind, share in shares[:_SHOWN] if share]
    return f"Targets add most often: {listed(said) or 'nothing of a known kind'}."


def _different(found: dict[str, Any]) -> str:
    sides = [counted(found[f"distinct_{side}s"], f"different {side}")
             for side in ("source", "target")]  # fmt: skip
    return f"{listed(sides)}."


def _commonest(found: dict[str, Any]) -> str:
    tops = {side: [name for name, _ in found[f"top_{side}_words"][:_SHOWN]]
            for side in ("source", "target")}  # fmt: skip
    said = [f"in {side}s: {listed(names) or 'none'}" for side, names in tops.items()]
    return f"Commonest words {'; '.join(said)}."


def _plots(title: str, finding: str, plots: dict[Any, str]) -> Section:
    """Plots by their captions."""
    drawn = [figure(inline(plot, f"{title}-{number}".lower().replace(" ", "-")), caption)
             for number, (plot, caption) in enumerate(plots.items(), 1)]  # fmt: skip
    return section(title, figures(drawn), finding=finding)


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
    return f"Median {lengths['median']:g}, mean {lengths['mean']}, longest {lengths['longest']}."


def _top(rows: list[list[Any]], title: str) -> Any:
    return bar_plot(title, [(str(name), count) for name, count in rows], x="pairs")
