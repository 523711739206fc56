"""The pictures of a run: how they were drawn, the paper's scores of them, and verdicts."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from promptlift.pictures import SIDES
from promptlift.reporting.page import (
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
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import interval_plot
from promptlift.reporting.run_files import Row
from promptlift.reporting.wording import (
    counts,
    ends,
    interval,
    interval_or_dash,
    listed,
    percent,
)
from promptlift.world.bundle import DRAWING_NOTICE, SCORING_NOTICE, is_pocket

CHANCE = "shuffled captions"
# "Improving Text to Image Prompts Using FLAN-T5": 100 prompts, ViT-B/16, no intervals. Prompt and
# picture, in the paper's order; the last is what the paper leaves out.
_PAIRINGS = {("original", "original"): 31.0277, ("improved", "improved"): 29.0022,
             ("original", "improved"): 29.4538, ("improved", "original"): None}  # fmt: skip


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
        finding=f"{drawn['pictures']} pictures of {drawn['prompts']} prompts, drawn by "
                f"{drawn.get('model', 'several models')}.",
    )  # fmt: skip


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
        finding=_same_sides(own),
    )  # fmt: skip


def _same_sides(own: Mapping[tuple[str, str], Row]) -> str:
    """Each picture with its own prompt, as the paper's two first figures."""
    said = [f"{side} {interval(own[side, side])}" for side in SIDES if (side, side) in own]
    n = counts(score["n"] for score in own.values())
    return f"Each picture with its own prompt: {listed(said) or '-'}; n = {n} prompts."


def _pairings(shown: PictureData, suffix: str) -> dict[tuple[str, str], Row]:
    scores = {
        (prompt, picture): shown.score(f"{picture} pictures{suffix}", f"clipscore_{prompt}_prompt")
        for prompt, picture in _PAIRINGS
    }
    return {pairing: score for pairing, score in scores.items() if score is not None}


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
        finding=_gaining(found),
    )  # fmt: skip


def _gaining(found: Row) -> str:
    """How many improved prompts gain clearly, beside what chance gives."""

    def share(row: Row) -> str:
        return f"{row['choices'].get('improved', 0):,} of {sum(row['choices'].values()):,}"

    chance = found.get("shuffled_captions")
    beside = f"; with {CHANCE}, where every gain is chance, {share(chance)}" if chance else ""
    return f"A clear gain for {share(found)} improved prompts{beside}."
