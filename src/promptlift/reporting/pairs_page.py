"""A page that shows what is in a set of pairs: one HTML file with its plots inside."""

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptlift.errors import MissingExtraError
from promptlift.files import write_text

_BLUE, _GREY = "#3b6ea5", "#9aa5b1"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
td:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } svg { width: 100%; height: auto; }
@media (prefers-color-scheme: dark) { body { color: #e6e9ed; background: #15181c; }
  figure { background: #fff; border-radius: .4rem; } }
"""


def write_pairs_page(found: dict[str, Any], title: str, path: Path) -> None:
    """Write the page of a description that `promptlift.pairs.describe` made.

    Args:
        found: the description.
        title: shown as heading, for instance the file's name.
        path: HTML file to write; it needs nothing beside it, and no network.

    Raises:
        MissingExtraError: the extra `report` is not installed.
    """
    plots = [
        _histogram(found["source_words"], "Words of sources"),
        _histogram(found["target_words"], "Words of targets"),
        _bars([*found["share_adding"].items()], "Targets that add a …", percent=True),
        _bars(found["top_source_words"], "Commonest words of sources (pairs)"),
        _bars(found["top_target_words"], "Commonest words of targets (pairs)"),
        _bars(found["top_target_phrases"], "Commonest phrases of targets (pairs)"),
    ]
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{value}</td></tr>" for name, value in _table(found)
    )
    figures = "".join(f"<figure>{plot}</figure>" for plot in plots)
    heading = html.escape(title)
    write_text(
        path,
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{heading}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{heading}</h1><table>{rows}</table><h2>Plots</h2>"
        f'<div class="plots">{figures}</div></body></html>\n',
    )


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


def _histogram(lengths: dict[str, Any], title: str) -> str:
    counts = {int(n): count for n, count in lengths["histogram"].items()}
    figure, axes = _axes(title, height=3.2)
    axes.bar([*counts], [*counts.values()], width=1.0, color=_BLUE)
    axes.axvline(lengths["median"], color="black", linewidth=1)
    axes.set_xlim(0, max(lengths["90%"] * 2, 10))
    axes.set_xlabel(f"median {lengths['median']}, mean {lengths['mean']}, "
                    f"longest {lengths['longest']}")  # fmt: skip
    axes.set_ylabel("pairs")
    return _svg(figure)


def _bars(rows: Sequence[Sequence[Any]], title: str, *, percent: bool = False) -> str:
    figure, axes = _axes(title, height=max(2.4, 0.24 * len(rows) + 0.8))
    # A dollar sign would begin a formula.
    names = [str(name).replace("$", r"\$")[:40] for name, _ in rows]
    bars = axes.barh(range(len(rows)), [value for _, value in rows], color=_BLUE)
    axes.set_yticks(range(len(rows)), names)
    axes.invert_yaxis()
    axes.bar_label(bars, fmt="{:.0%}" if percent else "{:,.0f}", padding=3, color="black")
    axes.margins(x=0.15, y=0.01)
    axes.set_xticks([])
    return _svg(figure)


def _axes(title: str, height: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("A page of plots", "report") from error
    figure = Figure(figsize=(6, height), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["left"].set_color(_GREY)
    axes.spines["bottom"].set_color(_GREY)
    return figure, axes


def _svg(figure: Any) -> str:
    from matplotlib import rc_context

    text = io.StringIO()
    # Letters stay letters, and ids are the same at each run.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "promptlift"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]
