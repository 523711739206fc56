"""What the pictures of a run say: how they were drawn, scores, win rates, verdicts."""

from collections.abc import Iterator, Sequence
from functools import partial
from statistics import fmean

from promptlift.pictures import SIDES
from promptlift.reporting.page import (
    NOTHING,
    Html,
    Section,
    columns,
    facts,
    figures,
    note,
    paragraph,
    section,
    subsection,
    table,
)
from promptlift.reporting.picture_data import INDEX, SCORES, PictureData, settings_of
from promptlift.reporting.plots import Draw, Line, interval_plot, line_plot
from promptlift.reporting.run_data import Row
from promptlift.reporting.wording import (
    counts,
    difference,
    ends,
    interval,
    interval_or_dash,
    p_text,
    percent,
)
from promptlift.world.bundle import DRAWING_NOTICE, SCORING_NOTICE, is_pocket

CHANCE = "shuffled captions"
_BY_CHANCE = f"– with {CHANCE}"
# "Improving Text to Image Prompts Using FLAN-T5": 100 prompts, ViT-B/16, no intervals. Prompt and
# picture, in the paper's order; the last is what the paper leaves out.
_PAIRINGS = {("original", "original"): 31.0277, ("improved", "improved"): 29.0022,
             ("original", "improved"): 29.4538, ("improved", "original"): None}  # fmt: skip
_TIES = {"ties_to_original": "ties to the original (as in the paper)",
         "ties_half": "a tie as half a win", "without_ties": "without ties"}  # fmt: skip


def drawing(shown: PictureData) -> Section | None:
    """How many pictures were drawn of how many prompts, with what, and what scored them."""
    pictures, scores = shown.pictures, shown.scores or {}
    if not pictures:
        return None
    seconds = [one.seconds for one in pictures if one.seconds is not None]
    drawn = {
        "pictures": f"{len(pictures):,}",
        "prompts": f"{len({picture.prompt_index for picture in pictures}):,}",
        "pairs": f"{len(shown.pairs):,}",
        "seeds": _some(sorted({picture.seed for picture in pictures})),
        **settings_of(pictures),
        "mean seconds per picture": f"{fmean(seconds):.3g} (n = {len(seconds):,})"
                                    if seconds else None,
        "pictures whose prompt was cut":
            f"{sum(bool(one.cut_tokens) for one in pictures):,} of {len(pictures):,}",
    }  # fmt: skip
    clip = (scores.get("models") or {}).get("clip", "")
    notices = [notice for name, notice in ((drawn.get("model", ""), DRAWING_NOTICE),
                                           (clip, SCORING_NOTICE))
               if is_pocket(str(name))]  # fmt: skip
    return section(
        "Pictures",
        *(paragraph(f"{notice[0].upper()}{notice[1:]}.") for notice in notices),
        facts(drawn),
        note(f"From {INDEX}, which has one row for each picture."),
        subsection("What scored them", facts(_scored(scores)), note(f"From {SCORES}."))
        if scores
        else None,
    )


def _some(values: Sequence[int]) -> str:
    if len(values) > 3 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values[:8])) + (", …" if len(values) > 8 else "")


def _scored(scores: Row) -> dict[str, object]:
    pictures = scores.get("pictures") or {}
    cut = {
        f"prompts cut at {found.get('limit')} tokens by {model}": ", ".join(
            f"{side} {of_side['cut']} of {of_side['of']}"
            for side in SIDES
            if isinstance(of_side := found.get(f"{side}_prompts"), dict)
        )
        for model, found in (scores.get("cut_captions") or {}).items()
    }
    versions = (scores.get("versions") or {}).items()
    return {
        **(scores.get("models") or {}),
        "pictures scored": f"{pictures.get('n')} of {pictures.get('listed')}, "
                           f"{len(pictures.get('left_out') or [])} left out",
        **{f"{name} was not scored": why
           for name, why in (scores.get("not_scored") or {}).items()},
        **cut,
        "seed of intervals and shuffling": scores.get("seed", "-"),
        "versions": ", ".join(f"{name} {found}" for name, found in versions),
    }  # fmt: skip


def clip_row(shown: PictureData, draw: Draw) -> Section | None:
    """The paper's CLIPScores: each prompt with each picture, beside what chance gives."""
    own, chance = _pairings(shown, ""), _pairings(shown, f", {CHANCE}")
    if not own:
        return None
    clip = ((shown.scores or {}).get("models") or {}).get("clip", "CLIP")
    plotted = [(f"{prompt} / {picture}", *ends(score)) for (prompt, picture), score in own.items()]
    by_chance = [(f"{prompt} / {picture}, shuffled", *ends(score))
                 for (prompt, picture), score in chance.items()]  # fmt: skip
    return section(
        "CLIPScore, as in the paper",
        note(
            f"Each figure is a mean over pictures, measured with {clip}; its 95% bootstrap "
            "interval over prompts is in brackets. In the column of shuffled captions, each "
            "picture is scored against other prompts of this run, which shows what it gets by "
            "chance. The paper measured 100 prompts of its own with CLIP ViT-B/16. Other models "
            "and prompts give other figures, so compare within a column."
        ),
        columns(own, {
            "": lambda pairing: "{} prompt, {} picture".format(*pairing),
            "this run": lambda pairing: interval(own[pairing]),
            CHANCE: lambda pairing: interval_or_dash(chance.get(pairing)),
            "the paper": lambda pairing: f"{paper:.2f}" if (paper := _PAIRINGS[pairing]) else "-",
            "prompts": lambda pairing: own[pairing]["n"],
        }),
        figures([draw(
            interval_plot, "clipscore-pairings", "CLIPScore of prompt / picture",
            [*plotted, *by_chance], x="CLIPScore", marked=len(plotted),
            caption="CLIPScore is 100 times the cosine, and 0 where the cosine is negative. "
                    f"n = {counts(score['n'] for score in own.values())} prompts, {clip}, 95% "
                    f"bootstrap intervals over prompts.{f' Grey: {CHANCE}.' if by_chance else ''}",
        )]),
    )  # fmt: skip


def _pairings(shown: PictureData, suffix: str) -> dict[tuple[str, str], Row]:
    scores = {
        (prompt, picture): shown.score(f"{picture} pictures{suffix}", f"clipscore_{prompt}_prompt")
        for prompt, picture in _PAIRINGS
    }
    return {pairing: score for pairing, score in scores.items() if score is not None}


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
    )  # fmt: skip


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


def verdicts(shown: PictureData, draw: Draw) -> Section | None:
    """Choose the original unless the gain is clear: how often which, and why."""
    found = (shown.scores or {}).get("verdicts")
    if not found:
        return None
    total = sum(found["choices"].values())
    judges = ", ".join(map(shown.title, found["metrics"])) or "nothing"
    alone = {"this run": found, CHANCE: found.get("shuffled_captions")}
    alone = {name: row for name, row in alone.items() if row}
    reasons = sorted(found["reasons"].items(), key=lambda item: (-item[1], item[0]))
    return section(
        "Verdicts: the original unless the gain is clear",
        paragraph(f"The rule: {found['rule']}"),
        note(f"Judged by {judges}. n = {total:,} improved prompts of {found['prompts']:,}."),
        columns(sorted(found["choices"].items()), {
            "verdict": lambda item: f"use the {item[0]} prompt",
            "improved prompts": lambda item: f"{item[1]:,}",
            "share": lambda item: f"{item[1] / total:.0%}",
        }),
        subsection(
            "Better left alone",
            note(
                "The share of prompts for which no improvement was chosen, with its 95% interval "
                "over prompts. With shuffled captions every gain is chance, so metrics that read "
                "the prompt should then leave nearly all prompts alone."
            ),
            columns(alone.items(), {
                "": lambda item: item[0],
                "share (95% interval)": lambda item: percent(item[1]["left_alone"]),
                "prompts": lambda item: item[1]["prompts"],
            }),
            figures([draw(
                interval_plot, "left-alone", "Prompts that were better left alone",
                [(name, *ends(row["left_alone"], 100)) for name, row in alone.items()],
                x="% of prompts",
                caption=f"n = {found['prompts']:,} prompts, judged by {judges}, 95% intervals.",
            )]),
        ),
        subsection("Why", table([(shown.titled(reason), f"{count:,}") for reason, count in reasons],
                                ("reason", "improved prompts"), numbers=True)),
    )  # fmt: skip
