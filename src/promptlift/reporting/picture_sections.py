"""What the pictures of a run say: how they were drawn, scores, win rates, verdicts."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from promptlift.reporting.compare_page import p_text
from promptlift.reporting.page import Html, Section, facts, figures, heading, join, paragraph, table
from promptlift.reporting.picture_data import INDEX, SCORES, PictureData, settings_of
from promptlift.reporting.plots import Line, interval_plot, line_plot
from promptlift.reporting.run_data import Row
from promptlift.reporting.score_sections import interval
from promptlift.reporting.training_sections import Draw
from promptlift.world.bundle import DRAWING_NOTICE, SCORING_NOTICE, is_pocket

CHANCE = "shuffled captions"
# "Improving Text to Image Prompts Using FLAN-T5": 100 prompts, ViT-B/16, no intervals.
_PAPER = {("original", "original"): 31.0277, ("improved", "improved"): 29.0022,
          ("original", "improved"): 29.4538}  # fmt: skip
# Prompt and picture, in the paper's order; the last is what the paper leaves out.
_PAIRINGS = [*_PAPER, ("improved", "original")]
_TIES = {"ties_to_original": "ties to the original (as the paper)", "ties_half": "ties as half",
         "without_ties": "without ties"}  # fmt: skip


def drawing(shown: PictureData) -> Section:
    """How many pictures were drawn of how many prompts, with what, and what scored them."""
    pictures = shown.pictures
    seeds = sorted({picture.seed for picture in pictures})
    drawn: list[tuple[str, object]] = [
        ("pictures", f"{len(pictures):,}"),
        ("prompts", f"{len({picture.prompt_index for picture in pictures}):,}"),
        ("pairs", f"{len(shown.pairs):,}"),
        ("seeds", _some(seeds)),
        *settings_of(pictures),
    ]
    if seconds := [one.seconds for one in pictures if one.seconds is not None]:
        drawn.append(("seconds a picture, mean", f"{fmean(seconds):.3g} (n = {len(seconds):,})"))
    cut = sum(bool(one.cut_tokens) for one in pictures)
    drawn.append(("pictures whose prompt was cut", f"{cut:,} of {len(pictures):,}"))
    notices = [
        notice
        for name, notice in (
            (dict(drawn).get("model", ""), DRAWING_NOTICE),
            (((shown.scores or {}).get("models") or {}).get("clip", ""), SCORING_NOTICE),
        )
        if is_pocket(str(name))
    ]
    parts = [paragraph(f"{notice[0].upper()}{notice[1:]}.") for notice in notices]
    parts += [facts(drawn), paragraph(f"From {INDEX}, which has a row a picture.", note=True)]
    if shown.scores is not None:
        parts += [heading("What scored them"), facts(_scored(shown.scores))]
        parts.append(paragraph(f"From {SCORES}.", note=True))
    return Section("Pictures", join(parts))


def _some(values: Sequence[int]) -> str:
    if len(values) > 3 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values[:8])) + (", …" if len(values) > 8 else "")


def _scored(scores: Row) -> list[tuple[str, object]]:
    pictures = scores.get("pictures") or {}
    rows: list[tuple[str, object]] = list((scores.get("models") or {}).items())
    left_out = len(pictures.get("left_out") or [])
    rows.append(("pictures scored", f"{pictures.get('n')} of {pictures.get('listed')}, "
                                    f"{left_out} left out"))  # fmt: skip
    for name, why in (scores.get("not_scored") or {}).items():
        rows.append((f"{name} was not scored", why))
    for model, cut in (scores.get("cut_captions") or {}).items():
        counts = [f"{side} {found['cut']} of {found['of']}"
                  for side in ("original", "improved")
                  if isinstance(found := cut.get(f"{side}_prompts"), dict)]  # fmt: skip
        rows.append((f"prompts cut at {cut.get('limit')} tokens by {model}", ", ".join(counts)))
    rows.append(("seed of intervals and shuffling", scores.get("seed", "-")))
    versions = scores.get("versions") or {}
    rows.append(("versions", ", ".join(f"{name} {found}" for name, found in versions.items())))
    return rows


def clip_row(shown: PictureData, draw: Draw) -> Section | None:
    """The paper's CLIPScores: each prompt with each picture, beside what chance gives."""
    own, chance = _pairings(shown, ""), _pairings(shown, f", {CHANCE}")
    if not own:
        return None
    clip = ((shown.scores or {}).get("models") or {}).get("clip", "CLIP")
    rows, plotted, by_chance = [], [], []
    for prompt, picture in own:
        score, shuffled = own[prompt, picture], chance.get((prompt, picture))
        paper = _PAPER.get((prompt, picture))
        rows.append(
            (f"{prompt} prompt, {picture} picture", interval(score),
             "-" if shuffled is None else interval(shuffled),
             "-" if paper is None else f"{paper:.2f}", score["n"])
        )  # fmt: skip
        plotted.append((f"{prompt} / {picture}", *_ends(score)))
        if shuffled is not None:
            by_chance.append((f"{prompt} / {picture}, shuffled", *_ends(shuffled)))
    note = (
        f"Means over pictures by {clip}; in brackets 95% bootstrap intervals over prompts. "
        "Shuffled captions are those of other prompts of this run: what a picture gets by chance. "
        "The paper's figures are of 100 prompts of its own and CLIP ViT-B/16: compare within a "
        "column, as other models and prompts give other figures."
    )
    header = ("", "this run", CHANCE, "the paper", "prompts")
    plot = interval_plot("CLIPScore of prompt / picture", [*plotted, *by_chance], x="CLIPScore",
                         marked=len(plotted))  # fmt: skip
    caption = (
        f"100 · cosine, at least 0. n = {_counts(own.values())} prompts, {clip}, 95% bootstrap "
        f"intervals over prompts.{f' Grey: {CHANCE}.' if by_chance else ''}"
    )
    parts = [paragraph(note, note=True), table(rows, header, numbers=True),
             figures([draw(plot, "clipscore-pairings", caption)])]  # fmt: skip
    return Section("CLIPScore, as in the paper", join(parts))


def _pairings(shown: PictureData, suffix: str) -> dict[tuple[str, str], Row]:
    found = {}
    for prompt, picture in _PAIRINGS:
        score = _score(shown, f"{picture} pictures{suffix}", f"clipscore_{prompt}_prompt")
        if score is not None:
            found[prompt, picture] = score
    return found


def metrics(shown: PictureData, draw: Draw) -> Section | None:
    """Improved against original pictures in each metric, metrics of pairs, and win rates."""
    compared = (shown.scores or {}).get("comparisons") or []
    if not compared:
        return None
    rows = []
    for row in compared:
        rows += _compared(shown, row, "")
        if chance := row.get("shuffled_captions"):
            rows += _compared(shown, chance, f", {CHANCE}")
    header = ("metric", "original", "improved", "difference (95%)", "p", "pairs", "prompts")
    note = (
        "Means of both sides; the difference is improved minus original, pair by pair, with its "
        "95% bootstrap interval over prompts and p of a two-sided sign-flip permutation test, "
        f"not corrected for the number of metrics. Rows of {CHANCE} hold the same pictures against "
        "the prompts of others: what a metric says there, it says of the pictures alone. "
        "Near-blank pictures are a share of all."
    )
    parts = [paragraph(note, note=True), table(rows, header, numbers=True)]
    if drawn := _gains(shown, draw):
        parts.append(figures(drawn))
    return Section("Picture metrics", join([*parts, *_of_pairs(shown, draw), *_wins(shown, draw)]))


def _compared(shown: PictureData, row: Row, suffix: str) -> list[tuple[object, ...]]:
    name = row["metric"]
    sides = [
        # Each with its prompt: of both pictures that is another metric's value.
        _score(shown, f"{side} pictures{suffix}", name.replace("_own_", f"_{side}_"))
        for side in ("original", "improved")
    ]
    title = f"– with {CHANCE}" if suffix else shown.title(name)
    cells = ["-" if score is None else interval(score) for score in sides]
    difference = interval({**row, "value": row["difference"]})
    return [(title, *cells, difference, p_text(row["p"]), row["pairs"], row["n"])]


def _gains(shown: PictureData, draw: Draw) -> list[Html]:
    """Gains of single pairs in rising order: a mean does not say how many pairs lose."""
    drawn = []
    for name in shown.opinions:
        gains = sorted(pair.gains[name] for pair in shown.pairs if name in pair.gains)
        if len(gains) < 2:
            continue
        shares = [100 * (place + 0.5) / len(gains) for place in range(len(gains))]
        title = shown.title(name)
        plot = line_plot(f"Gain of each pair, {title}", [Line(label="", x=shares, y=gains)],
                         x="% of pairs that gain less", y="improved − original")  # fmt: skip
        losing = sum(gain < 0 for gain in gains)
        caption = (
            f"{title}, pairs in rising order, n = {len(gains):,}; {losing:,} lose. "
            "From scores/pairs.parquet."
        )
        drawn.append(draw(plot, f"gains-{name.replace('_', '-')}", caption))
    return drawn


def _of_pairs(shown: PictureData, draw: Draw) -> list[Html]:
    rows, drawn = [], []
    for name, metric in shown.metrics.items():
        own = _score(shown, "pairs", name)
        if own is None:
            continue
        chance = _score(shown, f"pairs, {CHANCE}", name)
        undefined = (own.get("settings") or {}).get("undefined", 0)
        by_chance = "-" if chance is None else interval(chance)
        rows.append((metric["title"], interval(own), by_chance, own["n"], undefined))
        plotted = [("this run", *_ends(own))]
        plotted += [(CHANCE, *_ends(chance))] if chance is not None else []
        plot = interval_plot(metric["title"], plotted, x=metric["title"])
        caption = f"n = {own['n']} prompts, 95% intervals. {metric['source']}."
        drawn.append(draw(plot, f"pairs-{name.replace('_', '-')}", caption))
    if not rows:
        return []
    note = (
        "Directional similarity is the cosine between the step from one prompt to the other and "
        "the step from one picture to the other: whether the picture changed as the prompt did. It "
        "is undefined where nothing changed. With shuffled captions, picture similarity is that of "
        "pictures of different prompts."
    )
    header = ("metric of pairs", "this run", CHANCE, "prompts", "pairs undefined")
    return [heading("Pairs"), paragraph(note, note=True), table(rows, header, numbers=True),
            figures(drawn)]  # fmt: skip


def _wins(shown: PictureData, draw: Draw) -> list[Html]:
    compared = [row for row in (shown.scores or {})["comparisons"] if "win_rate" in row]
    if not compared:
        return []
    rows: list[tuple[object, ...]] = []
    plotted: list[tuple[str, float, float, float]] = []
    for row in compared:
        for found, title in ((row, shown.title(row["metric"])),
                             (row.get("shuffled_captions"), f"– with {CHANCE}")):  # fmt: skip
            if not found:
                continue
            rates = [found["win_rate"][name] for name in _TIES]
            cells = ["-" if rate is None else percent(rate) for rate in rates]
            rows.append((title, found["wins"], found["losses"], found["ties"], *cells))
        half = row["win_rate"]["ties_half"]
        plotted.append((shown.title(row["metric"]), *_percent_ends(half)))
    header = ("metric", "won", "lost", "tied", *_TIES.values())
    note = (
        "How often the improved picture of a pair is the better one, by each way of counting ties. "
        f"A tie: values differ by {compared[0]['tie']:g} or less. 50% with ties as half is what a "
        "coin gives. Metrics are judges that can be wrong; people's votes are another matter."
    )
    plot = interval_plot("Win rate of the improved picture", plotted, x="% of pairs, ties as half",
                         marked=len(plotted), line=50)  # fmt: skip
    n = "/".join(str(count) for count in sorted({row["n"] for row in compared}))
    caption = f"n = {n} prompts, {compared[0]['pairs']:,} pairs, 95% intervals; dotted: a coin."
    return [heading("Win rates"), paragraph(note, note=True), table(rows, header, numbers=True),
            figures([draw(plot, "win-rates", caption)])]  # fmt: skip


def verdicts(shown: PictureData, draw: Draw) -> Section | None:
    """Choose the original unless the gain is clear: how often which, and why."""
    found = (shown.scores or {}).get("verdicts")
    if not found:
        return None
    total = sum(found["choices"].values())
    by_chance = found.get("shuffled_captions")
    rows = [(f"use the {name} prompt", f"{count:,}", f"{count / total:.0%}")
            for name, count in sorted(found["choices"].items())]  # fmt: skip
    alone = [("this run", percent(found["left_alone"]), found["prompts"])]
    if by_chance:
        alone.append((CHANCE, percent(by_chance["left_alone"]), by_chance["prompts"]))
    judges = ", ".join(map(shown.title, found["metrics"])) or "nothing"
    reasons = sorted(found["reasons"].items(), key=lambda item: (-item[1], item[0]))
    named = [(shown.titled(reason), count) for reason, count in reasons]
    plotted = [("this run", *_percent_ends(found["left_alone"]))]
    if by_chance:
        plotted.append((CHANCE, *_percent_ends(by_chance["left_alone"])))
    plot = interval_plot("Prompts that were better left alone", plotted, x="% of prompts")
    caption = f"n = {found['prompts']:,} prompts, judged by {judges}, 95% intervals."
    parts = [
        paragraph(f"The rule: {found['rule']}"),
        paragraph(f"Judged by {judges}. n = {total:,} improved prompts of {found['prompts']:,}.",
                  note=True),
        table(rows, ("verdict", "improved prompts", "share"), numbers=True),
        heading("Better left alone"),
        paragraph("Prompts of which no improvement was chosen, with the 95% interval over prompts. "
                  "With shuffled captions a gain is chance, so there nearly all should be left "
                  "alone by metrics that read the prompt.", note=True),
        table(alone, ("", "share (95% interval)", "prompts"), numbers=True),
        figures([draw(plot, "left-alone", caption)]),
        heading("Why"),
        table([(reason, f"{count:,}") for reason, count in named],
              ("reason", "improved prompts"), numbers=True),
    ]  # fmt: skip
    return Section("Verdicts: the original unless the gain is clear", join(parts))


def percent(score: Row) -> str:
    """A share with its interval, in percent."""
    return f"{score['value']:.0%} ({score['low']:.0%} to {score['high']:.0%})"


def _score(shown: PictureData, system: str, metric: str) -> Row | None:
    for found in (shown.scores or {})["systems"] if shown.scores else []:
        if found["name"] == system:
            for score in found["scores"]:
                if score["metric"] == metric:
                    return dict(score)
    return None


def _ends(score: Mapping[str, Any]) -> tuple[float, float, float]:
    return score["value"], score["low"], score["high"]


def _percent_ends(score: Mapping[str, Any]) -> tuple[float, float, float]:
    value, low, high = _ends(score)
    return 100 * value, 100 * low, 100 * high


def _counts(scores: Any) -> str:
    return "/".join(str(count) for count in sorted({score["n"] for score in scores}))
