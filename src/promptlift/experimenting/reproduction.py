"""`RUN/reproduction.json`: every figure of the paper with that of a run, to be sent to others.

docs/formats.md has its fields. Nothing in it says where the run's files lie on its machine.
"""

import os
import platform
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from promptlift import __version__
from promptlift.errors import PromptliftError
from promptlift.experimenting.config import ExperimentConfig, load_config
from promptlift.experimenting.paper_figures import (
    LOSSES,
    METRICS,
    PAPER,
    PREFERRED,
    Key,
    title_of,
)
from promptlift.files import write_json
from promptlift.reporting.picture_data import read_pictures
from promptlift.reporting.run_data import LOG_METRICS, RunData, read_run
from promptlift.reporting.run_files import finite
from promptlift.runs import Run, versions_of
from promptlift.scoring.text.words import content_words, word_frequencies, words_of
from promptlift.statistics import DRAWS, multiplicities, percentiles, ratio_interval, shares
from promptlift.training.config import PAPER_DATA

FILE = "reproduction.json"
SCHEMA_VERSION = 1
SENT_TO = "docs/reproductions"
_TOP = 10
_VERSIONED = ("torch", "transformers", "diffusers", "nltk", "numpy")
Figure = dict[str, Any]


def write_reproduction(folder: Path, config: ExperimentConfig) -> Path:
    """Write what a run found beside what the paper says, and give the file's path.

    Args:
        folder: the run, done as far as it goes.
        config: of the experiment.
    """
    run, stage = read_run(folder), Run.open(folder).stage("experimenting")
    ours = {**_data(run), **_metrics(run), **_losses(run), **_clipscores(folder),
            **_preferred(folder), **_words(run)}  # fmt: skip
    settings, papers = config.settings(), load_config("paper").settings()
    names = [name for name in {**papers, **settings} if papers.get(name) != settings.get(name)]
    path = folder / FILE
    value = {
        "schema_version": SCHEMA_VERSION,
        "experiment": config.name,
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "promptlift_version": __version__,
        "git_revision": stage.get("git_revision"),
        "versions": versions_of(_VERSIONED),
        "machines": _machines(stage.get("machines", {})),
        "seconds": stage.get("seconds", {}),
        "settings": settings,
        "unlike_paper": sorted(names),
        "decoding": run.evaluations[-1].decoding if run.evaluations else None,
        "inputs": {
            name: found["inputs"] for name, found in run.stages.items() if found.get("inputs")
        },
        "figures": [
            {"name": key[0], "epoch": key[1], "title": title_of(key), **_beside(key, ours)}
            for key in {**PAPER, **ours}
        ],
        "words": _top_words(run),
    }
    write_json(path, _without_places(value))
    return path


def machine() -> dict[str, Any]:
    """Processor, cores, memory and card of this machine, in GB of 10^9 bytes."""
    import torch

    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": None,
        "gpus": [],
        "gpu_memory_gb": None,
    }
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found["memory_gb"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count())]
        found["gpus"] = [card.name for card in cards]
        found["gpu_memory_gb"] = round(min(card.total_memory for card in cards) / 1e9)
    elif torch.backends.mps.is_available():
        found["gpus"] = ["Apple"]
    return found


def how_to_send(config: ExperimentConfig, path: Path) -> list[str]:
    """Where the file is, and of a run on the paper's pairs where it may be sent, a line each."""
    lines = [f"the paper's figures beside yours: promptlift reproduce show {path}"]
    if config.pairs.data == PAPER_DATA:
        lines.append(
            f"please send it: a pull request that adds {path} as {SENT_TO}/NAME.json, where NAME "
            "says card and date (docs/reproduce.md)"
        )
    return lines


def _processor() -> str:
    if sys.platform == "linux":
        with suppress(OSError):
            text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
            if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
                return found[1].strip()
    return platform.processor() or platform.machine()


def _machines(by_stage: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each machine once, with the stages that were begun on it."""
    found: list[dict[str, Any]] = []
    for stage, one in by_stage.items():
        same = next((item for item in found if item["machine"] == one), None)
        if same is None:
            found.append({"stages": [stage], "machine": one})
        else:
            same["stages"].append(stage)
    return [{"stages": item["stages"], **item["machine"]} for item in found]


def _beside(key: Key, ours: Mapping[Key, Figure]) -> dict[str, Any]:
    theirs, own = PAPER.get(key), ours.get(key)
    return {
        "paper": None if theirs is None else vars(theirs),
        "ours": own,
        "missing": None if own else _what_to_do(key[0]),
    }


def _what_to_do(name: str) -> str:
    """Why a figure is missing, and what makes it."""
    if name == PREFERRED:
        ask = "promptlift judge RUN --sample 100 --questions picture"
        return f"no votes yet: {ask}, then the experiment's command again"
    if name.startswith("clipscore"):
        return "no such score of the pictures: promptlift score RUN --only pictures"
    if name in METRICS:
        return "not measured after this epoch: [train] epochs and evaluation_decoding decide"
    if name in LOSSES:
        return "not in log.csv: [train] epochs, logging_steps and training_sample decide"
    return "not in the run folder: the experiment's command goes on"


def _value(
    value: float, n: int | None, ends: tuple[float | None, float | None] = (None, None),
    settings: Mapping[str, Any] | None = None,
) -> Figure:  # fmt: skip
    return {"value": value, "low": ends[0], "high": ends[1], "n": n, "settings": settings or {}}


def _score(score: Mapping[str, Any]) -> Figure:
    ends = finite(score.get("low")), finite(score.get("high"))
    return _value(float(score["value"]), score.get("n"), ends, score.get("settings"))


def _data(run: RunData) -> dict[Key, Figure]:
    results, config = run.training.get("results") or {}, run.training.get("config") or {}
    pairs = sum((results.get("pairs") or {}).values())
    found: dict[Key, Figure] = {}
    if pairs:
        found["training_pairs", None] = _value(pairs, pairs)
    if tested := _rows_of(run.folder / "validation.jsonl"):
        found["test_pairs", None] = _value(tested, tested)
    if results.get("steps") and config.get("epochs"):
        updates = round(results["steps"] / config["epochs"])
        found["updates_per_epoch", None] = _value(updates, pairs or None)
    return found


def _rows_of(path: Path) -> int:
    if not path.is_file():
        return 0
    with open(path, encoding="utf-8") as file:
        return sum(1 for line in file if line.strip())


def _metrics(run: RunData) -> dict[Key, Figure]:
    return {
        (name, round(step.epoch)): _score(step.scores[LOG_METRICS[name]])
        for step in run.evaluations
        for name in METRICS
        if LOG_METRICS[name] in step.scores and round(step.epoch) >= 1
    }


def _losses(run: RunData) -> dict[Key, Figure]:
    """Those after each epoch, and the mean of the training losses that were logged in it."""
    config, tested = run.training.get("config") or {}, _rows_of(run.folder / "validation.jsonl")
    found: dict[Key, Figure] = {}
    logged: dict[int, list[float]] = {}
    for row in run.log:
        epoch = int(np.ceil(row.get("epoch", 0.0) - 1e-6))
        if epoch < 1:
            continue
        if (loss := finite(row.get("loss"))) is not None:
            logged.setdefault(epoch, []).append(loss)
        for name, n in (("eval_loss", tested),
                        ("training_sample_loss", config.get("training_sample"))):  # fmt: skip
            if (loss := finite(row.get(name))) is not None:
                found[name, epoch] = _value(loss, n or None)
    for epoch, losses in logged.items():
        settings = {"rows of log.csv": len(losses)}
        found["loss", epoch] = _value(float(np.mean(losses)), None, settings=settings)
    return found


def _clipscores(folder: Path) -> dict[Key, Figure]:
    shown = read_pictures(folder)
    return {
        (f"clipscore_{prompt}_{picture}", None): _score(score)
        for prompt in ("original", "improved")
        for picture in ("original", "improved")
        if (score := shown.score(f"{picture} pictures", f"clipscore_{prompt}_prompt"))
    }


def _preferred(folder: Path) -> dict[Key, Figure]:
    from promptlift.judging.collecting.study import FILE as VOTES
    from promptlift.judging.collecting.study import Study
    from promptlift.judging.results import read_results
    from promptlift.judging.statistics.rates import TIES_LOSE

    if not (folder / VOTES).is_file():
        return {}
    try:
        study = Study.open([folder], None)
    except PromptliftError:
        return {}
    try:
        questions = read_results(study).questions
    finally:
        study.store.close()
    for question in ("picture", *questions):  # the paper's question first
        asked = questions.get(question)
        for system, part in (asked.systems if asked else {}).items():
            tally = part.rates.together
            rate = tally.rates[TIES_LOSE].wilson
            if rate.value is not None:
                settings = {"question": question, "system": system, "raters": tally.raters,
                            "prompts": tally.prompts, "wins": tally.wins, "ties": tally.ties,
                            "losses": tally.losses, "blind": True}  # fmt: skip
                ends = rate.low, rate.high
                return {(PREFERRED, None): _value(rate.value, tally.votes, ends, settings)}
    return {}


def _improved(run: RunData) -> list[tuple[str, str]]:
    return [(row["source"], row["prompt"]) for row in run.improvements]


def _top_words(run: RunData) -> dict[str, Any]:
    pairs = _improved(run)
    return {"n": len(pairs), **word_frequencies(pairs, top=_TOP)["words"]}


def _words(run: RunData) -> dict[Key, Figure]:
    pairs = _improved(run)
    found = word_frequencies(pairs, top=_TOP)
    every, top = found["totals"]["all_words"]["ratio"], found["top_words_ratio"]
    figures: dict[Key, Figure] = {}
    if top is not None:
        figures["top_words_ratio", None] = _value(top, len(pairs), _top_interval(pairs))
    if every is not None:
        before, after = ([len(words_of(pair[side])) for pair in pairs] for side in (0, 1))
        _, low, high = ratio_interval(after, before)
        figures["all_words_ratio", None] = _value(every, len(pairs), (low, high))
    return figures


def _top_interval(pairs: Sequence[tuple[str, str]]) -> tuple[float | None, float | None]:
    """Bootstrap over prompts of the top ten after over the top ten before, anew in each draw."""
    chosen = multiplicities(len(pairs), DRAWS, np.random.default_rng(0))
    sums = []
    for side in (0, 1):
        words = [content_words(pair[side]) for pair in pairs]
        owners = np.repeat(np.arange(len(pairs)), [len(found) for found in words])
        _, places = np.unique([word for found in words for word in found], return_inverse=True)
        counts = (np.bincount(places, weights=weights[owners]) for weights in chosen)
        sums.append(np.array([np.sort(count)[-_TOP:].sum() for count in counts]))
    return percentiles(shares(sums[1], sums[0]))


def _without_places(value: Any) -> Any:
    """A value without the folders that the files it names lie in."""
    if isinstance(value, dict):
        return {key: _without_places(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_places(one) for one in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
