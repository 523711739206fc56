"""What the pictures of a run show, as the JSON of `RUN/scores/pictures.json`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from promptlift.pictures import SIDES
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.metrics import (
    CLIP_METRICS,
    MATCH_METRICS,
    OWN_PROMPT,
    PAIR_METRICS,
)
from promptlift.scoring.pictures.pair_scores import compare, gain_of, scores_of
from promptlift.scoring.pictures.pair_tables import TableBuilder, Tables
from promptlift.scoring.pictures.picture_features import PictureModels
from promptlift.scoring.pictures.verdicts import RULE, Verdict, judge, left_alone
from promptlift.scoring.scores import Metric
from promptlift.statistics import mean_interval

SHUFFLED = "shuffled captions"
# Metrics that hold a picture against another text than the original prompt, and near-blank
# pictures, which the rule counts apart.
_NOT_JUDGED = {CLIP_METRICS[1].name, *(metric.name for metric in MATCH_METRICS), "near_blank"}


def picture_results(
    builder: TableBuilder, models: PictureModels, config: PictureScoringConfig
) -> tuple[dict[str, Any], list[Verdict]]:
    """Scores with intervals, comparisons and counts of verdicts, and the verdicts themselves.

    Each table has a second one for shuffled captions: what the metric gives by chance.
    """
    own, shuffled = builder.own(), builder.shuffled()
    metrics = _side_metrics(models)
    settings = _settings(models)
    found: dict[str, Any] = {
        "pairs": len(builder.pairs),
        "metrics": [asdict(metric) for metric in _all_metrics(models)],
        "systems": _systems(metrics, own, "", settings, config.seed),
        "comparisons": [],
        "verdicts": None,
    }
    if shuffled is not None:
        found["systems"] += _systems(metrics, shuffled, f", {SHUFFLED}", settings, config.seed)
    if not builder.pairs:
        return found, []
    found["comparisons"] = _comparisons(metrics, own, shuffled, config)
    verdicts = _judge(builder, metrics, own, config)
    by_chance = [] if shuffled is None else _judge(builder, metrics, shuffled, config)
    found["verdicts"] = {
        "rule": RULE,
        "metrics": sorted({name for verdict in verdicts for name in verdict.evidence}),
        **_counts(verdicts, config.seed),
        "shuffled_captions": _counts(by_chance, config.seed) if by_chance else None,
    }
    return found, verdicts


def _side_metrics(models: PictureModels) -> list[Metric]:
    """Metrics that each picture of a pair has."""
    clip: tuple[Metric, ...] = ()
    if models.clip is not None:
        clip = CLIP_METRICS + (MATCH_METRICS if models.clip.logit_bias is not None else ())
    return [*clip, *models.metrics]


def _all_metrics(models: PictureModels) -> list[Metric]:
    of_pairs = () if models.clip is None else (OWN_PROMPT, *PAIR_METRICS)
    return [*_side_metrics(models), *of_pairs]


def _settings(models: PictureModels) -> dict[str, dict[str, Any]]:
    """The model of each metric."""
    found = {scorer.metric.name: {"model": scorer.model} for scorer in models.scorers}
    if models.clip is not None:
        for metric in (*CLIP_METRICS, *MATCH_METRICS, *PAIR_METRICS):
            found[metric.name] = {"model": models.clip.model_id}
    return found


def _systems(
    metrics: Sequence[Metric],
    tables: Tables,
    suffix: str,
    settings: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> list[dict[str, Any]]:
    named = [
        *((f"{side} pictures", metrics, columns) for side, columns in tables.sides.items()),
        ("pairs", PAIR_METRICS, tables.pairs),
    ]
    found = [
        {
            "name": name + suffix,
            "scores": scores_of(listed, columns, tables.prompts, settings, seed=seed),
        }
        for name, listed, columns in named
    ]
    return [system for system in found if system["scores"]]


def _comparisons(
    metrics: Sequence[Metric], own: Tables, shuffled: Tables | None, config: PictureScoringConfig
) -> list[dict[str, Any]]:
    """Improved against original pictures in each metric, and the same for shuffled captions."""

    def compared(metric: Metric, tables: Tables | None) -> dict[str, Any] | None:
        if tables is None or metric.name not in tables.sides[SIDES[0]]:
            return None
        first, second = (tables.sides[side][metric.name] for side in SIDES)
        return compare(metric, first, second, tables.prompts, tie=config.tie, seed=config.seed)

    rows = [(metric, compared(metric, own)) for metric in (*metrics, OWN_PROMPT)]
    return [
        {**row, "shuffled_captions": compared(metric, shuffled)}
        for metric, row in rows
        if row is not None
    ]


def _judge(
    builder: TableBuilder,
    metrics: Sequence[Metric],
    tables: Tables,
    config: PictureScoringConfig,
) -> list[Verdict]:
    """Verdicts by CLIPScore of the original prompt, and by every scorer that has a better end."""
    original, improved = (tables.sides[side] for side in SIDES)
    gains = {
        metric.name: gain_of(
            original[metric.name],
            improved[metric.name],
            higher_is_better=metric.higher_is_better,
        )
        for metric in metrics
        if metric.name in original
        and metric.name not in _NOT_JUDGED
        and metric.higher_is_better is not None
        # Where no prompt asks for anything, none can be judged by what is shown.
        and not np.isnan(original[metric.name]).all()
    }
    blanks = None
    if "near_blank" in original:
        blanks = gain_of(original["near_blank"], improved["near_blank"])
    shown = [pair.improved for pair in builder.pairs]
    # A prompt counts as improved where any of its variants does.
    competing = Counter(prompt for prompt, _ in {(one.prompt_index, one.variant) for one in shown})
    return judge(
        gains,
        [picture.prompt_index for picture in shown],
        [picture.variant for picture in shown],
        blanks=blanks,
        tie=config.tie,
        best_of=max(competing.values()),
    )


def _counts(verdicts: Sequence[Verdict], seed: int) -> dict[str, Any]:
    """Verdicts by choice and reason, and the share of prompts that were better left alone."""
    alone = left_alone(verdicts)
    value, low, high = mean_interval([float(kept) for kept in alone.values()], seed=seed)
    return {
        "prompts": len(alone),
        "choices": dict(Counter(verdict.choice for verdict in verdicts)),
        "reasons": dict(Counter(verdict.reason for verdict in verdicts)),
        "left_alone": {"value": value, "low": low, "high": high},
    }
