"""What a model in training writes for the validation pairs, and how good that is.

Predictions come from promptlift's own decoding loop, so that an epoch is measured with what users
of the model will see. They depend on model, pairs, options and seed alone: not on batches, nor on
how many processes share the work, nor on where it was stopped.
"""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from promptlift.files import write_json
from promptlift.improving.config import ControlConfig, DecodingConfig, resolve_options
from promptlift.improving.manifest import ModelCard
from promptlift.improving.model import LoadedModel
from promptlift.improving.session import Ask, Session
from promptlift.pairs.load import pair_columns
from promptlift.progress import Pulse
from promptlift.records import Pair
from promptlift.tables import write_rows
from promptlift.training.config import TrainingConfig
from promptlift.training.distributed import Processes
from promptlift.training.models import Start

SCHEMA_VERSION = 1
# The paper's short names in the log, by the names that scores have.
LOGGED = {
    "meteor_target": "meteor",
    "bertscore_precision_target": "bertscore_precision",
    "bertscore_recall_target": "bertscore_recall",
    "bertscore_f1_target": "bertscore_f1",
}
BATCH_SIZE = 64  # rows that are decoded together
_WINDOW = 512  # pairs of a process between two writes of the journal


class Stopped(Exception):
    """A signal stopped the evaluation; what it had generated is kept."""


# Scores each prediction against its pair: the scores of all, as `scoring.scores.Score.to_dict`
# gives them, and for each prediction its value by metric, None where a metric does not apply.
# Training is handed one: scoring lies downstream.
Evaluator = Callable[
    [Sequence[Pair], Sequence[str]], tuple[list[dict[str, Any]], list[dict[str, float | None]]]
]


def decoding_of(
    config: TrainingConfig, card: ModelCard, form: str | None = None
) -> tuple[DecodingConfig, ControlConfig] | None:
    """The options that predictions of a form are generated with; None where none are.

    All pairs are generated for, also those whose source improving would leave alone.
    "paper-exact" is `Seq2SeqTrainer` without `generation_max_length`: greedy, and the default
    `max_length` of 20. In the versions of its time that length counts the token that starts the
    decoder (transformers up to 4.4x; 5 adds the start to it), so 19 new tokens, the end included.
    """
    if config.evaluation_decoding == "none":
        return None
    options: dict[str, Any] = {"force": True, "form": form}
    if config.evaluation_decoding == "model":
        return resolve_options(card, None, options)
    if config.evaluation_decoding == "paper-exact":
        options |= {
            "do_sample": False,
            "min_new_tokens": 0,
            "max_new_tokens": 19,
            "repetition_penalty": 1.0,
        }
    return resolve_options(card, "paper", options)


class EpochEvaluation:
    """Predictions after each epoch, their scores, and both in `RUN/evaluations/`.

    While it generates, `step-NNNNNN.part` holds the predictions so far, and it goes on from them.

    Args:
        folder: run folder.
        pairs: the validation pairs.
        config: settings of the run.
        start: the model in training, and its tokenizer.
        card: what the model will say of itself.
        evaluator: scores predictions; without one they are only written.
        processes: who shares the work.
        stop_asked: whether to stop at the next chance.
        report: takes lines of progress.
    """

    def __init__(
        self, folder: Path, pairs: Sequence[Pair], config: TrainingConfig, *, start: Start,
        card: ModelCard, evaluator: Evaluator | None, processes: Processes,
        stop_asked: Callable[[], bool], report: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.folder, self.seed = folder / "evaluations", config.seed
        self.evaluator, self.processes = evaluator, processes
        self.stop_asked, self.report, self.start = stop_asked, report, start
        count = min(config.evaluation_pairs or len(pairs), len(pairs))
        self.indices = sorted(random.Random(config.seed).sample(range(len(pairs)), count))
        self.pairs = [pairs[index] for index in self.indices]
        self.options: dict[str, tuple[DecodingConfig, ControlConfig]] = {}
        for form in dict.fromkeys([*card.forms, *(pair.form for pair in self.pairs)]):
            options = decoding_of(config, card, form)
            assert options is not None
            self.options[form] = options
        from promptlift.improving.engines.torch import torch_engine

        codec = start.codec
        engine = torch_engine(start.unwrapped, codec.special.decoder_start)
        self.model = LoadedModel(engine, codec, card, f"{card.name}@training")

    def __call__(self, step: int, epoch: float) -> dict[str, float]:
        """The figures of the log, by column.

        Raises:
            Stopped: a signal came.
        """
        path = self.folder / f"step-{step:06d}.json"
        known = self.processes.from_main(_read(path) if self.processes.main else None)
        scores = known and known["scores"]
        if scores is None:
            predictions = self._predictions(path.with_suffix(".part"))
            if self.processes.main:
                scores = self._score(path, step, epoch, predictions)
            scores = self.processes.from_main(scores)
        return {
            LOGGED[score["metric"]]: score["value"] for score in scores if score["metric"] in LOGGED
        }

    def _score(
        self, path: Path, step: int, epoch: float, predictions: list[str]
    ) -> list[dict[str, Any]]:
        scores: list[dict[str, Any]] = []
        rows: list[dict[str, float | None]] = [{} for _ in predictions]
        if self.evaluator is not None:
            self.report(f"epoch {epoch:.2f}: scoring {len(predictions)} predictions")
            scores, rows = self.evaluator(self.pairs, predictions)
        names = pair_columns(self.pairs)
        pair_fields = ({name: getattr(pair, name) for name in names} for pair in self.pairs)
        lines = (
            {"index": index, **fields, "prediction": prediction, **row}
            for index, fields, prediction, row in zip(
                self.indices, pair_fields, predictions, rows, strict=True
            )
        )
        write_rows(path.with_suffix(".jsonl"), lines, ())
        # By form where there are several.
        settings = {
            form: {**asdict(decoding), **asdict(control), "seed": self.seed}
            for form, (decoding, control) in self.options.items()
        }
        write_json(
            path,
            {
                "schema_version": SCHEMA_VERSION,
                "step": step,
                "epoch": epoch,
                "decoding": settings if len(settings) > 1 else next(iter(settings.values())),
                "scores": scores,
            },
        )
        path.with_suffix(".part").unlink(missing_ok=True)
        return scores

    def _predictions(self, journal: Path) -> list[str]:
        """What the model writes for each pair; the same in all processes."""
        done: list[str] = self.processes.from_main(
            _read(journal) or [] if self.processes.main else None
        )
        size = _WINDOW * self.processes.count
        self.start.model.eval()
        with _as_it_was_built(self.start.model):
            while len(done) < len(self.pairs):
                if self.processes.any(self.stop_asked()):
                    raise Stopped
                window = self.pairs[len(done) : len(done) + size]
                own = window[self.processes.index :: self.processes.count]
                parts = self.processes.gather(self.predict(own))
                shared = [parts[i % len(parts)][i // len(parts)] for i in range(len(window))]
                done += shared
                if self.processes.main:
                    write_json(journal, done)
                self.report(f"generated {len(done)} of {len(self.pairs)} predictions")
        return done

    def predict(self, pairs: Sequence[Pair]) -> list[str]:
        """The whole improved prompt of each pair, whatever its mode and form."""
        found: dict[int, str] = {}
        for form in dict.fromkeys(pair.form for pair in pairs):
            places = [place for place, pair in enumerate(pairs) if pair.form == form]
            prompts = self._predict([pairs[place] for place in places], form)
            found |= dict(zip(places, prompts, strict=True))
        return [found[place] for place in range(len(pairs))]

    def _predict(self, pairs: Sequence[Pair], form: str) -> Iterator[str]:
        decoding, control = self.options[form]
        pulse = Pulse(self.report)

        def given_up() -> bool:  # is called before each token
            pulse.still(f"generating predictions for {len(pairs)} pairs")
            return False

        session = Session(
            self.model, decoding=decoding, control=control, batch_size=BATCH_SIZE,
            given_up=given_up,
        )  # fmt: skip
        asks = (Ask(prompt=pair.source, seed=self.seed, mode=pair.mode) for pair in pairs)
        for [result] in session.improve(asks):
            yield result.prompt


@contextmanager
def _as_it_was_built(model: Any) -> Iterator[None]:
    """For a while, a model without what accelerate puts around its forward pass for autocast.

    Improving runs in float32, whatever precision the training steps have.
    """
    forward = vars(model).pop("forward", None)
    try:
        yield
    finally:
        if forward is not None:
            model.forward = forward


def _read(path: Path) -> Any:
    """What a file of JSON holds; None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
