"""How a run went: its settings, losses, metrics against step and epoch, and its optimizer."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from promptlift.reporting.page import (
    Html,
    Section,
    bullets,
    facts,
    figures,
    note,
    paragraph,
    section,
    subsection,
)
from promptlift.reporting.plot_files import Draw
from promptlift.reporting.plots import MOST_POINTS, Line, line_plot
from promptlift.reporting.run_data import LOG_METRICS, RunData
from promptlift.reporting.run_files import Row, number
from promptlift.reporting.wording import listed, measured_with, sentence, short_title, spoken

LOSS_UNIT = "loss (nats per token)"
_LOSSES = {
    "loss": "training",
    "training_sample_loss": "training rows, as evaluated",
    "eval_loss": "evaluation",
}
# Of the paper's visualiser, in its order.
WINDOWS = {
    "bertscore_precision": "BERTScore precision",
    "bertscore_recall": "BERTScore recall",
    "bertscore_f1": "BERTScore F1",
    "meteor": "METEOR",
}
_WHY_BELOW = (
    "The evaluation loss may lie below the training loss without anything being wrong. The "
    "training loss is taken while dropout is on, so the model works with a part of itself; and it "
    "is the mean over the steps since the last row, when the weights were still worse than those "
    "that are evaluated. Validation pairs may also be easier."
)
_SAMPLE = (
    " The line of training rows, as evaluated, has neither effect: it measures a fixed sample of "
    "the training pairs at the same step and in the same way as the validation pairs. If both "
    "kinds of pairs are equally hard, the gap between the two lines shows what was memorised."
)
_OTHER_CURVES = (
    "The paper's own curves measured text that was cut at 20 tokens, on other data: do not "
    "compare them with these."
)
_LIKE_THE_PAPERS = (
    "Text was decoded as for the paper's own curves. Where the data and BERTScore's encoder are "
    "the paper's too, the curves can be compared."
)
_HASH = re.compile(r"[0-9a-f]{64}")


def summary(run: RunData) -> Section:
    """What was run, on what, with which settings and versions, and how far it came."""
    training, text = run.training, run.text or {}
    config, pairs = training.get("config") or {}, text.get("pairs") or {}
    rows = {
        "state of training": training.get("state", "not begun"),
        "model": (config.get("model") or "a T5 from scratch") if training else None,
        "name": config.get("name"),
        **{spoken(name): _cell(value) for name, value in (training.get("results") or {}).items()},
        **{f"data: {name}": _input(value)
           for name, value in (training.get("inputs") or {}).items()},
        "scored model": text.get("model"),
        "scored pairs": f"{pairs.get('file')}, n = {pairs.get('n')}, SHA-256 "
                        f"{str(pairs.get('sha256'))[:12]}…" if text else None,
        "started": training.get("started"),
        "finished": training.get("finished"),
        "git revision": (training.get("git_revision") or "")[:12],
        "versions": _cell(training.get("versions") or ""),
        **{f"stage {name}": stage.get("state")
           for name, stage in run.stages.items() if name != "training"},
    }  # fmt: skip
    return section(
        "Settings and versions",
        facts(rows),
        note("From manifest.json, which has the full hashes."),
        subsection("Settings", facts({name: _cell(value) for name, value in config.items()})),
        finding=_learned(run),
    )


def _learned(run: RunData) -> str:
    """What was trained on how much, or that nothing was."""
    results, config = run.training.get("results") or {}, run.training.get("config") or {}
    if not run.training:
        return "Options, versions and hashes of what was used."
    pairs = results.get("pairs") or {}
    count = sum(pairs.values()) if isinstance(pairs, dict) else pairs
    size = f", {results['parameters']:,} parameters" if "parameters" in results else ""
    learned = f", learned {count:,} pairs" if count else ""
    return (
        f"{config.get('model') or 'A T5 from scratch'}{size}{learned}; training: "
        f"{run.training.get('state', 'not begun')}."
    )


def windows(run: RunData, draw: Draw) -> Section | None:
    """The five windows that the paper's visualiser opens, each against step."""
    losses = loss_lines(run)
    drawn = [_loss_window(losses, draw)]
    drawn += [_metric_window(run, name, place, draw) for place, name in enumerate(WINDOWS, 2)]
    if not any(drawn):
        return None
    lacking = [] if losses else ["No loss was logged in this run."]
    lacking += [f"{title} was not measured in this run."
                for title, plot in zip(WINDOWS.values(), drawn[1:], strict=True)
                if not plot]  # fmt: skip
    labels = {line.label for line in losses}
    both = labels >= {_LOSSES["loss"], _LOSSES["eval_loss"]}
    sample = _SAMPLE if _LOSSES["training_sample_loss"] in labels else ""
    decoding = (run.training.get("config") or {}).get("evaluation_decoding")
    return section(
        "The paper's five windows",
        figures(drawn),
        bullets(lacking),
        paragraph(_WHY_BELOW + sample) if both else None,
        note(_LIKE_THE_PAPERS if decoding == "paper-exact" else _OTHER_CURVES),
        finding=_from_to(f"{losses[-1].label} loss, in nats per token", losses[-1])
        if losses
        else "Metrics against step.",
    )


def _from_to(what: str, line: Line) -> str:
    """The first and the last value of a line, in words."""
    known = [value for value in line.y if math.isfinite(value)]
    return f"{what[0].upper()}{what[1:]}: from {known[0]:.4g} to {known[-1]:.4g}." if known else ""


def _loss_window(lines: Sequence[Line], draw: Draw) -> Html:
    rows = "; ".join(f"{line.label}: {len(line.x):,}" for line in lines)
    caption = f"Cross-entropy in natural logarithms. Rows of log.csv: {rows}."
    return _curves(draw, "window-1-loss", "Training and evaluation loss", lines, y=LOSS_UNIT,
                   caption=caption)  # fmt: skip


def _metric_window(run: RunData, name: str, place: int, draw: Draw) -> Html:
    title = WINDOWS[name]
    line, origin, count = metric_line(run, name)
    caption = (
        f"On validation pairs, against the target{count}. From {origin}.{_of_window(run, name)}"
    )
    return _curves(draw, f"window-{place}-{name}", f"{title} against step", [line], y=title,
                   caption=caption)  # fmt: skip


def _of_window(run: RunData, name: str) -> str:
    """What a window's scores were measured with, and the last of them rescaled, as sentences."""
    metric = LOG_METRICS[name]
    found = [item.scores for item in run.evaluations if metric in item.scores]
    if not found:
        return ""
    made = sentence(measured_with(found[-1][metric]))
    if not metric.startswith("bertscore"):
        return made
    first, last = (scores.get(f"{metric}_rescaled") for scores in (found[0], found[-1]))
    if first is None or last is None:
        return f"{made} Not rescaled: pairs that have nothing in common score far above 0 too."
    return (
        f"{made} Not rescaled in the plot; rescaled, where random pairs are near 0, the first "
        f"value is {first['value']:.3f} and the last is {last['value']:.3f}."
    )


def _input(value: Any) -> str:
    """An input of the manifest: the beginning of a hash, anything else as it is."""
    return f"SHA-256 {value[:12]}…" if _HASH.fullmatch(str(value)) else str(value)


def loss_lines(run: RunData) -> list[Line]:
    """The losses that the log has, as lines."""
    found = ((label, *run.column(name)) for name, label in _LOSSES.items())
    return [Line(label=label, x=x, y=y) for label, x, y in found if x]


def metric_line(run: RunData, name: str) -> tuple[Line, str, str]:
    """A metric against step, by its name in the log: line, origin, and n in words.

    With intervals where evaluations have it, otherwise from the log.
    """
    metric = LOG_METRICS[name]
    found = [item for item in run.evaluations if metric in item.scores]
    if not found:
        steps, values = run.column(name)
        return Line(label="", x=steps, y=values), "log.csv", ""
    line = _line_of([item.step for item in found], [item.scores[metric] for item in found])
    count = f", n = {found[-1].scores[metric].get('n')}, band: 95% bootstrap interval"
    return line, "evaluations/", count


def epochs(run: RunData, draw: Draw) -> Section | None:
    """Each metric after each epoch, with its interval."""
    if not run.evaluations:
        return None
    drawn, finding = [], ""
    for name in dict.fromkeys(name for item in run.evaluations for name in item.scores):
        found = [item for item in run.evaluations if name in item.scores]
        scores = [item.scores[name] for item in found]
        title = run.titles.get(name, spoken(name))
        caption = (
            f"n = {scores[-1].get('n')} predictions, bars: 95% interval. From evaluations/."
            f"{sentence(measured_with(scores[-1]))}"
        )
        line = _line_of([item.epoch for item in found], scores)
        if not finding or name == "meteor_target":
            finding = _from_to(title, line)
        drawn.append(_curves(draw, f"epoch-{name}", title, [line], x="epoch",
                             y=short_title(title), bars=True, caption=caption))  # fmt: skip
    decoding = run.evaluations[-1].decoding
    options = {key: _cell(value) for key, value in decoding.items() if value not in ([], {})}
    return section(
        "Metrics after each epoch",
        paragraph("Scores of what the model wrote for the validation pairs, decoded with:"),
        facts(options) or paragraph("(not recorded)"),
        figures(drawn),
        finding=finding,
    )


def optimizer(run: RunData, draw: Draw) -> Section | None:
    """Learning rate and gradient norm against step."""
    norms = [value for value in run.column("grad_norm")[1] if math.isfinite(value) and value > 0]
    # Where a few bursts would press all else flat.
    log = bool(norms) and max(norms) > 100 * min(norms)
    drawn = []
    for name, title, label in (
        ("learning_rate", "Learning rate", "learning rate"),
        ("grad_norm", "Gradient norm", "L2 norm before clipping"),
    ):
        steps, values = run.column(name)
        drawn.append(_curves(draw, name, title, [Line(label="", x=steps, y=values)], y=label,
                             log=log and name == "grad_norm",
                             caption=f"{len(steps):,} rows of log.csv."))  # fmt: skip
    if not any(drawn):
        return None
    rates = run.column("learning_rate")[1]
    said = [
        f"{name} at most {max(found):.3g}"
        for name, found in (("learning rate", rates), ("gradient norm", norms))
        if found
    ]
    return section(
        "Learning rate and gradient norm", figures(drawn), finding=sentence(listed(said)).strip()
    )  # fmt: skip


def _line_of(x: Sequence[float], scores: Sequence[Row]) -> Line:
    """A line of scores with their intervals; an end that is not known is the value."""
    values = [float(score["value"]) for score in scores]
    low, high = (
        [value if (end := number(score.get(name))) is None else end
         for value, score in zip(values, scores, strict=True)]
        for name in ("low", "high")
    )  # fmt: skip
    return Line(label="", x=x, y=values, low=low, high=high)


def _curves(
    draw: Draw, name: str, title: str, lines: Sequence[Line], *, caption: str, x: str = "step",
    **options: Any,
) -> Html:  # fmt: skip
    """The lines that have points; the caption says what is thinned and what is missing."""
    lines = [line for line in lines if line.x]
    longest = max((len(line.x) for line in lines), default=0)
    if longest > MOST_POINTS:
        caption += f" Each point is the mean of up to {math.ceil(longest / MOST_POINTS)} rows."
    if gaps := sum(not math.isfinite(value) for line in lines for value in line.y):
        caption += f" {gaps} values are not finite and leave gaps."
    return draw(line_plot, name, title, lines, x=x, caption=caption, **options)


def _cell(value: Any) -> object:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(found)}" for name, found in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else value
