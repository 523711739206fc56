"""`promptlift score`: the texts and the pictures of a run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.parameters import TorchThreads, arg, opt
from promptlift.cli.score_pictures import picture_table
from promptlift.cli.score_texts import control_table, score_texts, tables
from promptlift.errors import ConfigError
from promptlift.options import takes
from promptlift.ray.config import RayConfig
from promptlift.runs import Run, check_folder
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.text.config import TextConfig
from promptlift.shards import Shard

_PARTS = ("texts", "pictures")
PictureShard = Annotated[
    str | None,
    opt("Only read this part of the pictures, as 2/8; score without it puts parts together."),
]


@takes(TextConfig, "of_texts")
@takes(
    PictureScoringConfig,
    "of_pictures",
    without=["seed", "offline"],  # those of texts serve both
    renamed={"batch_size": "picture_batch_size"},
)
@takes(RayConfig, "ray", only=["engine", "ray_address", "actors"])
def score(
    run: Annotated[Path | None, arg("Run folder of `train` or `illustrate`.")] = None,
    only: Annotated[str | None, opt("texts or pictures [what the run holds].")] = None,
    model: Annotated[
        str | None,
        opt(
            "Instead of a run: a model's folder or name; writer is the bundled one.",
            "--model",
            "-m",
        ),
    ] = None,
    pairs: Annotated[Path | None, opt("Pairs to improve and compare with [the run's].")] = None,
    predictions: Annotated[
        Path | None, opt("Prompts made already: source, prediction, target.")
    ] = None,
    output: Annotated[
        Path | None, opt("Folder for the scores of texts [the run].", "--output", "-o")
    ] = None,
    train_pairs: Annotated[
        Path | None, opt("Training pairs, for the nearest one's target.")
    ] = None,
    of_texts: Any = None,
    batch_size: Annotated[int | None, opt("Prompts decoded together.")] = None,
    threads: TorchThreads = None,
    doctor: Annotated[
        bool, typer.Option("--doctor", help="Show which metrics can tell real from shuffled.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace scores of texts by other settings.")
    ] = False,
    of_pictures: Any = None,
    shard: PictureShard = None,
    ray: Any = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what scores/*.json hold, as one object.")
    ] = False,
) -> None:
    """Score improved prompts as texts and their pictures, beside baselines, with intervals.

    Examples:

      promptlift score runs/pocket

      promptlift score --model writer --pairs pairs.jsonl --output runs/scored

      promptlift score --predictions improved.jsonl --output runs/other

      promptlift score --doctor --pairs pairs.jsonl

      promptlift score runs/drawn --only pictures --clip openai/clip-vit-large-patch14
    """
    with guarded("interrupted; the same command goes on"):
        check_folder(run)
        text = TextConfig(**of_texts)
        shared = {name: of_texts[name] for name in ("seed", "offline") if name in of_texts}
        picture = PictureScoringConfig(**of_pictures, **shared)
        found: dict[str, Any] = {}
        asks_for_texts = any((model, pairs, predictions, doctor))
        cluster = _cluster(ray, shard, only_texts=asks_for_texts or only == "texts")
        if shard is not None:
            _score_part(None if asks_for_texts or only == "texts" else run, picture, shard, threads)
            return
        for part in _parts(run, only, asks_for_texts):
            if part == "texts":
                found[part] = score_texts(
                    text, run=run, model=model, pairs=pairs, predictions=predictions,
                    output=output, train_pairs=train_pairs, batch_size=batch_size,
                    threads=threads, doctor=doctor, overwrite=overwrite,
                )  # fmt: skip
                shown = tables(found[part])
                if doctor:
                    shown.append(control_table(found[part]))
            else:
                assert run is not None
                found[part] = _score_pictures(run, picture, threads, cluster)
                shown = [picture_table(found[part])]
            if not as_json:
                typer.echo("\n\n".join(shown))
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False))


def _cluster(ray: dict[str, Any], shard: str | None, *, only_texts: bool) -> RayConfig | None:
    cluster = RayConfig.asked(ray)
    if cluster and (shard is not None or only_texts):
        raise ConfigError("--engine ray reads the pictures of a run, and takes no --shard")
    return cluster


def _score_pictures(
    run: Path, config: PictureScoringConfig, threads: int | None, cluster: RayConfig | None
) -> dict[str, Any]:
    from promptlift.scoring.pictures.run import score_pictures

    if cluster:
        from promptlift.ray.scoring import read_pictures

        read_pictures(run, config, cluster, threads=threads, report=say)
    found = score_pictures(run, config, threads=threads, report=say)
    say(f"scores in {run / 'scores' / 'pictures.json'}")
    return found


def _score_part(
    run: Path | None, config: PictureScoringConfig, shard: str, threads: int | None
) -> None:
    if run is None:
        raise ConfigError("--shard is for the pictures of a run: score RUN --shard 2/8")
    from promptlift.scoring.pictures.run import score_part

    score_part(run, config, Shard.of(shard), threads=threads, report=say)


def _parts(run: Path | None, only: str | None, asks_for_texts: bool) -> list[str]:
    """What is to be scored: what was asked for, or what the run holds."""
    if only is not None and only not in _PARTS:
        raise ConfigError(f"--only is {only!r} and must be {' or '.join(_PARTS)}")
    if only == "pictures" and (run is None or asks_for_texts):
        raise ConfigError(
            "--only pictures needs a run folder, without --model, --pairs or the like"
        )
    if only is not None:
        return [only]
    if run is None or asks_for_texts:
        return ["texts"]
    if (run / "validation.jsonl").is_file():
        drawn = (run / "pictures" / "index.parquet").is_file()
        return ["texts"] + ["pictures"] * drawn
    # Drawing may not have finished: what reads the pictures says so.
    begun = any((run / name).exists() for name in ("pictures", "improvements.jsonl"))
    return ["pictures"] if begun or "illustrating" in Run.open(run).stages else ["texts"]
