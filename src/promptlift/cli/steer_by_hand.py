"""`promptlift steer pick` and `promptlift steer redraw`."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import say
from promptlift.cli.parameters import NoOpen, Overwrite, Port, TorchThreads, arg, opt
from promptlift.cli.steer_setup import (
    ONE_NOISE,
    STAGE,
    Output,
    check_one,
    drawn_by,
    embedding_for,
    illustrator_of,
    steering,
)
from promptlift.errors import ConfigError, InputError, MissingExtraError
from promptlift.files import atomic_path, check_new, check_overwrites, sha256_of_file
from promptlift.web.config import LOOPBACK

if TYPE_CHECKING:
    from PIL.Image import Image as PictureImage

_PICKING = "picking"


@ONE_NOISE
def pick(
    output: Output,
    prompt: Annotated[str | None, arg("The prompt to begin with.")] = None,
    embedding: Annotated[Path | None, opt("File of an embedding to begin with instead.")] = None,
    styles: Annotated[
        Path | None, opt("Words of style to move towards, a line each [the lexicon's].")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for a phone.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, opt("Name under which the page may be called, beside addresses.")
    ] = None,
    port: Port = 0,
    no_open: NoOpen = False,
    threads: TorchThreads = None,
    drawing: Any = None,
) -> None:
    """Open a page on which you move a picture by picking; the same command goes on.

    Examples:

      promptlift steer pick "a red star" -o runs/star

      promptlift steer pick "a cat" --picture-model sdxl-turbo --styles styles.txt -o runs/cat
    """
    with steering("stopped; the same command goes on"):
        check_one(prompt, embedding)
        try:
            from promptlift.web.serving import serve
            from promptlift.web.steering import steering_app
        except ImportError as error:
            raise MissingExtraError("Picking", "web") from error

        from promptlift.runs import Run
        from promptlift.steering.denoising import check_kept
        from promptlift.steering.picking import Picking, read_styles
        from promptlift.threads import torch_threads

        words = read_styles(styles) if styles else []
        illustrator = illustrator_of(drawing)
        check_kept(illustrator)
        start = embedding_for(illustrator, prompt, embedding)
        about = {
            **drawn_by(illustrator), "prompt": start.prompt, "embedding": start.sha256,
            "styles": words,
        }  # fmt: skip
        run = Run.open(output)
        with run.alone("steered"), torch_threads(threads, run.threads, STAGE, say):
            if run.stages and _PICKING not in run.stages:
                raise ConfigError(f"{output} holds another run; name another folder")
            run.begin(_PICKING, about, {})
            picking = Picking(output, illustrator, start, words)

            def ready(address: str) -> None:
                if host not in LOOPBACK:
                    say(f"{host} can be reached by others; whoever has the address can pick")
                print(address, flush=True)
                if not no_open and host in LOOPBACK:
                    webbrowser.open(address)

            try:
                serve(steering_app(picking, allow_host or ()), host, port, ready)
            finally:
                say(f"you are at {picking.embedding(picking.present)}")


@ONE_NOISE
def redraw(
    picture: Annotated[Path, arg("PNG of the picture model's size.")],
    mask: Annotated[Path, arg("PNG of the same size: white is drawn anew, black stays.")],
    prompt: Annotated[str | None, arg("What the part is to show.")] = None,
    embedding: Annotated[Path | None, opt("File of an embedding, in place of a prompt.")] = None,
    output: Annotated[
        Path | None, opt("PNG to write [the picture's name, with -redrawn].", "--output", "-o")
    ] = None,
    strength: Annotated[float, opt("Share of denoising that is done anew, up to 1 [0.7].")] = 0.7,
    threads: TorchThreads = None,
    overwrite: Overwrite = False,
    drawing: Any = None,
) -> None:
    """Draw a part of a picture anew, and keep the rest.

    Examples:

      promptlift steer redraw star.png mask.png "a blue ring" --seed 7
    """
    with steering():
        check_one(prompt, embedding)
        target = output or picture.with_name(f"{picture.stem}-redrawn.png")
        check_overwrites([target], [picture, mask])
        check_new([target], overwrite=overwrite)
        images = [_opened(path) for path in (picture, mask)]
        illustrator = illustrator_of(drawing)
        seed = illustrator.config.seed

        from promptlift.steering.redraw import redraw as redrawn
        from promptlift.steering.redraw import with_redrawn
        from promptlift.steering.run import png_of
        from promptlift.threads import torch_threads

        with torch_threads(threads, {}, STAGE, say):
            found = embedding_for(illustrator, prompt, embedding)
            made = redrawn(illustrator, found, *images, seed=seed, strength=strength)
        png = png_of(
            illustrator, with_redrawn(found, sha256_of_file(picture), strength), made, seed=seed,
            note=f"{strength:.0%} of a part denoised anew",
        )  # fmt: skip
        with atomic_path(target) as temporary:
            temporary.write_bytes(png)
        say(f"{target}")


def _opened(path: Path) -> "PictureImage":
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as found:
            copied: PictureImage = found.copy()
            return copied
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise InputError(f"{path} is no picture that can be read: {error}") from error
