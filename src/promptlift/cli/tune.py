"""`promptlift tune`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import go_offline, guarded, say
from promptlift.cli.parameters import TorchThreads, opt
from promptlift.errors import ConfigError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.improving.config import ControlConfig
from promptlift.options import takes
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.training.config import TrainingConfig
from promptlift.tuning.config import TRAINING, TuneConfig, training_of

if TYPE_CHECKING:
    from promptlift.records import Pair

_CONTROLS = (
    "form", "diversity", "length", "artists", "styles", "style", "avoid", "include", "force",
    "picture_model",
)  # fmt: skip
_SCORES = ("clip", "wants", "preference", "aesthetic", "aesthetic_clip")
_LEARNING = (
    "epochs", "batch_size", "gradient_accumulation_steps", "gradient_checkpointing", "optimizer",
    "learning_rate", "warmup_steps", "weight_decay", "preference_beta", "preference_likelihood",
    "lora", "lora_rank", "lora_alpha", "rounding", "precision", "max_source_tokens",
    "max_target_tokens", "licence",
)  # fmt: skip
_SEEDS = 2


@takes(TuneConfig, "tuning")
@takes(ControlConfig, "control", only=_CONTROLS)
@takes(
    TrainingConfig,
    "training",
    only=_LEARNING,
    renamed={"batch_size": "training_batch_size"},
    defaults={name: value for name, value in TRAINING.items() if name in _LEARNING},
)
@takes(
    IllustrationConfig,
    "drawing",
    renamed={"model": "picture_model", "seed": "picture_seed"},
    defaults={"seeds": _SEEDS},
)
@takes(PictureScoringConfig, "scoring", only=_SCORES)
def tune(
    input: Annotated[
        list[Path] | None,
        opt("File of plain prompts (txt, jsonl, json, csv, tsv, parquet).", "--input", "-i"),
    ] = None,
    column: Annotated[str | None, opt("Column of the prompts in the file [prompt].")] = None,
    pairs: Annotated[
        list[Path] | None, opt("Files of old pairs, which keep the model's language.")
    ] = None,
    model: Annotated[
        str | None,
        opt("Model to tune: a folder of transformers, an exported one, or writer."),
    ] = None,
    output: Annotated[Path | None, opt("Run folder, made or gone on.", "--output", "-o")] = None,
    preflight: Annotated[
        bool, typer.Option("--preflight", help="Only say how long it takes, and what memory.")
    ] = False,
    threads: TorchThreads = None,
    score_device: Annotated[
        str | None, opt("Device of the reward's model [that of --device].")
    ] = None,
    tuning: Any = None,
    control: Any = None,
    training: Any = None,
    drawing: Any = None,
    scoring: Any = None,
) -> None:
    """Tune a model by the pictures that its prompts draw; the same command goes on.

    Rounds of improving, drawing, judging and learning; RUN/model is that of the best round.

    Examples:

      promptlift tune --model runs/mine/model -i prompts.txt --reward pickscore -o runs/tuned

      promptlift tune --model writer --lora -i prompts.txt --backend comfyui -o runs/tuned
    """
    with guarded("interrupted; the same command goes on"):
        if model is None or not input:
            raise ConfigError("name the model with --model and a file of prompts with --input")
        if "://" in model:
            raise ConfigError(f"{model} is a server's model, which cannot be trained here")
        if output is None and not preflight:
            raise ConfigError("name the run folder with --output RUN")
        config = TuneConfig(**tuning, improving=control)
        learning = training_of(model, training, config.tune_seed)
        illustration = IllustrationConfig.resolve(**{"seeds": _SEEDS, **drawing})
        device = score_device or drawing.get("device") or PictureScoringConfig.device
        scored = PictureScoringConfig(**scoring, device=device, offline=illustration.offline)
        go_offline(illustration.offline)

        from promptlift.illustrating.illustrator import Illustrator
        from promptlift.picking.scores import check_metric
        from promptlift.tuning.tune import Material
        from promptlift.tuning.tune import tune as tune_model

        check_metric(config.reward)
        material = Material(
            model=model,
            prompts=_prompts(input, column),
            old=_old_pairs(pairs or []),
            illustrator=Illustrator.of(illustration, say),
        )
        if preflight:
            from promptlift.tuning.preflight import preflight as measure

            for line in measure(material, config, learning, threads=threads, report=say):
                say(line)
            return
        assert output is not None
        found = tune_model(
            output, material, config, learning, scoring=scored, threads=threads, report=say
        )
        say(_summary(found, output))


def _prompts(files: list[Path], column: str | None) -> list[str]:
    """The prompts of files, none twice; what cannot be improved is named and left out."""
    from promptlift.improving.batch import PromptSource

    found: dict[str, None] = {}
    for item in PromptSource(files=files, column=column, report=say).items():
        if (item := item.checked()).error is not None:
            say(f"line {item.line} is left out: {item.error}")
        elif item.prompt is not None:
            found[item.prompt] = None
    return list(found)


def _old_pairs(files: list[Path]) -> "list[Pair]":
    from promptlift.pairs.load import collect_pairs

    return list(dict.fromkeys(collect_pairs(files, report=say))) if files else []


def _summary(found: dict[str, Any], output: Path) -> str:
    kept = found["kept"]
    if not kept:
        return (
            "no round that keeps what prompts ask for is better than the model as it came by more "
            "than a standard error"
        )
    value, low, high = found["rounds"][kept]["more_than_base"]
    return (
        f"round {kept} is kept, {value:+.4g} [{low:+.4g}, {high:+.4g}] over the model as it came, "
        f"on the prompts that it was chosen on; model in {output / 'model'}; for the engine: "
        f"promptlift export {output / 'model'} --output FOLDER"
    )
