"""How a run went: its settings, losses, metrics against step and epoch, and its optimizer."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from promptlift.reporting.measured import measured_with, sentence
from promptlift.reporting.page import (
    Html,
    Section,
    bullets,
    facts,
    figures,
    heading,
    join,
    paragraph,
)  # fmt: skip
from promptlift.reporting.plots import MOST_POINTS, Draw, Line, line_plot
from promptlift.reporting.run_data import LOG_METRICS, RunData, number
from promptlift.reporting.wording import short_title, spoken
from promptlift.scoring.text.metrics import TEXT_METRICS

LOSS_UNIT = "loss (nats per token)"
_NOTHING: tuple[Any, ...] = (None, "", [], {})
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
    " The line of training rows as evaluated has neither: a fixed sample of the training pairs, "
    "measured at the same moment and in the same way as the validation pairs. If both kinds "
    "of pairs are equally hard, the gap between those two lines shows what was learnt by heart."
)
_OTHER_CURVES = (
    "The paper's own curves measured text cut at 20 tokens, on other data: do not compare "
    "them with these."
)
_LIKE_THE_PAPERS = (
    "Text was decoded as for the paper's own curves, so these are made like them, as far as the "
    "data and BERTScore's encoder are the paper's."
)
_HASH = re.compile(r"[0-9a-f]{64}")


def summary(run: RunData) -> Section:
    """What was run, on what, with which settings and versions, and how far it came."""
    training = run.training
    config, results = training.get("config") or {}, training.get("results") or {}
    rows: list[tuple[str, object]] = [("state of training", training.get("state", "not begun"))]
    if training:
        rows.append(("model", config.get("model") or "a T5 from scratch"))
    if config.get("name"):
        rows.append(("name", config["name"]))
    rows += [(spoken(name), _cell(value)) for name, value in results.items()]
    rows += [(f"data: {name}", _input(value))
             for name, value in (training.get("inputs") or {}).items()]  # fmt: skip
    if run.text:
        pairs = run.text.get("pairs") or {}
        rows.append(("scored model", run.text.get("model", "")))
        rows.append(("scored pairs", f"{pairs.get('file')}, n = {pairs.get('n')}, "
                                     f"SHA-256 {str(pairs.get('sha256'))[:12]}…"))  # fmt: skip
    rows += [(name, training[name]) for name in ("started", "finished") if name in training]
    if training.get("git_revision"):
        rows.append(("git revision", training["git_revision"][:12]))
    if versions := training.get("versions"):
        rows.append(("versions", ", ".join(f"{name} {found}" for name, found in versions.items())))
    others = {name: stage.get("state") for name, stage in run.stages.items() if name != "training"}
    rows += [(f"stage {name}", state) for name, state in others.items()]
    parts = [facts(rows), paragraph("From manifest.json, which has the hashes whole.", note=True)]
    if config:
        settings = [(name, _cell(value)) for name, value in config.items()]
        parts += [heading("Settings"), facts(settings)]
    if run.missing:
        parts += [heading("What this page lacks"), bullets(run.missing)]
    return Section("Summary", join(parts))


def windows(run: RunData, draw: Draw) -> Section | None:
    """The five windows that the paper's visualiser opens, each against step."""
    drawn, lacking = [], []
    lines = loss_lines(run)
    if lines:
        drawn.append(_loss_window(lines, draw))
    else:
        lacking.append("No loss was logged in this run.")
    for place, (name, title) in enumerate(WINDOWS.items(), 2):
        line, origin, count = metric_line(run, name)
        if not line.x:
            lacking.append(f"{title} was not measured in this run.")
            continue
        plot = line_plot(f"{title} against step", [line], x="step", y=title)
        caption = f"On validation pairs, against the target{count}. From {origin}.{_gaps([line])}"
        caption += _of_window(run, name)
        drawn.append(draw(plot, f"window-{place}-{name}", caption))
    if not drawn:
        return None
    parts = [figures(drawn)]
    if lacking:
        parts.append(bullets(lacking))
    labels = {line.label for line in lines}
    if labels >= {_LOSSES["loss"], _LOSSES["eval_loss"]}:
        sample = _LOSSES["training_sample_loss"] in labels
        parts.append(paragraph(_WHY_BELOW + (_SAMPLE if sample else "")))
    config = run.training.get("config") or {}
    alike = config.get("evaluation_decoding") == "paper-exact"
    parts.append(paragraph(_LIKE_THE_PAPERS if alike else _OTHER_CURVES, note=True))
    return Section("The paper's five windows", join(parts))


def _of_window(run: RunData, name: str) -> str:
    """What a window's scores were measured with, and the last of them rescaled, as sentences."""
    metric = LOG_METRICS[name]
    found = [item for item in run.evaluations if metric in item.scores]
    if not found:
        return ""
    made = sentence(measured_with(found[-1].scores[metric]))
    if not metric.startswith("bertscore"):
        return made
    rescaled = [item.scores.get(f"{metric}_rescaled") for item in (found[0], found[-1])]
    ends = [float(score["value"]) for score in rescaled if score is not None]
    if len(ends) < len(rescaled):
        return f"{made} Not rescaled: pairs that have nothing in common score far above 0 too."
    return (
        f"{made} Not rescaled in the plot; rescaled, where random pairs are near 0, the first "
        f"value is {ends[0]:.3f} and the last is {ends[-1]:.3f}."
    )


def _input(value: Any) -> str:
    """An input of the manifest: the beginning of a hash, anything else as it is."""
    return f"SHA-256 {value[:12]}…" if _HASH.fullmatch(str(value)) else str(value)


def _loss_window(lines: Sequence[Line], draw: Draw) -> Html:
    rows = "; ".join(f"{line.label}: {len(line.x):,}" for line in lines)
    plot = line_plot("Training and evaluation loss", lines, x="step", y=LOSS_UNIT)
    caption = f"Cross-entropy in natural logarithms. Rows of log.csv: {rows}.{_thinned(lines)}"
    return draw(plot, "window-1-loss", caption + _gaps(lines))


def loss_lines(run: RunData, prefix: str = "") -> list[Line]:
    """The losses that the log has, as lines."""
    found = ((label, *run.column(name)) for name, label in _LOSSES.items())
    return [Line(label=prefix + label, x=x, y=y) for label, x, y in found if x]


def metric_line(run: RunData, name: str, label: str = "") -> tuple[Line, str, str]:
    """A metric against step, by its name in the log: line, origin, and n in words.

    With intervals where evaluations have it, otherwise from the log.
    """
    found = [item for item in run.evaluations if LOG_METRICS[name] in item.scores]
    if not found:
        steps, values = run.column(name)
        return Line(label=label, x=steps, y=values), "log.csv", ""
    scores = [item.scores[LOG_METRICS[name]] for item in found]
    line = Line(label=label, x=[item.step for item in found], **_ends(scores))
    return line, "evaluations/", f", n = {scores[-1].get('n')}, band: 95% bootstrap interval"


def epochs(run: RunData, draw: Draw) -> Section | None:
    """Each metric after each epoch, with its interval."""
    if not run.evaluations:
        return None
    names = list(dict.fromkeys(name for item in run.evaluations for name in item.scores))
    titles, drawn = metric_titles(run), []
    for name in names:
        found = [item for item in run.evaluations if name in item.scores]
        scores = [item.scores[name] for item in found]
        line = Line(label="", x=[item.epoch for item in found], **_ends(scores))
        title = titles.get(name, spoken(name))
        plot = line_plot(title, [line], x="epoch", y=short_title(title), bars=True)
        caption = f"n = {scores[-1].get('n')} predictions, bars: 95% interval. From evaluations/."
        caption += sentence(measured_with(scores[-1]))
        drawn.append(draw(plot, f"epoch-{name}", caption))
    last = run.evaluations[-1]
    note = paragraph("Scores of what the model wrote for the validation pairs, decoded with:")
    options = [(key, _cell(value)) for key, value in last.decoding.items() if value not in _NOTHING]
    used = facts(options) if options else paragraph("(not recorded)")
    return Section("Metrics after each epoch", join([note, used, figures(drawn)]))


def optimizer(run: RunData, draw: Draw) -> Section | None:
    """Learning rate and gradient norm against step."""
    drawn = []
    for name, title in (("learning_rate", "Learning rate"), ("grad_norm", "Gradient norm")):
        steps, values = run.column(name)
        if not steps:
            continue
        line = Line(label="", x=steps, y=values)
        sound = [value for value in values if math.isfinite(value) and value > 0]
        # Where a few bursts would press all else flat.
        log = name == "grad_norm" and bool(sound) and max(sound) > 100 * min(sound)
        label = "L2 norm before clipping" if name == "grad_norm" else "learning rate"
        plot = line_plot(title, [line], x="step", y=label, log=log)
        caption = f"{len(steps):,} rows of log.csv.{_thinned([line])}{_gaps([line])}"
        drawn.append(draw(plot, name, caption))
    return Section("Learning rate and gradient norm", figures(drawn)) if drawn else None


def metric_titles(run: RunData) -> dict[str, str]:
    """How people write a metric, by its name."""
    known = {name: metric.title for name, metric in TEXT_METRICS.items()}
    own = {item["name"]: item["title"] for item in (run.text or {}).get("metrics", [])
           if isinstance(item, dict) and "name" in item and "title" in item}  # fmt: skip
    return known | own


def _ends(scores: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Values and interval ends of scores; an end that is not known is the value."""
    values = [float(score["value"]) for score in scores]
    found = {"y": values}
    for end in ("low", "high"):
        given = [number(score.get(end)) for score in scores]
        found[end] = [value if end is None else end
                      for value, end in zip(values, given, strict=True)]  # fmt: skip
    return found


def _thinned(lines: Sequence[Line]) -> str:
    longest = max(len(line.x) for line in lines)
    if longest <= MOST_POINTS:
        return ""
    return f" Each point is the mean of up to {math.ceil(longest / MOST_POINTS)} rows."


def _gaps(lines: Sequence[Line]) -> str:
    count = sum(not math.isfinite(value) for line in lines for value in line.y)
    return f" {count} values are not finite and leave gaps." if count else ""


def _cell(value: Any) -> object:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(found)}" for name, found in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else value
