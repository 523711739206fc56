"""Drawing into a run folder: picture by picture, and from where it stopped.

A picture is done when its file is whole and its receipt has the key of what is asked for now. So
the files themselves are the state, and a job that is killed at any moment goes on from them.
`index.parquet` is made of them at the end, in bounded memory.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError, PromptliftError
from promptlift.files import atomic_path, sha256_of_file
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.inputs import read_entries
from promptlift.illustrating.pictures import Picture, Request
from promptlift.illustrating.receipts import Drawing, png_bytes, read_drawing
from promptlift.runs import Run
from promptlift.tables import Fault, write_rows

STAGE = "illustrating"
COLUMNS = (
    "prompt_index", "seed", "side", "variant", "file", "sha256", "width", "height", "prompt",
    "source", "negative", "settings", "model", "seconds", "cut_tokens",
)  # fmt: skip
# What `atomic_path` leaves of a picture when the process is killed while writing.
_LEFT_OVER = re.compile(r"\.\d{6}-s\d+-(?:original|improved-v\d+)\.png\..*\.png")
_SHOWN = 3  # prompts of which it is said what was cut


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a job stands: a picture was drawn.

    Attributes:
        row: its row of the index, without `sha256`.
        drawn: pictures drawn since the start, this one included.
        missing: pictures that were to be drawn at the start.
        total: pictures of the whole job.
        notes: what is to be said of it.
    """

    row: dict[str, Any]
    drawn: int
    missing: int
    total: int
    notes: tuple[str, ...]


class IllustrationJob:
    """All pictures of a file of improvements, in `RUN/pictures/`.

    Args:
        run: the run folder.
        improvements: the file, as `inputs.read_entries` reads it.
        illustrator: the picture model; its config has the seeds.
        chosen: positions of the prompts to draw, in the order of the file; all where None.
        report: is told what happened beside drawing.

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
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.run, self.improvements, self.illustrator = run, improvements, illustrator
        self.folder = run.folder / "pictures"
        self._chosen, self._report = chosen, report
        config = illustrator.config
        self.seeds = range(config.seed, config.seed + config.seeds)
        self.settings = illustrator.settings()
        self.model = illustrator.describe_model(self.folder / "model_hashes.json")
        self._inputs = {improvements.name: sha256_of_file(improvements)}
        run.check(STAGE, self._config(), self._inputs)

    def __iter__(self) -> Iterator[Progress]:
        """Draw what is missing, and write the index.

        Raises:
            PromptliftError: another process works in the run folder, or the disk is full.
        """
        with self.run.alone("drawn"):
            self.run.begin(STAGE, self._config(), self._inputs)
            yield from self._work()

    def plan(self, *, report: Callable[[str], None] = lambda line: None) -> Iterator[Drawing]:
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
            negative = (
                self.illustrator.config.negative if first.negative is None else first.negative
            )
            for seed in self.seeds:
                original = Drawing(
                    prompt_index=entry.index,
                    seed=seed,
                    side="original",
                    variant=None,
                    improvement=first,
                    negative=negative,
                    settings=self.settings,
                    model=self.model,
                )
                yield original
                for improvement in entry.variants:
                    yield replace(
                        original,
                        side="improved",
                        variant=improvement.variant,
                        improvement=improvement,
                    )

    def outcome(self, drawn: int) -> list[str]:
        """What to say of the job when it is done.

        Args:
            drawn: pictures that were drawn now.
        """
        results = self.run.stage(STAGE)["results"]
        there = results["pictures"] - drawn
        lines = [
            f"{results['pictures']} pictures in {self.folder}"
            + (f", {there} of them were there already" if there else "")
        ]
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
        total, missing = len(needed), sum(needed)
        if not total:
            raise InputError(f"{self.improvements} holds no improvement to draw")
        cut = Cut()
        todo = (drawing for drawing, lacks in zip(self.plan(), needed, strict=True) if lacks)
        for drawn, (drawing, picture) in enumerate(self._drawn(todo), 1):
            self._write(drawing, picture, drawn - 1)
            row = self._row(drawing, picture.image.size, picture.cut_tokens, picture.seconds)
            notes = (*cut.said(drawing, picture), *picture.notes)
            yield Progress(row=row, drawn=drawn, missing=missing, total=total, notes=notes)
        write_rows(self.folder / "index.parquet", self._index(), COLUMNS)
        self.run.finish(STAGE, self._results(total, missing, cut))

    def _drawn(self, todo: Iterable[Drawing]) -> Iterator[tuple[Drawing, Picture]]:
        waiting: list[Drawing] = []

        def requests() -> Iterator[Request]:
            for drawing in todo:
                waiting.append(drawing)
                yield Request(prompt=drawing.prompt, seed=drawing.seed, negative=drawing.negative)

        for picture in self.illustrator.draw_all(requests()):
            yield waiting.pop(0), picture

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

    def _write(self, drawing: Drawing, picture: Picture, done: int) -> None:
        path = self.folder / drawing.file
        line = json.dumps({"file": drawing.file, "seconds": round(picture.seconds, 4)}) + "\n"
        try:
            with atomic_path(path) as temporary:
                temporary.write_bytes(png_bytes(drawing, picture))
            _append_line(self.folder / "times.jsonl", line)
        except OSError as error:
            raise PromptliftError(
                f"{path} cannot be written: {error.strerror or error}. {done} pictures were drawn "
                "and are whole; once there is room, the same command goes on."
            ) from error

    def _row(
        self, drawing: Drawing, size: tuple[int, int], cut_tokens: int | None, seconds: float | None
    ) -> dict[str, Any]:
        return {
            "prompt_index": drawing.prompt_index,
            "seed": drawing.seed,
            "side": drawing.side,
            "variant": drawing.variant,
            "file": drawing.file,
            "width": size[0],
            "height": size[1],
            "prompt": drawing.prompt,
            "source": drawing.improvement.source,
            "negative": drawing.negative,
            "settings": json.dumps(drawing.settings),
            "model": json.dumps(drawing.model),
            "seconds": seconds,
            "cut_tokens": cut_tokens,
        }

    def _index(self) -> Iterator[dict[str, Any]]:
        seconds = self._seconds()
        for drawing in self.plan():
            path = self.folder / drawing.file
            found = read_drawing(path)
            if found is None or found.get("key") != drawing.key:
                raise ConfigError(f"{path} was changed while pictures were drawn; start again")
            size = (found["width"], found["height"])
            row = self._row(drawing, size, found["cut_tokens"], seconds.get(drawing.file))
            yield {**row, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    def _seconds(self) -> dict[str, float]:
        """Times by file; a picture whose line was lost in a kill has none."""
        found: dict[str, float] = {}
        path = self.folder / "times.jsonl"
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    item = json.loads(line)
                    found[item["file"]] = item["seconds"]
                except (ValueError, KeyError, TypeError):
                    continue
        return found

    def _results(self, total: int, missing: int, cut: "Cut") -> dict[str, Any]:
        return {
            "pictures": total,
            "drawn_in_last_part": missing,
            "cut_in_last_part": cut.pictures,
            "seeds": list(self.seeds),
            "prompts": "all" if self._chosen is None else len(self._chosen),
            "batch_size": self.illustrator.batch_size,
            "device": self.illustrator.pipelines.device,
        }


def _append_line(path: Path, line: str) -> None:
    """Append a line, behind a whole one: a kill may have cut the last one short."""
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                line = "\n" + line
        file.write(line.encode())


class Cut:
    """Counts pictures whose prompt was cut, and says so of the first few."""

    def __init__(self) -> None:
        self.pictures = 0
        self._said_unknown = False

    def said(self, drawing: Drawing, picture: Picture) -> tuple[str, ...]:
        """What to say of a picture."""
        if picture.cut_tokens is None and not self._said_unknown:
            self._said_unknown = True
            return ("what this pipeline cuts of a prompt is not known",)
        if not picture.cut_tokens:
            return ()
        self.pictures += 1
        if self.pictures > _SHOWN:
            return ()
        return (f"{picture.cut_tokens} tokens were cut, from “{picture.cut[:60]}”",)
