"""Improved against original pictures: by each metric, as pairs, and how often they win."""

from collections.abc import Iterator, Sequence
from functools import partial

from promptlift.pictures import SIDES
from promptlift.reporting.page import (
    NOTHING,
    Html,
    Section,
    columns,
    figures,
    note,
    section,
    subsection,
)
from promptlift.reporting.picture_data import PictureData
from promptlift.reporting.picture_sections import CHANCE
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import Line, interval_plot, line_plot
from promptlift.reporting.run_files import Row
from promptlift.reporting.wording import (
    counts,
    difference,
    ends,
    interval,
    interval_or_dash,
    listed,
    p_text,
    percent,
)

_BY_CHANCE = f"– with {CHANCE}"
_TIES = {"ties_to_original": "ties to the original (as in the paper)",
         "ties_half": "a tie as half a win", "without_ties": "without ties"}  # fmt: skip


def metrics(shown: PictureData, draw: Draw) -> Section | None:
    """Improved against original pictures in each metric, metrics of pairs, and win rates."""
    compared = list(_compared(shown))
    if not compared:
        return None
    return section(
        "Picture metrics",
        note(
            "The means of both sides, and the difference of the improved minus the original "
            "picture of each pair, with its 95% bootstrap interval over prompts. p is that of a "
            "two-sided sign-flip permutation test and is not corrected for the number of metrics. "
            f"In the rows of {CHANCE}, the same pictures are scored against other prompts: a "
            "difference there comes from the pictures alone. Near-blank pictures are a share of "
            "all pictures."
        ),
        columns(compared, {
            "metric": lambda row: row["title"],
            "original": lambda row: interval_or_dash(row["original"]),
            "improved": lambda row: interval_or_dash(row["improved"]),
            "difference (95%)": difference,
            "p": lambda row: p_text(row["p"]),
            "pairs": lambda row: row["pairs"],
            "prompts": lambda row: row["n"],
        }),
        figures(_gains(shown, draw)),
        _of_pairs(shown, draw),
        _wins(shown, [row for row in compared if "win_rate" in row], draw),
        finding=_clear(shown),
    )  # fmt: skip


def _clear(shown: PictureData) -> str:
    """By which metrics improved pictures score higher or lower, and by which neither is clear."""
    words = {"higher": "clearly higher", "lower": "clearly lower", "unclear": "no clear difference"}
    said = [
        f"{words[side]} by {listed([shown.title(row['metric']) for row in rows])}"
        for side, rows in shown.compared.items()
        if rows
    ]
    return f"Pictures of improved prompts: {'; '.join(said) or 'no metric ranks them'}."


def _compared(shown: PictureData) -> Iterator[Row]:
    """Each comparison and the same with shuffled captions, with `title` and the score of sides."""
    for own in (shown.scores or {}).get("comparisons") or []:
        yield _beside(shown, own, shown.title(own["metric"]), "")
        if chance := own.get("shuffled_captions"):
            yield _beside(shown, chance, _BY_CHANCE, f", {CHANCE}")


def _beside(shown: PictureData, row: Row, title: str, suffix: str) -> Row:
    # Each with its prompt: of both pictures that is another metric's value.
    names = {side: row["metric"].replace("_own_", f"_{side}_") for side in SIDES}
    scores = {side: shown.score(f"{side} pictures{suffix}", name) for side, name in names.items()}
    return {**row, "title": title, **scores}


def _gains(shown: PictureData, draw: Draw) -> Iterator[Html]:
    """Gains of single pairs in rising order: a mean does not say how many pairs lose."""
    for name in shown.opinions:
        gains = sorted(pair.gains[name] for pair in shown.pairs if name in pair.gains)
        shares = [100 * (place + 0.5) / len(gains) for place in range(len(gains))]
        title, losing = shown.title(name), sum(gain < 0 for gain in gains)
        yield draw(
            line_plot, f"gains-{name}", f"Gain of each pair, {title}",
            [Line(label="", x=shares, y=gains)] if len(gains) > 1 else [],
            x="% of pairs that gain less", y="improved − original",
            caption=f"The gain of each pair in {title}, in rising order. n = {len(gains):,} pairs, "
                    f"of which {losing:,} lose. From scores/pairs.parquet.",
        )  # fmt: skip


def _of_pairs(shown: PictureData, draw: Draw) -> Html:
    found = {name: score for name in shown.metrics if (score := shown.score("pairs", name))}
    chance = {name: shown.score(f"pairs, {CHANCE}", name) for name in found}
    drawn = []
    for name, own in found.items():
        title, source = (shown.metrics[name][key] for key in ("title", "source"))
        scores = {"this run": own, CHANCE: chance[name]}
        rows = [(what, *ends(score)) for what, score in scores.items() if score]
        caption = f"n = {own['n']} prompts, 95% intervals. {source}."
        drawn.append(draw(interval_plot, f"pairs-{name}", title, rows, x=title, caption=caption))
    if not drawn:
        return NOTHING
    return subsection(
        "Pairs",
        note(
            "Directional similarity is the cosine between the change of the prompt and the change "
            "of the picture: it is high where the picture changed as the prompt did, and undefined "
            "where nothing changed. With shuffled captions, picture similarity compares pictures "
            "of different prompts."
        ),
        columns(found, {
            "metric of pairs": lambda name: shown.metrics[name]["title"],
            "this run": lambda name: interval(found[name]),
            CHANCE: lambda name: interval_or_dash(chance[name]),
            "prompts": lambda name: found[name]["n"],
            "pairs undefined": lambda name: (found[name].get("settings") or {}).get("undefined", 0),
        }),
        figures(drawn),
    )  # fmt: skip


def _wins(shown: PictureData, compared: Sequence[Row], draw: Draw) -> Html:
    if not compared:
        return NOTHING
    own = [row for row in compared if row["title"] != _BY_CHANCE]
    pairs = own[0]["pairs"]

    def rate(rule: str, row: Row) -> str:
        found = row["win_rate"][rule]
        return "-" if found is None else percent(found)

    return subsection(
        "Win rates",
        note(
            "How often the improved picture of a pair scores better, under each rule for ties. Two "
            f"values tie if they differ by {own[0]['tie']:g} or less. Chance gives 50% where a tie "
            "counts as half a win. A metric can be wrong about which picture people prefer."
        ),
        columns(compared, {
            "metric": lambda row: row["title"],
            "won": lambda row: row["wins"],
            "lost": lambda row: row["losses"],
            "tied": lambda row: row["ties"],
            **{title: partial(rate, rule) for rule, title in _TIES.items()},
        }),
        figures([draw(
            interval_plot, "win-rates", "Win rate of the improved picture",
            [(row["title"], *ends(row["win_rate"]["ties_half"], 100)) for row in own],
            x="% of pairs, ties as half", marked=len(own), line=50,
            caption=f"n = {counts(row['n'] for row in own)} prompts, {pairs:,} pairs, 95% "
                    "intervals. Dotted: chance.",
        )]),
    )  # fmt: skip
