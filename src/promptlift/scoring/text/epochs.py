"""METEOR and BERTScore for training, which lies upstream of scoring."""

from collections.abc import Callable
from functools import partial

from promptlift.scoring.text.config import TextConfig
from promptlift.scoring.text.measuring import evaluate_epoch
from promptlift.scoring.text.run import load_scorer
from promptlift.training.evaluation import Evaluator


def epoch_evaluator(
    config: TextConfig, report: Callable[[str], None]
) -> tuple[Evaluator, dict[str, str]]:
    """What scores a training run's predictions after each epoch, and what its figures rest on.

    Args:
        config: names the encoder; METEOR and BERTScore are both taken.
        report: is told which encoder it is.

    Raises:
        MissingExtraError: the extra `score` is not installed.
        ModelError: the encoder cannot be loaded.
    """
    scorer = load_scorer(config, report)
    assert scorer.meteor is not None and scorer.bertscore is not None
    known = scorer.bertscore.settings
    inputs = {
        "encoder": f"{known['encoder']} {known['weights']}, layer {known['layer']}",
        "wordnet": str(scorer.meteor.settings["wordnet"] or "none"),
    }

    return partial(evaluate_epoch, scorer=scorer), inputs
