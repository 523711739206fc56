"""Which prompts draw best: those alone, of a rewriter, with fixed words, of a tuned rewriter."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from promptlift.pictures import IMPROVED, INDEX, ORIGINAL, Picture, read_index
from promptlift.reporting.page import (
    NOTHING,
    Html,
    Section,
    escape,
    join,
    note,
    paragraph,
    section,
    subsection,
    table,
)
from promptlift.reporting.prompt_marks import marked_prompt
from promptlift.reporting.run_files import json_of
from promptlift.reporting.thumbnails import Thumbnails
from promptlift.reporting.wording import difference, interval, listed, spread

# Of an experiment: figures of the arms, run folders of those that have pictures of their own, and
# the tuning.
RESULTS, ARMS, TUNED = "arms.json", "arms", "tuned"
Found = Mapping[str, Any]
_SOME = 6  # prompts that are shown
_ORACLE = "The oracle judges by what the original prompt asks for; no rewriter learned from it."
_NO_JUDGE = (
    "The tuned rewriter learned from this very reward, which is an advantage here; ask people, "
    "with promptlift judge, or judge the arms by another metric, with promptlift score."
)
_TITLES = {
    ORIGINAL: "the prompt alone",
    "pairs": "the paper's method",
    "suffix": "the fixed suffix",
    "tuned": "the tuned rewriter",
}


def read_arms(folder: Path, missing: list[str]) -> Found | None:
    """The figures of a run's arms; None where there are none, named in `missing` if damaged."""
    found = json_of(folder, RESULTS, missing) or {}
    metrics = [one for one in found.get("metrics", []) if one["arms"]]
    return {**found, "metrics": metrics} if metrics else None


def winner(found: Found) -> str:
    """Which arm draws best by the judge, or that it cannot be told, and what the judge is."""
    judge = found["metrics"][0]
    what = _ORACLE if judge["name"] == "oracle" else _NO_JUDGE
    return f"{_winner(judge)} n = {found['prompts']} test prompts. {what}"


def arms(found: Found, folder: Path, thumbnails: Thumbnails) -> Section:
    """A row of figures for each arm, and some prompts as each arm draws them.

    Args:
        found: what `read_arms` gave.
        folder: the run.
        thumbnails: of its page.
    """
    metrics = found["metrics"]
    judge, *others = metrics
    names = [*judge["arms"]]
    falling = sorted(names, key=lambda name: -float(judge["arms"][name]["value"]))
    means = [f"{_TITLES[name]} {judge['arms'][name]['value']:.3f}" for name in falling]
    header = [""]
    for one in metrics:
        header += [one["title"], "less the prompt alone"]
    rows = [[_title(name, found), *_cells(name, metrics)] for name in names]
    return section(
        "Which prompts draw best?",
        paragraph(winner(found)),
        *map(paragraph, filter(None, [*map(_of_the_reward, others), _of_tuning(found)])),
        table(rows, header, numbers=True),
        note(_about(found)),
        subsection("The same prompts in each arm", _examples(folder, names, thumbnails)),
        finding=f"Means of the {judge['title']}: {listed(means)}; n = {found['prompts']} prompts.",
    )  # fmt: skip


def _about(found: Found) -> str:
    pictures = "a picture" if found["seeds"] == 1 else f"{found['seeds']} pictures"
    return (
        "The paper's method is a rewriter trained on pairs; the tuned one went on from there with "
        f"pictures. Means of {found['prompts']} test prompts, {pictures} of each prompt and arm "
        "from the same noise; in brackets 95% intervals over prompts. "
        f"From {RESULTS}."
    )


def _title(name: str, found: Found) -> str:
    title = _TITLES.get(name, name)
    return f"{title}, “{found['suffix']}”" if name == "suffix" else title


def _cells(name: str, metrics: list[dict[str, Any]]) -> list[str]:
    cells = []
    for metric in metrics:
        row = metric["arms"][name]
        less = row["less"].get(ORIGINAL)
        cells += [interval(row), "" if less is None else difference(less)]
    return cells


def _winner(metric: Mapping[str, Any]) -> str:
    """Which arm has the highest mean, and over which others its lead is clear."""
    best, less = _best(metric)
    leads = {
        name: f"{_TITLES[name]} by {difference(row)}"
        for name, row in less.items()
        if row["low"] or row["high"]  # others than the very same pictures
    }
    clear = [text for name, text in leads.items() if less[name]["low"] > 0]
    unclear = [name for name in leads if less[name]["low"] <= 0]
    judge, title = metric["title"], _TITLES[best]
    if not leads:
        return f"By the {judge}, all draw alike."
    if not unclear:
        return f"By the {judge}, {title} draws best: it is ahead of {listed(clear)}."
    leading = "its lead is" if len(unclear) == 1 else "its leads are"
    ahead = f" It is clearly ahead of {listed(clear)}." if clear else ""
    return (
        f"By the {judge}, {title} has the highest mean, but these prompts do not tell whether it "
        f"draws better than {listed([_TITLES[name] for name in unclear])}: {leading} "
        f"{listed([difference(less[name]) for name in unclear])}.{ahead}"
    )


def _best(metric: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The arm with the highest mean, and its leads."""
    best = max(metric["arms"], key=lambda name: float(metric["arms"][name]["value"]))
    return best, metric["arms"][best]["less"]


def _of_the_reward(metric: Mapping[str, Any]) -> str:
    best, _ = _best(metric)
    return (
        f"By the reward, {metric['title']}, {_TITLES[best]} has the highest mean; the tuned "
        "rewriter learned from it, so that alone proves nothing."
    )


def _of_tuning(found: Found) -> str:
    if found["kept"]:
        return ""
    return (
        "No round of tuning was better than the rewriter as it came by more than a standard error "
        "and kept what prompts ask for, so the tuned rewriter is that of the paper's method."
    )


def _examples(folder: Path, names: list[str], thumbnails: Thumbnails) -> Html:
    """Some prompts with the picture of each arm, evenly spaced, not chosen by what they show."""
    arms = {name: _pictures(folder, name) for name in names}
    shared = [key for key in arms[ORIGINAL] if all(key in one for one in arms.values())]
    rows = []
    for key in spread(shared, _SOME):
        cells = ""
        for name, pictures in arms.items():
            one = pictures[key]
            image = thumbnails.markup(one, f"{_TITLES[name]}: {one.prompt}")
            added = marked_prompt(one.source, one.prompt)
            cells += (
                f'<figure><a href="{thumbnails.address(one)}">{image}</a>'
                f"<figcaption dir=auto><small>{escape(_TITLES[name])}</small><br>{added}"
                "</figcaption></figure>"
            )
        rows.append(Html(f"<div class=arms>{cells}</div>"))
    return join(rows) or NOTHING


def _pictures(folder: Path, name: str) -> dict[tuple[str, int], Picture]:
    own = folder / ARMS / name / "pictures"
    pictures = own if (own / INDEX).is_file() else folder / "pictures"
    side = ORIGINAL if name == ORIGINAL else IMPROVED
    return {
        (one.source, one.seed): one
        for one in read_index(pictures)
        if one.side == side and one.variant == 0
    }
