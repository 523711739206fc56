"""What a run found, before its details: a few sentences, and some pairs of pictures."""

from statistics import fmean

from promptlift.reporting.page import Html, Section, bullets, join, note, section
from promptlift.reporting.picture_data import PictureData, ShownPair
from promptlift.reporting.prompt_marks import marked_prompt
from promptlift.reporting.run_data import CANNOT_TELL, RunData
from promptlift.reporting.run_files import Row
from promptlift.reporting.score_sections import systems
from promptlift.reporting.thumbnails import Thumbnails
from promptlift.reporting.wording import difference, interval, spread

SOME = 6  # pairs


def glance(run: RunData, shown: PictureData, thumbnails: Thumbnails) -> Section:
    """The section, of a run with pairs of pictures."""
    lines = [*_learned(run), *_texts(run), *_added(run), *_pictures(shown), *_kept(shown)]
    pairs = spread(shown.pairs, SOME)
    strip = join(_pair(pair, thumbnails) for pair in pairs)
    return section(
        "At a glance",
        bullets(lines),
        note(
            f"{len(pairs)} of the {len(shown.pairs):,} pairs, evenly spaced, not chosen by what "
            "they show: the original is on the left, and the improved prompt's picture, from the "
            "same noise, on the right. All pairs are in the gallery."
        ),
        Html(f"<div class=strip>{strip}</div>"),
    )


def _pair(pair: ShownPair, thumbnails: Thumbnails) -> Html:
    pictures = "".join(
        thumbnails.markup(picture, f"{side} picture: {picture.prompt}")
        for side, picture in (("original", pair.original), ("improved", pair.improved))
    )
    caption = marked_prompt(pair.improved.source, pair.improved.prompt)
    return Html(
        f'<figure><a href=#pair-{pair.number} aria-label="Pair {pair.number} in the gallery">'
        f"{pictures}</a><figcaption dir=auto>{caption}</figcaption></figure>"
    )


def _learned(run: RunData) -> list[str]:
    results, config = run.training.get("results") or {}, run.training.get("config") or {}
    if "parameters" not in results:
        return []
    pairs = results.get("pairs") or {}
    count = sum(pairs.values()) if isinstance(pairs, dict) else pairs
    what = config.get("model") or "A T5 from scratch"
    text = f"{what}, {results['parameters']:,} parameters, learned {count:,} pairs"
    loss = results.get("validation_loss")
    return [text + (f"; validation loss {loss:.3f}." if isinstance(loss, float) else ".")]


def _texts(run: RunData) -> list[str]:
    found = {
        name: scores["meteor_target"]
        for name, scores in systems(run).items()
        if "meteor_target" in scores
    }
    if "model" not in found or "source itself" not in found:
        return []
    mark = f" METEOR {CANNOT_TELL} here: see Scores." if "meteor_target" in run.blind else ""
    return [
        "METEOR of its texts against the detailed prompts of test pairs: "
        f"{interval(found['model'])}; of the plain prompts themselves: "
        f"{interval(found['source itself'])} (n = {found['model'].get('n')}).{mark}"
    ]


def _added(run: RunData) -> list[str]:
    rows = [row for row in run.improvements if isinstance(row.get("additions"), list)]
    if not rows:
        return []
    phrases = fmean(len(row["additions"]) for row in rows)
    return [f"{len(rows):,} prompts were improved; each gained {phrases:.1f} phrases on average."]


def _pictures(shown: PictureData) -> list[str]:
    return [
        f"{shown.title(row['metric'])}, improved minus original pictures: {difference(row)}, "
        f"n = {row['n']}: {_verdict(row)}."
        for row in (shown.scores or {}).get("comparisons") or []
        if row["metric"] in shown.opinions
    ]


def _verdict(row: Row) -> str:
    if row["low"] > 0:
        return "more"
    return "less" if row["high"] < 0 else "no clear difference"


def _kept(shown: PictureData) -> list[str]:
    found = (shown.scores or {}).get("verdicts")
    if not found:
        return []
    total, kept = sum(found["choices"].values()), found["choices"].get("improved", 0)
    judges = ", ".join(map(shown.title, found["metrics"])) or "nothing"
    return [f"If the original is kept unless the gain is clear, judged by {judges}, "
            f"{kept:,} of {total:,} improved prompts are used."]  # fmt: skip
