"""Score the pictures of a run: `RUN/scores/pictures.json` and the tables beside it."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from promptlift.files import sha256_of_file, write_json
from promptlift.picture_files import PictureReader
from promptlift.pictures import IMPROVED, INDEX, Picture, PicturePair, read_index
from promptlift.runs import Run, versions_of
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import CACHE, FeatureCache, FeaturePart
from promptlift.scoring.pictures.pair_tables import TableBuilder
from promptlift.scoring.pictures.picture_features import (
    PictureFeatures,
    PictureModels,
    caption,
    features_of,
    load_models,
)
from promptlift.scoring.pictures.preference_models import ScorerContext
from promptlift.scoring.pictures.results import picture_results
from promptlift.scoring.pictures.verdicts import Verdict
from promptlift.shards import Shard
from promptlift.tables import write_rows
from promptlift.threads import torch_threads

SCHEMA_VERSION = 1
STAGE = "scoring-pictures"
_VERSIONED = ("promptlift", "torch", "transformers", "tokenizers", "numpy", "pillow")

Report = Callable[[str], None]


def score_pictures(
    run_folder: Path,
    config: PictureScoringConfig,
    *,
    threads: int | None = None,
    report: Report = lambda line: None,
) -> dict[str, Any]:
    """Score the pictures of `RUN/pictures` and write what was found to `RUN/scores`.

    Every text and picture is encoded once and kept in `RUN/scores/cache`, so that a run that was
    stopped goes on, and other settings cost only what they add.

    Args:
        run_folder: with `pictures/index.parquet`.
        config: the settings.
        threads: of the processor, as `torch_threads` takes them.
        report: takes lines of progress and of trouble.

    Returns:
        What was written to `RUN/scores/pictures.json`; docs/picture-metrics.md lists its fields.

    Raises:
        InputError: there is no index, or none of its pictures can be read.
        ModelError: weights are missing or damaged.
        ConfigError: a metric or a device is not known.
        MissingExtraError: packages are missing.
        PromptliftError: another process works in the run folder.
    """
    index = run_folder / "pictures" / INDEX
    listed = read_index(index.parent)
    config = config.resolved(listed[0].model_name)
    scores = run_folder / "scores"
    cache = FeatureCache(scores / CACHE)
    run = _run(run_folder)
    try:
        with (
            nullcontext() if run is None else run.alone("scored"),
            torch_threads(threads, {} if run is None else run.threads, STAGE, report),
        ):
            inputs = {f"pictures/{INDEX}": sha256_of_file(index)}
            models = _models(cache, config, report)
            if run is not None:
                run.begin(STAGE, config.to_dict(), inputs, anew=True)
            features = features_of(listed, models, report)
            builder = TableBuilder(features, models, batch_size=config.batch_size, seed=config.seed)
            found, verdicts = picture_results(builder, models, config)
            if cache.parts:
                report(
                    f"{len(cache.parts)} parts read; {cache.made} features were in none of them, "
                    "and were made now"
                )
            found = {**_head(listed, features, models, config, inputs), **found}
            _write(scores, builder, features, models, verdicts)
            write_json(scores / "pictures.json", found)  # last: it says that the tables are whole
            if run is not None:
                run.finish(STAGE, {"pictures": found["pictures"], "verdicts": found["verdicts"]})
            return found
    finally:
        cache.close()


def score_part(
    run_folder: Path,
    config: PictureScoringConfig,
    shard: Shard,
    *,
    threads: int | None = None,
    report: Report = lambda line: None,
) -> Path:
    """Make every so many batches of the features that `score_pictures` needs, in a file of its own.

    Parts may be made at once, in one folder or in copies of it, and each goes on where it was
    stopped. `score_pictures` finds the files of all parts in `RUN/scores/cache`, and makes what
    is in none of them.

    Args:
        run_folder, config, threads, report: as in `score_pictures`.
        shard: which batches.

    Returns:
        The file.

    Raises:
        PromptliftError: as `score_pictures`.
    """
    listed = read_index(run_folder / "pictures")
    config = config.resolved(listed[0].model_name)
    cache, run = FeaturePart(run_folder / "scores" / CACHE, shard), _run(run_folder)
    try:
        with torch_threads(threads, {} if run is None else run.threads, STAGE, report):
            models = _models(cache, config, report)
            features = features_of(listed, models, report)
            builder = TableBuilder(features, models, batch_size=config.batch_size, seed=config.seed)
            builder.shuffled()
            report(f"part {shard}: {cache.made} features made, in {cache.path}")
            return cache.path
    finally:
        cache.close()


def _models(cache: FeatureCache, config: PictureScoringConfig, report: Report) -> PictureModels:
    context = ScorerContext(config=config, cache=cache, reader=PictureReader(config.batch_size))
    return load_models(context, report)


def _run(folder: Path) -> Run | None:
    """The run of a folder; None where only pictures are in it."""
    return Run.open(folder) if (folder / "manifest.json").is_file() else None


def _head(
    listed: Sequence[Picture],
    features: PictureFeatures,
    models: PictureModels,
    config: PictureScoringConfig,
    inputs: Mapping[str, str],
) -> dict[str, Any]:
    pictures = features.pictures
    named = {"clip": models.clip.model_id} if models.clip is not None else {}
    named |= {scorer.metric.name: scorer.model for scorer in models.scorers}
    return {
        "schema_version": SCHEMA_VERSION,
        "models": named,
        "pictures": {
            "file": f"pictures/{INDEX}",
            "sha256": next(iter(inputs.values())),
            "listed": len(listed),
            "n": len(pictures),
            "prompts": len({picture.prompt_index for picture in pictures}),
            "seeds": sorted({picture.seed for picture in pictures}),
            "left_out": features.faults,
        },
        "settings": config.to_dict(),
        "seed": config.seed,
        "versions": versions_of(_VERSIONED),
        "not_scored": models.left_out,
        "cut_captions": _cut_captions(pictures, models),
    }


def _cut_captions(pictures: Sequence[Picture], models: PictureModels) -> dict[str, Any]:
    """By model: its limit in tokens, and how many of the prompts it had to cut."""
    prompts = {
        "original_prompts": sorted({(one.prompt_index, one.source) for one in pictures}),
        "improved_prompts": sorted(
            {(one.prompt_index, one.prompt) for one in pictures if one.side == IMPROVED}
        ),
    }
    found = {}
    for encoder in models.readers:
        cut: dict[str, Any] = {"limit": encoder.limit}
        for name, listed in prompts.items():
            lost = encoder.cut_tokens([caption(text) for _, text in listed])
            cut[name] = {"cut": sum(count > 0 for count in lost), "of": len(lost)}
        found[encoder.model_id] = cut
    return found


def _write(
    scores: Path,
    builder: TableBuilder,
    features: PictureFeatures,
    models: PictureModels,
    verdicts: Sequence[Verdict],
) -> None:
    columns: dict[str, Sequence[float]] = {
        name: values.tolist() for name, values in builder.pictures().items()
    }
    if models.clip is not None:
        texts = [caption(picture.prompt) for picture in features.pictures]
        columns["cut_tokens"] = models.clip.cut_tokens(texts)
    write_rows(
        scores / "pictures.parquet",
        (
            {**_identity(picture), **_values(columns, place)}
            for place, picture in enumerate(features.pictures)
        ),
        [*_IDENTITY, *columns],
    )
    own = builder.own()
    of_pairs = {name: values.tolist() for name, values in own.pairs.items()}
    for side, values in own.sides.items():
        # "clipscore_original_prompt" and so on, of each picture of the pair.
        of_pairs |= {f"{name}_{side}_picture": one.tolist() for name, one in values.items()}
    write_rows(
        scores / "pairs.parquet",
        ({**_pair(pair), **_values(of_pairs, row)} for row, pair in enumerate(builder.pairs)),
        [*_PAIR, *of_pairs],
    )
    sources = {one.prompt_index: one.source for one in features.pictures}
    prompts = {(one.prompt_index, one.variant): one.prompt for one in features.pictures}
    write_rows(
        scores / "verdicts.jsonl",
        (
            {
                **verdict.to_dict(),
                "source": sources[verdict.prompt_index],
                "prompt": prompts[verdict.prompt_index, verdict.variant],
            }
            for verdict in verdicts
        ),
        [],
    )


_IDENTITY = ("prompt_index", "seed", "side", "variant", "file", "sha256", "source", "prompt")
_PAIR = ("prompt_index", "seed", "variant", "original_file", "improved_file", "source", "prompt")


def _identity(picture: Picture) -> dict[str, Any]:
    return {name: getattr(picture, name) for name in _IDENTITY}


def _pair(pair: PicturePair) -> dict[str, Any]:
    found = {name: getattr(pair.improved, name, None) for name in _PAIR}
    return {**found, "original_file": pair.original.file, "improved_file": pair.improved.file}


def _values(columns: Mapping[str, Sequence[float]], row: int) -> dict[str, float | None]:
    found = {name: float(values[row]) for name, values in columns.items()}
    return {name: None if math.isnan(value) else value for name, value in found.items()}
