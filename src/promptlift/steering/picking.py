"""Moving by picking, round by round, in a folder that keeps every place visited.

`places.json` lists the places and names the present one. Their embeddings and pictures are beside
it, and those of all candidates in `candidates`. Each is made when it is first needed, from the
session's seed and the number of the place, so a killed session goes on as if nothing had happened.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError
from promptlift.files import atomic_path, sha256_of_file, write_json
from promptlift.illustrating.embedding import Embedding, load_embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.steering.candidates import POOL, SHOWN, candidates, flat, map_of
from promptlift.steering.redraw import redraw, with_redrawn
from promptlift.steering.run import FOLDER, png_of
from promptlift.steering.vectors import blend, embedding_of
from promptlift.tables import Row, read_rows

if TYPE_CHECKING:
    from PIL.Image import Image

FILE = "places.json"
START, PICKED, REDRAWN = "start", "picked", "redrawn"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place that was visited.

    Attributes:
        number: from 0, in the order of the visits.
        origin: number of the place that it was reached from; None of the first.
        how: "start", "picked", or "redrawn" where a part of the picture was.
        percent: of the way to the candidate, or of denoising that was repeated.
        said: the candidate's words of style, or what the part was to show.
    """

    number: int
    origin: int | None = None
    how: str = START
    percent: int | None = None
    said: str = ""


class Picking:
    """A session in a folder, which this process holds alone; a new folder begins one.

    Args:
        folder: of the session.
        illustrator: SDXL or Stable Diffusion with diffusers; its first seed is that of the noise,
            and of all that is random.
        start: where to begin.
        styles: words of style that candidates are moved towards; the lexicon's where there are
            none.
        pool: how many embeddings candidates are chosen from.

    Attributes:
        prompt: the words that the start began with.
        places: in the order of their numbers.
        present: number of the present place.

    Raises:
        InputError: the folder's session cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        illustrator: Illustrator,
        start: Embedding,
        styles: Sequence[str] = (),
        *,
        pool: int = POOL,
    ) -> None:
        self.folder, self.prompt = folder, start.prompt
        self._illustrator, self._styles, self._pool = illustrator, styles, pool
        self._seed = illustrator.config.seed
        self._rows: dict[Path, npt.NDArray[np.float32]] = {}
        self.places = [Place(number=0)]
        self.present = 0
        self._offers = [0]  # of each place, how often other candidates were asked for
        if (folder / FILE).exists():
            self._read()
        else:
            start.save(self.embedding(0))
            self._write(self.present, self.places, self._offers)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of pictures."""
        return self._illustrator.diffusers.width, self._illustrator.diffusers.height

    @property
    def offer(self) -> int:
        """How often other candidates were asked for at the present place."""
        return self._offers[self.present]

    def embedding(self, place: int) -> Path:
        """The file of a place's embedding."""
        return self.folder / FOLDER / f"{place:02d}.safetensors"

    def offered(self, place: int, offer: int) -> list[Path]:
        """Files of the candidates of a place, which are made where they are missing.

        Args:
            place: its number.
            offer: which candidates, from 0 to how often others were asked for.

        Raises:
            InputError: there is no such place or offer.
        """
        self._check(place)
        if not 0 <= offer <= self._offers[place]:
            raise InputError(f"there is no offer {offer} at place {place}")
        folder = self.folder / "candidates" / f"{place:02d}-{offer}"
        files = [folder / f"{number}.safetensors" for number in range(SHOWN)]
        if not all(file.exists() for file in files):
            present = load_embedding(self.embedding(place))
            seed = f"{self._seed}/{place}/{offer}"
            found = candidates(
                self._illustrator, present, seed=seed, styles=self._styles, pool=self._pool
            )
            for file, one in zip(files, found, strict=True):
                one.save(file)
        return files

    def picture(self, place: int) -> Path:
        """The picture of a place, which is drawn where it is missing."""
        self._check(place)
        path = self.folder / "pictures" / f"{place:02d}.png"
        if not path.exists():
            self._draw(load_embedding(self.embedding(place)), path)
        return path

    def on_the_way(self, place: int, offer: int, pick: int, percent: int) -> Path:
        """The picture on the way from a place to a candidate, which is drawn where it is missing.

        Args:
            place, offer: whose candidates.
            pick: number of the candidate, from 0.
            percent: of the way, from 1 to 100.

        Raises:
            InputError: there is no such candidate, or the way is shorter or longer.
        """
        moved, file = self._moved(place, offer, pick, percent)
        path = file.with_name(f"{pick}-{percent:03d}.png")
        if not path.exists():
            self._draw(moved, path)
        return path

    def go(self, pick: int, percent: int) -> Place:
        """Move on the way to one of the present candidates.

        Raises:
            InputError: as `on_the_way`.
        """
        place, offer = self.present, self.offer
        picture = self.on_the_way(place, offer, pick, percent)
        moved, _ = self._moved(place, offer, pick, percent)
        said = ", ".join(moved.about["picks"][-1]["styles"])
        number = self._next(moved, picture.read_bytes())
        return self._arrive(
            Place(number=number, origin=place, how=PICKED, percent=percent, said=said)
        )

    def redraw(self, mask: "Image", strength: float, prompt: str = "") -> Place:
        """Redraw a part of the present picture; the embedding stays.

        Args:
            mask: as `redraw.redraw` takes it.
            strength: likewise.
            prompt: what the part is to show; what the present embedding says where it is empty.

        Raises:
            ConfigError, InputError: as `redraw.redraw`.
        """
        from PIL import Image

        place, number = self.present, len(self.places)
        present = load_embedding(self.embedding(place))
        shown = embedding_of(self._illustrator, prompt) if prompt else present
        path = self.picture(place)
        origin = sha256_of_file(path)
        with Image.open(path) as picture:
            # Another noise each time: that of the session drew what is to be changed.
            made = redraw(
                self._illustrator, shown, picture, mask, seed=self._seed + number,
                strength=strength,
            )  # fmt: skip
        note = f"{strength:.0%} of a part denoised anew"
        png = png_of(
            self._illustrator, with_redrawn(shown, origin, strength), made,
            seed=self._seed + number, note=note,
        )  # fmt: skip
        self._next(present, png)
        percent = round(100 * strength)
        return self._arrive(
            Place(number=number, origin=place, how=REDRAWN, percent=percent, said=prompt)
        )

    def back(self, place: int) -> None:
        """Return to a place.

        Raises:
            InputError: there is no such place.
        """
        self._check(place)
        self._write(place, self.places, self._offers)

    def others(self) -> None:
        """Offer other candidates at the present place."""
        offers = [*self._offers]
        offers[self.present] += 1
        self._write(self.present, self.places, offers)

    def map(self) -> list[dict[str, Any]]:
        """Where all that was seen lies in a plane, places first; see `candidates.map_of`.

        Returns:
            `x` and `y` from -1 to 1, and `place`; of a candidate `offer` and `pick` too.
        """
        found: list[dict[str, Any]] = [{"place": one.number} for one in self.places]
        files = [self.embedding(one.number) for one in self.places]
        for place, offers in enumerate(self._offers):
            for offer in range(offers + 1):
                folder = self.folder / "candidates" / f"{place:02d}-{offer}"
                for pick in range(SHOWN):
                    if (file := folder / f"{pick}.safetensors").exists():
                        found.append({"place": place, "offer": offer, "pick": pick})
                        files.append(file)
        points = map_of(np.stack([self._row(file) for file in files]))
        return [
            {**one, "x": float(x), "y": float(y)} for one, (x, y) in zip(found, points, strict=True)
        ]

    def _moved(self, place: int, offer: int, pick: int, percent: int) -> tuple[Embedding, Path]:
        """An embedding on the way to a candidate, and the candidate's file."""
        if not (0 <= pick < SHOWN and 1 <= percent <= 100):
            raise InputError(f"there is no candidate {pick} at {percent}%")
        file = self.offered(place, offer)[pick]
        present, candidate = load_embedding(self.embedding(place)), load_embedding(file)
        moved = blend(self._illustrator, present, candidate, percent / 100)
        step = {
            "offer": offer, "pick": pick, "percent": percent,
            "styles": list(candidate.about["styles"]),
        }  # fmt: skip
        about = {
            **{name: moved.about[name] for name in ("model", "encoders", "dtype")},
            "how": PICKED, "seed": self._seed, "picks": [*present.about.get("picks", []), step],
        }  # fmt: skip
        return replace(moved, prompt=present.prompt, about=about), file

    def _draw(self, embedding: Embedding, path: Path) -> None:
        request = Request(prompt=embedding.prompt, seed=self._seed, embedding=embedding)
        [drawn] = self._illustrator.draw_all([request])
        picks = embedding.about.get("picks")
        note = f"moved by {len(picks)} picks" if picks else "where the picking began"
        _write(path, png_of(self._illustrator, embedding, drawn.image, seed=self._seed, note=note))

    def _next(self, embedding: Embedding, png: bytes) -> int:
        """Number of the next place, whose embedding and picture are written."""
        number = len(self.places)
        embedding.save(self.embedding(number))
        _write(self.folder / "pictures" / f"{number:02d}.png", png)
        return number

    def _arrive(self, place: Place) -> Place:
        self._write(place.number, [*self.places, place], [*self._offers, 0])
        return place

    def _row(self, file: Path) -> npt.NDArray[np.float32]:
        if file not in self._rows:
            self._rows[file] = flat(load_embedding(file))
        return self._rows[file]

    def _check(self, place: int) -> None:
        if not 0 <= place < len(self.places):
            raise InputError(f"there is no place {place}")

    def _read(self) -> None:
        path = self.folder / FILE
        try:
            found = json.loads(path.read_text("utf-8"))
            self.places = [Place(**one) for one in found["places"]]
            self.present, self._offers = int(found["present"]), list(found["offers"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged; take another folder") from error
        if len(self._offers) != len(self.places) or not 0 <= self.present < len(self.places):
            raise InputError(f"{path} is damaged; take another folder")

    def _write(self, present: int, places: list[Place], offers: list[int]) -> None:
        """Take a state, once it is on disk."""
        rows = [asdict(one) for one in places]
        write_json(self.folder / FILE, {"present": present, "offers": offers, "places": rows})
        self.present, self.places, self._offers = present, places, offers


def read_styles(path: Path) -> list[str]:
    """Words of style from a text file, those of a line together.

    Raises:
        InputError: it cannot be read, or has none.
    """
    found = [
        row.value.strip()
        for row in read_rows(path)
        if isinstance(row, Row) and isinstance(row.value, str) and row.value.strip()
    ]
    if not found:
        raise InputError(f"{path} has no words of style; write some, a line each")
    return list(dict.fromkeys(found))


def _write(path: Path, png: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)
