"""Steered pictures in a run folder, as improvements that are drawn from an embedding.

So whatever reads a run, `report`, `score`, `judge`, `compare`, reads steered pictures too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.embedding import Embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.inputs import Entry, clip_tokens
from promptlift.illustrating.job import IllustrationJob, Report
from promptlift.illustrating.receipts import EMBEDDING, STEERED, Drawing, png_bytes
from promptlift.illustrating.records import DrawnPicture, Request
from promptlift.illustrating.sources import FILE
from promptlift.picking.scores import PromptScores, stream_scores
from promptlift.picture_files import PictureReader
from promptlift.pictures import IMPROVED, read_index
from promptlift.records import Improvement
from promptlift.runs import Run
from promptlift.scoring.pictures.preference_models import PictureScorer, ScorerContext
from promptlift.statistics import mean_interval
from promptlift.tables import write_rows

if TYPE_CHECKING:
    from PIL.Image import Image

STAGE, MODE, FOLDER = "steering", "steer", "embeddings"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A picture beside that of the original prompt.

    Attributes:
        prompt: the words.
        embedding: what is drawn in their place, if anything.
        note: what it is, for people.
    """

    prompt: str
    embedding: Embedding | None = None
    note: str


def write_variants(folder: Path, source: str, variants: Sequence[Variant]) -> Path:
    """Embeddings and improvements of a run folder, for `draw_variants`; returns the latter.

    Args:
        folder: the run folder.
        source: the original prompt.
        variants: at least one.
    """
    found = []
    for number, one in enumerate(variants):
        file = None
        if one.embedding is not None:
            file = f"{FOLDER}/{number:02d}.safetensors"
            one.embedding.save(folder / file)
        found.append(_improvement(source, one, number, file))
    write_rows(folder / FILE, Entry(0, tuple(found)).to_rows(found), ())
    return folder / FILE


def png_of(
    illustrator: Illustrator, embedding: Embedding, image: "Image", *, seed: int, note: str
) -> bytes:
    """A picture of an embedding as PNG, with a receipt that says how it was made.

    Args:
        illustrator: what drew it.
        embedding: what it shows.
        image: the picture.
        seed: of its noise.
        note: what it is, for people.
    """
    prompt = embedding.prompt
    request = Request(prompt=prompt, seed=seed, embedding=embedding)
    drawing = Drawing(
        prompt_index=0,
        seed=seed,
        side=IMPROVED,
        variant=0,
        improvement=_improvement(
            prompt, Variant(prompt=prompt, embedding=embedding, note=note), 0, None
        ),
        negative=illustrator.config.negative,
        settings=illustrator.settings(),
        model=illustrator.describe_model(),
    )
    return png_bytes(drawing, DrawnPicture(image=image, request=request, seconds=0.0))


def make_variants(
    run: Run, source: str, settings: Mapping[str, Any], made: Callable[[], Sequence[Variant]]
) -> None:
    """Embeddings and improvements of a run folder, made once.

    Args:
        run: the run folder, which this process holds alone.
        source: the original prompt.
        settings: all that decides the variants, as plain JSON types.
        made: makes them.

    Raises:
        ConfigError: the folder was begun with other settings, or holds other improvements.
    """
    there = (run.folder / FILE).exists()
    if there and not run.stage(STAGE):
        raise ConfigError(f"{run.folder} holds other improvements; name another folder")
    config = {"prompt": source, **settings}
    run.check(STAGE, config, {})
    if not there:
        run.begin(STAGE, config, {})
        write_variants(run.folder, source, made())
        run.finish(STAGE, {})


def draw_variants(run: Run, illustrator: Illustrator, report: Report) -> None:
    """The pictures of a run folder's improvements, from where it stopped."""
    job = IllustrationJob(run, run.folder / FILE, illustrator, report=report)
    for line in job.outcome(job.draw()):
        report(line)


def scores_of(folder: Path, scorer: PictureScorer, context: ScorerContext) -> PromptScores:
    """A metric's values of the pictures that were drawn, of original and variants.

    Raises:
        InputError: a picture cannot be read, or nothing was drawn.
    """
    found = next(stream_scores(folder / "pictures", scorer, context), None)
    if found is None:
        raise InputError(f"{folder} holds no pictures")
    return found


def compared(scores: PromptScores, names: Mapping[int, str], metric: str) -> list[str]:
    """What a metric says of the variants, a line each, on the seeds that were drawn.

    Args:
        scores: of original and variants.
        names: of the variants.
        metric: its name.
    """
    count = len(scores.seeds)
    seeds = "seed" if count == 1 else "seeds"
    lines = [f"{metric} on {count} {seeds}: {np.mean(scores.original):.4g} original prompt"]
    for number, name in names.items():
        values = scores.improved[number]
        gain = values - scores.original
        mean, low, high = mean_interval(gain)
        spread = f" ({low:+.3g} to {high:+.3g})" if count > 1 else ""
        lines.append(f"  {np.mean(values):.4g} {name}: {mean:+.3g}{spread}")
    return lines


def likeness(folder: Path) -> tuple[float, float]:
    """How alike pictures of different seeds are, of the original prompt and of the last variant.

    The mean correlation of the pixels of each two, from -1 to 1.
    """
    reader = PictureReader(8)
    pixels: dict[tuple[bool, int], list[Any]] = {}
    for one in read_index(folder / "pictures"):
        key = (one.side == IMPROVED, one.variant)
        pixels.setdefault(key, []).append(np.asarray(reader.image(one), np.float64).ravel())
    ends = (pixels[min(pixels)], pixels[max(pixels)])
    first, last = (float(_pairs(np.corrcoef(np.stack(each))).mean()) for each in ends)
    return first, last


def _improvement(source: str, variant: Variant, number: int, file: str | None) -> Improvement:
    """A variant as an improvement; `file` is its embedding's, beside the improvements."""
    settings: dict[str, Any] = {}
    if (embedding := variant.embedding) is not None:
        named = {} if file is None else {"file": file}
        settings = {
            EMBEDDING: {**named, "sha256": embedding.sha256},
            STEERED: dict(embedding.about),
        }
    return Improvement(
        source=source,
        prompt=variant.prompt,
        additions=(),
        clip_tokens=clip_tokens(variant.prompt),
        seed=0,
        variant=number,
        mode=MODE,
        model="steer",
        notes=(variant.note,),
        settings=settings,
    )


def _pairs(table: Any) -> Any:
    """What stands above the diagonal."""
    return table[np.triu_indices(len(table), 1)]
