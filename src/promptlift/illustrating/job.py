"""Drawing into a run folder: picture by picture, and from where it stopped.

A picture is done when its file is whole and its receipt has the key of what is asked for now. So
the files themselves are the state, and a job that is killed at any moment goes on from them.
`index.parquet` is made of them at the end, in bounded memory.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import tee
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError, ModelError, PromptliftError
from promptlift.files import atomic_path, sha256_of_file, write_json
from promptlift.illustrating.embedding import load_embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.inputs import read_entries
from promptlift.illustrating.receipts import Drawing, png_bytes, read_drawing
from promptlift.illustrating.records import DrawnPicture, Refusal, Request
from promptlift.pictures import IMPROVED, ORIGINAL, Picture, id_of, write_index
from promptlift.progress import progress
from promptlift.runs import Run
from promptlift.tables import Fault, Row, read_rows

STAGE = "illustrating"
# What `atomic_path` leaves of a picture when the process is killed while writing.
_LEFT_OVER = re.compile(r"\.\d{6}-s\d+-(?:original|improved-v\d+)\.png\..*\.png")
_SEEDS = "holds_seeds.json"  # what a server was found to do
_TIMES = "times.jsonl"  # seconds of each picture, which its bytes do not depend on
_EMBEDDINGS = 8  # that are kept in memory: seeds of a variant follow each other
_SHOWN = 3  # prompts of which a note says what was cut
# The first picture is drawn a second time after another: a server may keep the last one.
_TRIED_AFTER = 2
_SAME_LEVELS = 4.0  # of 255: two drawings of one noise differ by rounding alone
_NO_SEEDS = (
    "the server does not hold seeds: drawn twice, a picture was another one. Both pictures of a "
    "pair then begin with different noise, and only many --seeds tell prompt and chance apart"
)
Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a job stands after a picture.

    Attributes:
        picture: the one that was just drawn.
        drawn: pictures drawn since the start, this one included.
        missing: pictures that were to be drawn at the start.
        total: pictures of the whole job.
        notes: on the picture, for the user.
    """

    picture: Picture
    drawn: int
    missing: int
    total: int
    notes: tuple[str, ...]


@dataclass
class _Tally:
    """What happened while drawing: pictures, cut prompts, refused prompts with their seeds."""

    drawn: int = 0
    cut: int = 0
    failed: set[tuple[int, int]] = field(default_factory=set)
    reason: str = ""


class IllustrationJob:
    """All pictures of a file of improvements, in `RUN/pictures/`.

    Args:
        run: the run folder.
        improvements: the file, as `inputs.read_entries` reads it.
        illustrator: the picture model; its config has the seeds.
        chosen: positions of the prompts to draw, in the order of the file; all where None.
        held: whether another process holds the run for this one.
        report: called with a line about anything but drawing itself.

    Raises:
        ConfigError: the run's pictures were begun with another model or other settings.
    """

    def __init__(
        self,
        run: Run,
        improvements: Path,
        illustrator: Illustrator,
        *,
        chosen: Collection[int] | None = None,
        held: bool = False,
        report: Report = lambda line: None,
    ) -> None:
        self.run, self.improvements, self.illustrator = run, improvements, illustrator
        self.folder = run.folder / "pictures"
        self._chosen, self._report, self._held = chosen, report, held
        self._load = lru_cache(_EMBEDDINGS)(load_embedding)
        self.settings = illustrator.settings()
        self.model = illustrator.describe_model(self.folder / "model_hashes.json", report)
        self._inputs = {improvements.name: sha256_of_file(improvements)}
        run.check(STAGE, self._config(), self._inputs)

    def __iter__(self) -> Iterator[Progress]:
        """Draw what is missing, and write the index.

        Raises:
            PromptliftError: another process works in the run folder, or the disk is full.
        """
        with nullcontext() if self._held else self.run.alone("drawn"):
            self.run.begin(STAGE, self._config(), self._inputs)
            yield from self._work()

    @property
    def model_id(self) -> str:
        """`name@hash` of the base, and of a refiner after a `+`."""
        return "+".join(map(id_of, self.model))

    @property
    def refused(self) -> int:
        """Prompts and seeds of which a server refused a picture, once the job is done."""
        return int(self.run.stage(STAGE).get("results", {}).get("refused", 0))

    def draw(self) -> int:
        """Draw what is missing with a line of progress now and then; the number of pictures."""
        drawn = 0
        with progress("pictures", report=self._report) as show:
            for item in self:
                drawn = item.drawn
                for note in item.notes:
                    self._report(f"{item.picture.file}: {note}")
                show(item.total - item.missing + drawn, item.total)
        return drawn

    def draw_part(self, chosen: Collection[int]) -> int:
        """Draw what is missing of some prompts, and leave the index to whoever holds the run.

        Returns:
            How many pictures were drawn. Those that were refused are asked for again later.
        """
        self._chosen = chosen
        self.folder.mkdir(parents=True, exist_ok=True)
        needed = bytearray(map(self._is_missing, self.plan()))
        drawn = 0
        for item in self._draw(needed, _Tally()):
            drawn = item.drawn
            for note in item.notes:
                self._report(f"{item.picture.file}: {note}")
        return drawn

    def plan(self, *, report: Report = lambda line: None) -> Iterator[Drawing]:
        """Every picture of the job, in the order of drawing: for each prompt and seed the original,
        then the improved ones."""
        place = -1
        for entry in read_entries(self.improvements):
            if isinstance(entry, Fault):
                report(f"{self.improvements} line {entry.number} is left out: {entry.message}")
                continue
            place += 1
            if self._chosen is not None and place not in self._chosen:
                continue
            first = entry.variants[0]
            own = self.illustrator.config.negative
            for seed in self.illustrator.seeds:
                original = Drawing(
                    prompt_index=entry.index,
                    seed=seed,
                    side=ORIGINAL,
                    variant=None,
                    improvement=first,
                    negative=own if first.negative is None else first.negative,
                    settings=self.settings,
                    model=self.model,
                )
                yield original
                for one in entry.variants:
                    yield replace(original, side=IMPROVED, variant=one.variant, improvement=one)

    def outcome(self, drawn: int) -> list[str]:
        """Lines for the user when the job is done.

        Args:
            drawn: pictures that were drawn now.
        """
        results = self.run.stage(STAGE)["results"]
        there = max(0, results["pictures"] - drawn)
        lines = [
            f"{results['pictures']} pictures in {self.folder}"
            + (f", {there} of them were there already" if there else "")
        ]
        if refused := self.refused:
            lines.append(
                f"{refused} prompts and seeds have a picture that was refused, and are left out of "
                "the index; the same command asks for them again"
            )
        if cut := results["cut_in_last_part"]:
            lines.append(
                f"{cut} pictures show a prompt of which CLIP's 75 tokens hold only the beginning; "
                "--long-prompts chunk reads all of it"
            )
        return lines

    def _config(self) -> dict[str, Any]:
        """What pictures of one folder have in common; seeds and prompts may be added later."""
        return {**self.settings, "model": [{**part} for part in self.model]}

    def _work(self) -> Iterator[Progress]:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.iterdir():
            if _LEFT_OVER.fullmatch(path.name):
                path.unlink()
        # A byte a picture: the plan itself is never held in memory.
        needed = bytearray(self._is_missing(drawing) for drawing in self.plan(report=self._report))
        total = len(needed)
        if not total:
            raise InputError(f"{self.improvements} holds no improvement to draw")
        tally = _Tally()
        yield from self._draw(needed, tally)
        if failed := tally.failed:
            total -= sum((one.prompt_index, one.seed) in failed for one in self.plan())
        if not total:
            raise ModelError(f"no picture could be drawn; the last one: {tally.reason}")
        write_index(self.folder, self._pictures(failed))
        self.run.finish(STAGE, self._results(total, tally))

    def _draw(self, needed: bytearray, tally: "_Tally") -> Iterator[Progress]:
        """Draw the pictures of the plan that are marked, and count what happens."""
        total, missing, noted_unknown = len(needed), sum(needed), False
        todo, asked = tee(
            drawing for drawing, lacks in zip(self.plan(), needed, strict=True) if lacks
        )
        outcomes = self.illustrator.outcomes(map(self._request, asked))
        first: tuple[Drawing, DrawnPicture] | None = None
        for drawing, picture in zip(todo, outcomes, strict=True):
            if isinstance(picture, Refusal):
                tally.failed.add((drawing.prompt_index, drawing.seed))
                tally.reason = picture.reason
                self._report(f"{drawing.file} is not drawn: {picture.reason}")
                continue
            tally.drawn += 1
            first = first or (drawing, picture)
            notes = list(picture.notes)
            if picture.cut_tokens is None and not noted_unknown:
                noted_unknown = True
                notes.insert(0, "how much of a prompt this pipeline cuts is not known")
            tally.cut += bool(picture.cut_tokens)
            if picture.cut_tokens and tally.cut <= _SHOWN:
                notes.insert(0, f"{picture.cut_tokens} tokens were cut, from “{picture.cut[:60]}”")
            yield Progress(
                picture=self._write(drawing, picture, tally.drawn - 1),
                drawn=tally.drawn,
                missing=missing,
                total=total,
                notes=tuple(notes),
            )
            if tally.drawn == _TRIED_AFTER:
                self._try_seeds(*first)
        if first is not None and tally.drawn < _TRIED_AFTER:
            self._try_seeds(*first)

    def _try_seeds(self, drawing: Drawing, picture: DrawnPicture) -> None:
        """Draw a picture twice, where it is not known whether its seed is held."""
        backend, known = self.illustrator.backend, self.folder / _SEEDS
        if backend.holds_seeds is None and known.exists():
            backend.holds_seeds = bool(json.loads(known.read_text("utf-8"))["holds_seeds"])
        if backend.holds_seeds is None:
            again = backend.draw_anew(self._request(drawing))
            if isinstance(again, DrawnPicture):
                backend.holds_seeds = _alike(picture, again)
                write_json(known, {"holds_seeds": backend.holds_seeds})
        if backend.holds_seeds is False:
            self._report(_NO_SEEDS)

    def _request(self, drawing: Drawing) -> Request:
        """What is asked of the picture model.

        Raises:
            InputError: the embedding is missing, damaged or another one.
        """
        embedding = None
        if (named := drawing.embedding) is not None:
            if "file" not in named:
                raise InputError(f"{self.improvements} names an embedding that is in no file")
            path = self.improvements.parent / named["file"]
            embedding = self._load(path)
            if embedding.sha256 != named["sha256"]:
                raise InputError(f"{path} was changed since {self.improvements} named it")
        return Request(
            prompt=drawing.prompt, seed=drawing.seed, negative=drawing.negative,
            embedding=embedding,
        )  # fmt: skip

    def _is_missing(self, drawing: Drawing) -> bool:
        path = self.folder / drawing.file
        try:
            found = read_drawing(path)
        except FileNotFoundError:
            return True
        except InputError as error:
            self._report(f"{error}; drawing it again")
            return True
        if found is None or found.get("key") != drawing.key:
            self._report(f"{path} is not the picture that is asked for; drawing it again")
            return True
        return False

    def _write(self, drawing: Drawing, picture: DrawnPicture, done: int) -> Picture:
        path = self.folder / drawing.file
        line = json.dumps({"file": drawing.file, "seconds": round(picture.seconds, 4)})
        data = png_bytes(drawing, picture)
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(data)
            with (self.folder / _TIMES).open("a", encoding="utf-8") as file:
                file.write(f"\n{line}")  # a kill may have cut the last one short
        except OSError as error:
            raise PromptliftError(
                f"{path} cannot be written: {error.strerror or error}. {done} pictures were drawn "
                "and are whole; once there is room, the same command goes on."
            ) from error
        return drawing.picture(
            self.folder,
            sha256=hashlib.sha256(data).hexdigest(),
            width=picture.image.width,
            height=picture.image.height,
            seconds=picture.seconds,
            cut_tokens=picture.cut_tokens,
        )

    def _pictures(self, failed: Collection[tuple[int, int]]) -> Iterator[Picture]:
        """All pictures of the job, read back from their files.

        Args:
            failed: prompts and seeds of which a picture was refused: all of theirs are left out.
        """
        seconds = self._seconds()
        for drawing in self.plan():
            if (drawing.prompt_index, drawing.seed) in failed:
                continue
            path = self.folder / drawing.file
            found = read_drawing(path)
            if found is None or found.get("key") != drawing.key:
                raise ConfigError(f"{path} was changed while pictures were drawn; start again")
            yield drawing.picture(
                self.folder,
                sha256=sha256_of_file(path),
                width=found["width"],
                height=found["height"],
                seconds=seconds.get(drawing.file),
                cut_tokens=found["cut_tokens"],
            )

    def _seconds(self) -> dict[str, float]:
        """Times by file; a picture whose line was lost in a kill has none."""
        path = self.folder / _TIMES
        rows = (
            [row.value for row in read_rows(path) if isinstance(row, Row)] if path.exists() else []
        )
        return {row["file"]: row["seconds"] for row in rows if isinstance(row, Mapping)}

    def _results(self, total: int, tally: "_Tally") -> dict[str, Any]:
        backend = self.illustrator.backend
        of_servers = {"refused": len(tally.failed), "holds_seeds": backend.holds_seeds}
        return {
            "pictures": total,
            "drawn_in_last_part": tally.drawn,
            "cut_in_last_part": tally.cut,
            "seeds": list(self.illustrator.seeds),
            "prompts": "all" if self._chosen is None else len(self._chosen),
            "batch_size": backend.batch_size,
            "device": backend.device,
            **(of_servers if self.illustrator.config.is_server else {}),
        }


def _alike(first: DrawnPicture, second: DrawnPicture) -> bool:
    """Whether two pictures are the same but for rounding."""
    import numpy as np

    if first.image.size != second.image.size:
        return False
    one, other = (np.asarray(item.image.convert("RGB"), np.float64) for item in (first, second))
    return bool(np.abs(one - other).mean() < _SAME_LEVELS)
