"""Scoring improved prompts as texts: against target and source, by themselves, and together.

A prediction is the whole improved prompt. Its reference is the pair's target in mode "rewrite",
and source, comma, target in mode "extend". Bits per character are always of the target itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from promptlift.records import Pair
from promptlift.scoring.scores import Score
from promptlift.scoring.text.baselines import (
    MODEL,
    SHUFFLED,
    TARGETS,
    baselines,
    reference,
    shuffle,
    shuffled_targets,
)
from promptlift.scoring.text.bertscore import NAMES, BertScorer
from promptlift.scoring.text.bits import characters_of, target_bits
from promptlift.scoring.text.diversity import (
    BLEU_TEXTS,
    added_words,
    distinct,
    first_words,
    self_bleu,
)
from promptlift.scoring.text.meteor import Meteor
from promptlift.scoring.text.metrics import TEXT_METRICS, plain_values
from promptlift.scoring.text.shuffle_control import blind_rows, compare_with_shuffled
from promptlift.statistics import corpus_interval, mean_interval, ratio_interval

if TYPE_CHECKING:
    from promptlift.improving.improver import Improver

SCHEMA_VERSION = 1
# Of each system for distinct-n, which falls with length: the same in every run, so that runs can
# be compared, and so few that some hundred prompts suffice.
DISTINCT_WORDS = 2_000
_CORPUS_DRAWS = 100

Columns = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class TextScores:
    """What scoring found.

    Attributes:
        predictions: whole prompts by system: the model, where there is one, and baselines.
        columns: by system and metric a value for each pair, NaN where it does not apply.
        scores: by system a score for each metric.
        shuffle_control: rows of `compare_with_shuffled`.
    """

    predictions: dict[str, list[str]] = field(repr=False)
    columns: dict[str, Columns] = field(repr=False)
    scores: dict[str, list[Score]]
    shuffle_control: list[dict[str, Any]]

    def rows(self, pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
        """A row for each system and pair: index, system, texts, and a column for each metric."""
        for system, predictions in self.predictions.items():
            columns = self.columns[system]
            for index, (pair, prediction) in enumerate(zip(pairs, predictions, strict=True)):
                yield {
                    "index": index,
                    "system": system,
                    "source": pair.source,
                    "target": pair.target or None,
                    "mode": pair.mode,
                    "form": pair.form,
                    "prediction": prediction,
                    **{name: _plain(values[index]) for name, values in columns.items()},
                }

    def to_dict(self) -> dict[str, Any]:
        """Metrics, systems with their scores, and the shuffle control as plain JSON types."""
        named = {score.metric for scores in self.scores.values() for score in scores}
        return {
            "metrics": [vars(metric) for name, metric in TEXT_METRICS.items() if name in named],
            "systems": [
                {"name": name, "scores": [score.to_dict() for score in scores]}
                for name, scores in self.scores.items()
            ],
            "doctor": self.shuffle_control,
        }


class TextScorer:
    """METEOR and BERTScore, loaded once, beside the metrics that need no model.

    Args:
        meteor: None leaves METEOR out.
        bertscore: None leaves BERTScore out.
    """

    def __init__(self, meteor: Meteor | None, bertscore: BertScorer | None) -> None:
        self.meteor, self.bertscore = meteor, bertscore
        self._truncated = 0

    def columns(
        self,
        pairs: Sequence[Pair],
        predictions: Sequence[str],
        *,
        sides: Sequence[str] = ("target", "source"),
        plain: bool = True,
    ) -> Columns:
        """A value for each metric and prediction, NaN where a metric does not apply.

        Args:
            pairs: what the predictions are held against.
            predictions: whole prompts.
            sides: "target" and "source", or one of them.
            plain: whether to take the metrics that need no model too.
        """
        texts = {
            "target": [reference(pair) for pair in pairs],
            "source": [pair.source for pair in pairs],
        }
        references = {side: texts[side] for side in sides}
        found: Columns = {}
        if self.meteor is not None:
            for side, others in references.items():
                found[f"meteor_{side}"] = self.meteor.scores(
                    predictions=predictions, references=others
                )
        if self.bertscore is not None:
            raw = self.bertscore.scores_against(predictions=predictions, references=references)
            self._truncated += self.bertscore.truncated
            named = {f"bertscore_{name}": values for name, values in raw.items()}
            if self.bertscore.baseline is not None:
                rescaled = self.bertscore.rescaled(raw)
                named |= {f"bertscore_{k}_rescaled": values for k, values in rescaled.items()}
            found |= named
        if plain:
            values = [
                plain_values(pair.source, prediction)
                for pair, prediction in zip(pairs, predictions, strict=True)
            ]
            for name in values[0] if values else ():
                column = [row[name] for row in values]
                found[name] = np.array([np.nan if v is None else v for v in column])
        return {name: found[name] for name in TEXT_METRICS if name in found}

    def settings(self, metric: str) -> dict[str, Any]:
        """What decides a metric's values beside the texts."""
        if metric.startswith("meteor") and self.meteor is not None:
            return dict(self.meteor.settings)
        if metric.startswith("bertscore") and self.bertscore is not None:
            scorer = self.bertscore
            found = {**scorer.settings, "truncated": self._truncated}
            if metric.endswith("_rescaled") and scorer.baseline is not None:
                base = scorer.baseline
                measure = next(name for name in NAMES if f"_{name}_" in metric)
                found |= {"baseline": getattr(base, measure), "baseline_origin": base.origin}
            return found
        return {}


def score_text(
    pairs: Sequence[Pair],
    predictions: Sequence[str] | None,
    scorer: TextScorer,
    *,
    training: Iterable[Pair] | None = None,
    improver: "Improver | None" = None,
    targets: bool = True,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> TextScores:
    """Score a model's predictions and the baselines, and control the metrics by shuffling.

    Args:
        pairs: what was improved; at least 2.
        predictions: the whole improved prompts; None controls the metrics on the pairs alone.
        scorer: the loaded metrics.
        training: for the baseline of the nearest training pair.
        improver: the model itself, for bits per character.
        targets: whether the pairs have targets.
        seed: of shuffling.
        report: takes lines of progress.
    """
    systems: dict[str, list[str]] = {} if predictions is None else {MODEL: list(predictions)}
    systems |= baselines(pairs, training, targets=targets, seed=seed)
    sides = ("target", "source") if targets else ("source",)
    columns = {}
    for name, texts in systems.items():
        report(f"scoring {len(texts)} prompts: {name}")
        columns[name] = scorer.columns(pairs, texts, sides=sides)
    control = []
    length = characters_of([pair.target for pair in pairs])
    if predictions is not None:
        report("scoring the model's prompts against shuffled targets and sources")
        others = _other_sources(pairs, seed)
        shuffled = scorer.columns(others, predictions, sides=("source",))
        if targets:
            mixed = shuffled_targets(pairs, seed)
            shuffled |= scorer.columns(mixed, predictions, sides=("target",), plain=False)
        if improver is not None and targets:
            report("asking the model for the probability of targets")
            columns[MODEL]["bits_per_character"] = target_bits(improver, pairs) / length
            # The same target under another source: other targets would differ by themselves.
            shuffled["bits_per_character"] = target_bits(improver, others) / length
        control += compare_with_shuffled(
            "predictions", columns[MODEL], shuffled, {"bits_per_character": length}
        )
    if targets:
        control += compare_with_shuffled("targets", columns[TARGETS], columns[SHUFFLED])
    scores = {name: _means(columns[name], pairs, scorer) for name in systems}
    for name, found in _diversity(pairs, systems).items():
        scores[name] += found
    return TextScores(
        predictions=systems,
        columns=columns,
        scores=scores,
        shuffle_control=[*control, *blind_rows()],
    )


def evaluate_epoch(
    pairs: Sequence[Pair],
    predictions: Sequence[str],
    scorer: TextScorer,
) -> tuple[list[dict[str, Any]], list[dict[str, float | None]]]:
    """METEOR and BERTScore of a training run's validation pairs, after an epoch.

    Args:
        pairs: with targets.
        predictions: whole prompts.
        scorer: kept from epoch to epoch, so that its models are loaded once.

    Returns:
        Scores as dicts, and a row for each prediction; both hold `meteor_target`,
        `bertscore_f1_target` and so on, against the source too, and rescaled.
    """
    columns = scorer.columns(pairs, predictions, plain=False)
    rows = [
        {name: _plain(values[index]) for name, values in columns.items()}
        for index in range(len(pairs))
    ]
    return [score.to_dict() for score in _means(columns, pairs, scorer)], rows


def _other_sources(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """The pairs with each other's sources."""
    return [
        replace(pair, source=pairs[index].source)
        for pair, index in zip(pairs, shuffle(len(pairs), seed), strict=True)
    ]


def _means(columns: Columns, pairs: Sequence[Pair], scorer: TextScorer) -> list[Score]:
    """A score for each metric of one system: the mean over the pairs that it applies to."""
    scores = []
    for name, values in columns.items():
        applies = ~np.isnan(values)
        if not applies.any():
            continue
        if name == "bits_per_character":  # a long target weighs by its length
            length = characters_of([pair.target for pair in pairs])[applies]
            found = ratio_interval(values[applies] * length, length)
        else:
            found = mean_interval(values[applies])
        value, low, high = found
        scores.append(
            Score(
                metric=name,
                value=value,
                low=low,
                high=high,
                n=int(applies.sum()),
                settings=scorer.settings(name),
            )
        )
    return scores


def _diversity(
    pairs: Sequence[Pair], systems: Mapping[str, Sequence[str]]
) -> dict[str, list[Score]]:
    """Distinct-n and self-BLEU of the words each system adds.

    Distinct-n is that of the first 2,000 words. A system that adds fewer has a note in its
    settings: its value is too high to be compared with others.
    """
    words = {
        name: [added_words(p.source, text) for p, text in zip(pairs, texts, strict=True)]
        for name, texts in systems.items()
    }
    totals = {name: sum(map(len, texts)) for name, texts in words.items()}
    scores: dict[str, list[Score]] = {name: [] for name in systems}
    for name, texts in words.items():
        if not totals[name]:
            continue  # what adds nothing is neither various nor dull
        chosen = [text for text in first_words(texts, DISTINCT_WORDS) if text]
        counted: dict[str, Any] = {"words": min(totals[name], DISTINCT_WORDS)}
        if totals[name] < DISTINCT_WORDS:
            counted["note"] = (
                f"of {totals[name]:,} added words, fewer than the {DISTINCT_WORDS:,} of others: "
                "not to be compared"
            )
        heard = [text for text in texts if text][:BLEU_TEXTS]
        for metric, items, statistic, settings in (
            ("distinct_1", chosen, partial(distinct, order=1), counted),
            ("distinct_2", chosen, partial(distinct, order=2), counted),
            ("self_bleu", heard, self_bleu, {"texts": len(heard), "smoothing": "method 1"}),
        ):
            value, low, high = corpus_interval(items, statistic, draws=_CORPUS_DRAWS)
            scores[name].append(
                Score(
                    metric=metric,
                    value=value,
                    low=max(0.0, low),  # an interval of spread about the value knows no bounds
                    high=min(1.0, high),
                    n=len(items),
                    settings=settings,
                )
            )
    return scores


def _plain(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
