"""What a run found, before its details: the answer in words, its limits, some pairs of pictures."""

from collections.abc import Iterable, Iterator
from statistics import fmean

from promptlift.reporting.page import Html, Section, answer_first, bullets, join, note, subsection
from promptlift.reporting.picture_data import PictureData, ShownPair, settings_of
from promptlift.reporting.prompt_marks import marked_prompt
from promptlift.reporting.run_data import CANNOT_TELL, RunData
from promptlift.reporting.score_sections import systems
from promptlift.reporting.thumbnails import Thumbnails
from promptlift.reporting.wording import counts, difference, interval, listed, spread
from promptlift.scoring.text.words import words_of
from promptlift.world.bundle import DRAWING_NOTICE, is_pocket

SOME = 6  # pairs
_OF_REWARD = (
    "The reward that the model learned from is what found the gain of tuning, on the prompts by "
    "which the round was chosen: the true gain is a little smaller, and people may see none."
)
_ROUGH = 30  # prompts: with fewer, bootstrap intervals are too narrow


def answer(
    run: RunData,
    shown: PictureData,
    thumbnails: Thumbnails,
    *,
    said: Iterable[str],
    judged: bool,
    tuned: bool = False,
) -> Section:
    """The section that every page of a run begins with.

    Args:
        run, shown: what is in the run folder.
        thumbnails: of the page.
        said: what other sections answer; it comes first.
        judged: people voted on the pictures.
        tuned: a model learned from pictures.
    """
    lines = [*filter(None, said), *_pictures(shown), *_kept(shown), *_texts(run)]
    first, *others = [*(lines or ["Nothing has been measured yet."]), *_added(run)]
    return answer_first(
        first,
        others,
        subsection(
            "What this run cannot say",
            bullets([*_limits(run, shown, judged), *([_OF_REWARD] if tuned else []), *run.missing]),
        ),
        _strip(shown, thumbnails) if shown.pairs else None,
    )


def _pictures(shown: PictureData) -> Iterator[str]:
    # A score against the improved prompt favours its picture, whatever that shows.
    sides = {side: [row for row in rows if not row["metric"].endswith("_improved_prompt")]
             for side, rows in shown.compared.items()}  # fmt: skip
    scoring = "Pictures of the improved prompts score {} than those of the original prompts"
    unclear = "Between pictures of the improved and the original prompts no difference is clear"
    for side, rows in sides.items():
        by = [f"{shown.title(row['metric'])} {difference(row)}" for row in rows]
        if by:
            n = counts(row["n"] for row in rows)
            what = unclear if side == "unclear" else scoring.format(side)
            yield f"{what}: {', '.join(by)}; n = {n} prompts."


def _kept(shown: PictureData) -> list[str]:
    found = (shown.scores or {}).get("verdicts")
    if not found:
        return []
    total, kept = sum(found["choices"].values()), found["choices"].get("improved", 0)
    judges = listed([*map(shown.title, found["metrics"])]) or "nothing"
    return [f"If the original is kept unless the gain is clear, judged by {judges}, "
            f"{kept:,} of {total:,} improved prompts are used."]  # fmt: skip


def _texts(run: RunData) -> list[str]:
    found = {
        name: scores["meteor_target"]
        for name, scores in systems(run).items()
        if "meteor_target" in scores
    }
    if "model" not in found or "source itself" not in found:
        final = run.final_evaluation()
        score = final.scores.get("meteor_target") if final else None
        if not score:
            return []
        alone = "" if systems(run) else "; no baselines were scored"
        return ["METEOR of the model's texts against the targets of validation pairs: "
                f"{interval(score)}, n = {score.get('n')}{alone}."]  # fmt: skip
    if "meteor_target" in run.blind:
        return []  # a limit
    ours, theirs = found["model"], found["source itself"]
    if ours["low"] > theirs["high"]:
        which = "are closer to the detailed prompts of test pairs than the plain prompts are"
    elif ours["high"] < theirs["low"]:
        which = "are farther from the detailed prompts of test pairs than the plain prompts are"
    else:
        which = "are not clearly closer to the detailed prompts of test pairs than the plain ones"
    return [f"The model's texts {which}: METEOR {interval(ours)} against {interval(theirs)}, "
            f"n = {ours.get('n')} texts."]  # fmt: skip


def _added(run: RunData) -> list[str]:
    rows = run.improvements
    if not rows:
        return []
    # Words, as a paragraph's additions are sentences, and a rewriting may lose some.
    had, has = (fmean(len(words_of(row[side])) for row in rows) for side in ("source", "prompt"))
    return [f"Improved prompts have {has:.1f} words on average, the original ones {had:.1f}; "
            f"n = {len(rows):,} prompts."]  # fmt: skip


def _limits(run: RunData, shown: PictureData, judged: bool) -> Iterator[str]:
    """What nobody should conclude, as far as the files say it."""
    if shown.pictures and is_pocket(settings_of(shown.pictures).get("model", "")):
        yield f"{DRAWING_NOTICE[0].upper()}{DRAWING_NOTICE[1:]}."
    if shown.pairs and not judged:
        yield (
            "Nobody has judged these pictures. A metric can be wrong about what people prefer. "
            f"To ask people: promptlift judge {run.folder}"
        )
    prompts = {pair.improved.prompt_index for pair in shown.pairs}
    if 0 < len(prompts) < _ROUGH:
        yield f"Intervals over {len(prompts)} prompts are rough and tend to be too narrow."
    if prompts and len({pair.improved.seed for pair in shown.pairs}) == 1:
        yield "Each prompt was drawn from one noise: for a single prompt, another may decide."
    if sum(map(len, shown.compared.values())) > 1:
        yield "Each interval stands for its metric alone: of many, some look clear by chance."
    if "meteor_target" in run.blind:
        yield f"METEOR {CANNOT_TELL} here, so it does not say whether texts fit: see Scores."
    if "parameters" in (run.training.get("results") or {}):
        yield "The model was trained once: training with another seed may differ as much."


def _strip(shown: PictureData, thumbnails: Thumbnails) -> Html:
    pairs = spread(shown.pairs, SOME)
    return join([
        note(
            f"{len(pairs)} of the {len(shown.pairs):,} pairs, evenly spaced, not chosen by what "
            "they show: the original is on the left, and the improved prompt's picture, from the "
            "same noise, on the right. All pairs are in the gallery."
        ),
        Html(f"<div class=strip>{join(_pair(pair, thumbnails) for pair in pairs)}</div>"),
    ])  # fmt: skip


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
