"""What draws pictures, whatever it is: diffusers here, or a server that somebody runs."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from promptlift.illustrating.records import DrawnPicture, Refusal, Request

Report = Callable[[str], None]
OnProgress = Callable[[float], None]


class PictureBackend(Protocol):
    """Draws the pictures of an `Illustrator`.

    Attributes:
        name: of the picture model.
        batch_size: pictures that are drawn, or asked for, at once.
        device: what draws: as torch names it, or the kind of server.
        holds_seeds: whether a seed is the same picture each time; None where that is to be tried.
        on_progress: called while a picture is drawn, with its share from 0 to 1 as far as it is
            known; what it raises ends the drawing, on a server too.
    """

    name: str
    batch_size: int
    device: str
    holds_seeds: bool | None
    on_progress: OnProgress | None

    def draw_all(self, requests: Iterable[Request]) -> Iterator[DrawnPicture | Refusal]:
        """Draw pictures in their order, in bounded memory.

        Raises:
            ModelError: nothing can be drawn any more.
        """

    def settings(self) -> dict[str, Any]:
        """All that decides a picture beside prompt, seed and model, as plain JSON types."""

    def describe_model(self, cache: Path | None, report: Report) -> list[dict[str, str]]:
        """Name and SHA-256 of each part of the model.

        Args:
            cache: JSON file that keeps hashes, so that files are read once.
            report: called with a line where that takes long.
        """

    def draw_anew(self, request: Request) -> DrawnPicture | Refusal:
        """A picture that may have been drawn before, drawn again."""
