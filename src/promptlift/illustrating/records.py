"""What is asked of a picture model, and the pictures that it draws."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from promptlift import notebook
from promptlift.records import Improvement

if TYPE_CHECKING:
    from PIL.Image import Image

    from promptlift.illustrating.embedding import Embedding


@dataclass(frozen=True, kw_only=True)
class Request:
    """A picture to draw.

    Attributes:
        prompt: what is drawn; attention weights and `BREAK` are honoured.
        seed: of its noise.
        negative: what is not to be seen; needs a guidance scale above 1.
        prompt_2: what SDXL's second text encoder reads instead of `prompt`.
        embedding: vectors that are drawn in place of the words of `prompt`.
    """

    prompt: str
    seed: int = 0
    negative: str | None = None
    prompt_2: str | None = None
    embedding: "Embedding | None" = None


@dataclass(frozen=True, kw_only=True)
class DrawnPicture:
    """A picture in memory.

    Attributes:
        image: the picture, RGB.
        request: what was asked for, the config's negative prompt and `prompt_2` included.
        seconds: its share of the time that its batch took.
        cut: the end of the prompt that CLIP did not read, decoded from its tokens.
        cut_tokens: how many tokens that is; None where a pipeline reads prompts in its own way,
            so that what it cuts is not known.
        notes: syntax that was not applied, a negative prompt without effect, and a picture that a
            safety checker blackened.
        told: how a server says that it drew, as far as it was not asked for.
    """

    image: "Image"
    request: Request
    seconds: float
    cut: str = ""
    cut_tokens: int | None = 0
    notes: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = f"{self.image.width}x{self.image.height}"
        return f"DrawnPicture({size}, prompt={self.request.prompt!r}, seed={self.request.seed})"

    def _repr_html_(self) -> str:
        return notebook.figure(
            self.image,
            self.request.prompt,
            [
                ("Seed", str(self.request.seed)),
                ("Negative prompt", self.request.negative),
                ("Not read", self.cut),
                ("Notes", "; ".join(self.notes)),
            ],
        )


@dataclass(frozen=True)
class Refusal:
    """A picture that a server would not draw, though it draws others.

    Attributes:
        request: what was asked for.
        reason: what it said, in a line.
    """

    request: Request
    reason: str


@dataclass(frozen=True, kw_only=True)
class DrawnPair:
    """The pictures of an improvement's two prompts, drawn from the same noise."""

    improvement: Improvement
    original: DrawnPicture
    improved: DrawnPicture

    def _repr_html_(self) -> str:
        return notebook.side_by_side(self.original._repr_html_(), self.improved._repr_html_())
