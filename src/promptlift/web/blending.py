"""What the pictures of a job show: its prompts, or places on the way from one to the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from promptlift.errors import InputError
from promptlift.illustrating.receipts import EMBEDDING, STEERED, unimproved
from promptlift.records import Improvement

if TYPE_CHECKING:
    from promptlift.illustrating.embedding import Embedding
    from promptlift.illustrating.illustrator import Illustrator

NO_EMBEDDINGS = (
    "shares cannot be drawn: they need SDXL or Stable Diffusion by diffusers, and this server's "
    "image model takes words alone"
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a picture of a job shows.

    Attributes:
        prompt: the words; those at the end of the way where an embedding is drawn.
        receipt: what the picture carries, None for a prompt that was not improved.
        embedding: what is drawn in place of the words.
        share: of the way, from 0 to 1; None where the request named none.
    """

    prompt: str
    receipt: Improvement | None = None
    embedding: "Embedding | None" = None
    share: float | None = None


def check_shares(prompts: Sequence[str], takes_embeddings: bool | None) -> None:
    """Refuse shares of what is no way, or for a model that is known to take words alone.

    Raises:
        InputError: there are not two prompts, or the model takes no embeddings.
    """
    if len(prompts) != 2:
        raise InputError(f"shares are of the way between two prompts, and here are {len(prompts)}")
    if takes_embeddings is False:
        raise InputError(NO_EMBEDDINGS)


def wanted(
    illustrator: "Illustrator",
    prompts: Sequence[str],
    receipts: Sequence[Improvement | None],
    shares: Sequence[float] | None,
) -> list[Wanted]:
    """What the pictures of each seed show.

    Either end of the way is that prompt itself, in words.

    Args:
        illustrator: draws; where there are shares, by its text encoders.
        prompts: two of them where there are shares.
        receipts: of each prompt, None where it was not improved.
        shares: of the way from the first prompt to the second, each from 0 to 1; None for the
            prompts.
    """
    words = [
        Wanted(prompt=prompt, receipt=receipt and _with_drawn(receipt, {}))
        for prompt, receipt in zip(prompts, receipts, strict=True)
    ]
    if shares is None:
        return words
    from promptlift.steering.vectors import blend, embedding_of

    one, other = (embedding_of(illustrator, prompt) for prompt in prompts)
    found = []
    for share in shares:
        if share in (0, 1):
            found.append(replace(words[int(share)], share=share))
            continue
        embedding = blend(illustrator, one, other, share)
        about = {"prompt": embedding.prompt, **embedding.about}
        drawn = {EMBEDDING: {"sha256": embedding.sha256}, STEERED: about}
        receipt = _with_drawn(receipts[1] or _unimproved(*prompts), drawn)
        found.append(Wanted(prompt=prompts[1], receipt=receipt, embedding=embedding, share=share))
    return found


def _with_drawn(receipt: Improvement, drawn: Mapping[str, Any]) -> Improvement:
    """A receipt that says of an embedding what is drawn now; it may be one of another picture.

    Not in its notes, which are those of improving and are compared when it is replayed.
    """
    settings = {
        name: value for name, value in receipt.settings.items() if name not in (EMBEDDING, STEERED)
    }
    return replace(receipt, settings={**settings, **drawn})


def _unimproved(source: str, prompt: str) -> Improvement:
    """A record of two prompts of which nobody says how one came of the other."""
    return replace(unimproved(prompt), source=source, mode="steer", model="steer")
