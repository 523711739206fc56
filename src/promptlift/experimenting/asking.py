"""How people are asked for the votes that a chain waits for."""

import shlex
from dataclasses import fields
from typing import TYPE_CHECKING

from promptlift.experimenting.config import ExperimentConfig
from promptlift.judging.config import JudgingConfig

if TYPE_CHECKING:
    from promptlift.judging.collecting.study import Study

_PORT = 8765  # named, so that the addresses are known before anything listens there


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
