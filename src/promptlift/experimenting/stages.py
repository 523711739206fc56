"""The stages of an experiment in words, and how people are asked for their votes."""

import shlex
from dataclasses import fields
from typing import TYPE_CHECKING

from promptlift.experimenting.config import ExperimentConfig
from promptlift.illustrating.presets import PRESETS
from promptlift.judging.config import JudgingConfig

if TYPE_CHECKING:
    from promptlift.judging.collecting.study import Study

_PORT = 8765  # named, so that the addresses are known before anything listens there


def stages_of(config: ExperimentConfig) -> dict[str, str]:
    """The stages by name, with what each does in a few words."""
    pairs, improve, draw = config.pairs, config.improve, config.illustrate
    origin = (
        f"of {pairs.count + pairs.test} scenes of the {pairs.world} world"
        if pairs.world
        else f"from {pairs.data}"
    )
    learner = config.train.model or "a small T5 from scratch"
    prompts = "all" if improve.sample is None else str(improve.sample)
    painter = draw.model or draw.backend
    seeds = "" if draw.seeds == 1 else f", {draw.seeds} seeds each"
    stages = {
        "pairs": f"pairs {origin}",
        "train": f"training {learner}, {config.train.epochs:g} epochs, text metrics after each",
        "improve": f"improving {prompts} test prompts",
        "draw": f"drawing originals and improved prompts with {painter} from shared noise{seeds}",
    }
    if config.tune.enabled:
        tuning, rounds = config.tuning, config.tuning.rounds
        stages |= {
            "tune": f"tuning by {tuning.reward}, {rounds} round{'s' if rounds > 1 else ''} of "
            f"{tuning.prompts} prompts that are not tested",
            "arms": "drawing the test prompts as the tuned rewriter improves them"
            + (f", and with “{config.tune.suffix}”" if config.tune.suffix else ""),
        }
    stages |= {
        "texts": "scoring texts",
        "pictures": "scoring pictures: CLIPScores, directional similarity, verdicts",
    }
    if config.judged:
        stages["judge"] = f"blind votes of {', '.join(config.judge.raters)}"
    return {**stages, "report": "report, with word frequencies and gallery"}


def notice_of(config: ExperimentConfig) -> str | None:
    """What is to be known of the pictures that are drawn, if anything."""
    preset = PRESETS.get(config.illustrate.model)
    return None if preset is None else preset.notice


def how_to_judge(study: "Study", config: ExperimentConfig) -> list[str]:
    """The command that asks the raters, and each one's address while it runs."""
    command = ["promptlift", "judge", str(study.folder), "--port", str(_PORT)]
    for item in fields(JudgingConfig):
        value = getattr(config.judge, item.name)
        if value != item.default:
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            command += [f"--{item.name.replace('_', '-')}", text]
    links = [
        f"{rater.name}: http://127.0.0.1:{_PORT}/r/{rater.token}/"
        for rater in study.store.raters()
        if rater.kind == "person"
    ]
    return [shlex.join(command), *links]
