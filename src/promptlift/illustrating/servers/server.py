"""What a server that draws must offer, and what is common to them."""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from multiprocessing import TimeoutError
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from promptlift.endpoint import Endpoint, NoAnswer, Response
from promptlift.errors import ModelError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.records import Request

if TYPE_CHECKING:
    from PIL.Image import Image

Found = TypeVar("Found")
Watch = Callable[[float], None]
_MOST_BYTES = 128 << 20  # of a response: a picture of 30 megapixels as base64
_POLL_S = 0.25
_QUESTION_S = 15.0  # for what a server knows at once
_SHOWN = 8  # of the names that a server has
_RETRIED = {408, 409, 425, 429, *range(500, 600)}
_TO_CHECK = {
    401: "the key", 402: "the account's credit", 403: "what the key allows",
    404: "the address and --backend", 405: "the address and --backend",
    **dict.fromkeys(range(300, 400), "the address: it redirects"),
}  # fmt: skip


class Refused(Exception):
    """A server would not draw this picture, and asking again is of no use."""


@dataclass(frozen=True)
class Drawn:
    """A picture of a server.

    Attributes:
        image: the picture, RGB.
        notes: what the server did otherwise than it was asked.
        told: how the server says that it drew, as far as it was not asked for.
    """

    image: "Image"
    notes: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)


class PictureServer(Protocol):
    """A kind of server.

    Attributes:
        model: the name of what draws.
        holds_seeds: whether a seed is the same picture each time; None where that is not known.
    """

    model: str
    holds_seeds: bool | None

    def draw(self, request: Request, watch: Watch, *, anew: bool = False) -> Drawn:
        """Draw a picture.

        Args:
            request: the picture.
            watch: called now and then with the share that is drawn, from 0 to 1. What it raises
                cancels the drawing.
            anew: draw it although the server may still have it.

        Raises:
            NoAnswer: there is no picture this time.
            Refused: there is none ever.
            ModelError: the server refuses every request.
        """

    def settings(self) -> dict[str, Any]:
        """All that decides a picture beside prompt, seed and model."""

    def parts(self) -> list[dict[str, str]]:
        """Name and SHA-256 of the model."""


def endpoint_of(config: IllustrationConfig) -> Endpoint:
    """The server that a config names."""
    return Endpoint(
        config.server_url,
        config.server_key(),
        config.timeout_s,
        basic=config.backend == "a1111",
        doing="Drawing with a server",
        extra="draw",
        most_bytes=_MOST_BYTES,
    )


def given_settings(config: IllustrationConfig) -> dict[str, Any]:
    """The settings that any server may be given; None is the server's own."""
    return {
        "num_inference_steps": config.num_inference_steps,
        "guidance_scale": config.guidance_scale,
        "width": config.width,
        "height": config.height,
    }


def checked(endpoint: Endpoint, response: Response) -> Response:
    """A response, where it is one.

    Raises:
        NoAnswer: another time it may be one.
        Refused: not for this request.
        ModelError: not for any.
    """
    if response.status in (200, 204):
        return response
    said = f"HTTP {response.status} {endpoint.said(response.data)}".strip()
    if response.status in _RETRIED:
        raise NoAnswer(said, response.wait_s)
    if what := _TO_CHECK.get(response.status):
        raise ModelError(f"{endpoint.base} refuses: {said}. Check {what}.")
    raise Refused(said)


def asked(endpoint: Endpoint, path: str, kind: str) -> Any:
    """The JSON that a server has at a path.

    Raises:
        ModelError: it has none, and so is no server of this kind.
    """
    try:
        quick = endpoint.within(_QUESTION_S)
        return parsed(endpoint, checked(endpoint, quick.send("GET", path)))
    except (NoAnswer, Refused) as error:
        raise ModelError(f"{endpoint.base} is no {kind} that answers: {error}") from error


def parsed(endpoint: Endpoint, response: Response) -> Any:
    """The JSON of a response.

    Raises:
        NoAnswer: it is none.
    """
    try:
        return json.loads(response.data)
    except (ValueError, RecursionError) as error:
        text = response.data[:400]
        said = "bytes" if b"\0" in text else endpoint.said(text)[:80]
        raise NoAnswer(f"no JSON but: {said}") from error


def image_of(endpoint: Endpoint, data: bytes) -> "Image":
    """The picture in a response.

    Raises:
        NoAnswer: there is none.
    """
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        said = endpoint.said(data[:400])[:80] if data else "nothing"
        raise NoAnswer(f"no whole picture but: {said}") from error
    return image.convert("RGB")


def size_notes(image: "Image", config: IllustrationConfig) -> tuple[str, ...]:
    """A note where a picture has another size than was asked for."""
    width, height = config.width or image.width, config.height or image.height
    if image.size == (width, height):
        return ()
    return (f"the server drew {image.width}x{image.height} in place of {width}x{height}",)


def awaited(ask: Callable[[], Found], watch: Callable[[], None]) -> Found:
    """The result of a request, while `watch` is called a few times a second; it may raise."""
    with ThreadPool(1) as pool:  # a daemon, which holds up no exit
        job = pool.apply_async(ask)
        while True:
            try:
                return job.get(_POLL_S)
            except TimeoutError:
                watch()


def missing(what: str, name: str, there: list[str], server: str) -> ModelError:
    """That a server lacks something, with what it has."""
    near = get_close_matches(name, there, _SHOWN, 0.4)
    shown = [*near, *(one for one in there if one not in near)][:_SHOWN]
    more = f" and {len(there) - len(shown)} more" if len(there) > len(shown) else ""
    has = f"it has {', '.join(shown)}{more}" if there else "it has none"
    return ModelError(f"{server} has no {what} {name!r}; {has}")
