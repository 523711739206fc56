"""Moving through embeddings by hand: candidates to pick from, far apart from each other.

After Deckers, Peters and Potthast, IJCAI 2024: each round shows pictures of embeddings on the way
to random texts; the person picks one and says how far to go.
"""

import random
import string
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.illustrating.embedding import Embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.prompts.lexicon.terms import names_of
from promptlift.steering.vectors import blend, embedding_of, rows_of

SHOWN, POOL = 5, 100  # candidates, and how many they are chosen from
_LIKENESS = 0.72  # cosine to the present embedding that the way to a random text keeps at least
# The most of the way to the words of style. The whole of it, which keeps the likeness where styles
# change little, would end at these words, and the random text would not matter.
_STYLED = 0.5
_STYLES = 3
_WORDS, _LETTERS = (5, 30), (2, 10)


def style_words() -> list[str]:
    """Styles and mediums of the lexicon."""
    return sorted(names_of("style") | names_of("medium"))


def candidates(
    illustrator: Illustrator,
    present: Embedding,
    *,
    seed: str,
    styles: Sequence[str] = (),
    pool: int = POOL,
    shown: int = SHOWN,
) -> list[Embedding]:
    """Embeddings around the present one, as far apart as can be found.

    Each lies on the way from the present embedding to a random text, and from there on the way to
    the prompt with words of style, which its `about` names in `styles`. Of a pool of such
    embeddings the two that are farthest apart are taken, and then always the one whose nearest
    chosen one is farthest. (The authors choose among the random texts, before they move: what is
    far apart then may end close together.)

    Args:
        illustrator: SDXL or Stable Diffusion with diffusers.
        present: where one is.
        seed: of the random texts; the same one gives the same candidates.
        styles: words of style; the lexicon's where there are none.
        pool: how many they are chosen from.
        shown: candidates.
    """
    rng = random.Random(seed)
    named = list(styles or style_words())
    found = []
    for _ in range(pool):
        text, words = _random_text(rng, named), rng.sample(named, min(_STYLES, len(named)))
        moved = _moved(illustrator, present, embedding_of(illustrator, text), most=1.0)
        styled = embedding_of(illustrator, ", ".join([present.prompt, *words]))
        made = _moved(illustrator, moved, styled, most=_STYLED)
        about = {**made.about, "how": "candidate", "candidate_seed": seed, "styles": words}
        found.append(replace(made, prompt=present.prompt, unwanted=present.unwanted, about=about))
    return [found[place] for place in spread(np.stack([flat(one) for one in found]), shown)]


def spread(rows: npt.NDArray[Any], count: int) -> list[int]:
    """Places of rows that are far apart: the farthest pair, then always the one whose nearest
    chosen one is farthest (Gonzalez, 1985).

    Args:
        rows: float [embeddings, width].
        count: how many, at most as many as there are.
    """
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
    apart = 1 - unit @ unit.T
    if count < 2 or len(rows) < 2:
        return list(range(min(count, len(rows))))
    chosen = [int(place) for place in np.unravel_index(apart.argmax(), apart.shape)]
    while len(chosen) < min(count, len(rows)):
        nearest = apart[:, chosen].min(axis=1)
        nearest[chosen] = -np.inf
        chosen.append(int(nearest.argmax()))
    return chosen


def map_of(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Where embeddings lie in a plane: their two principal components.

    Args:
        rows: [embeddings, width], each as `flat` gives it.

    Returns:
        [embeddings, 2], scaled so that the farthest of them is at 1.
    """
    centred = rows - rows.mean(axis=0)
    # Of few long rows: by their products with each other.
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    places = vectors[:, ::-1][:, :2] * np.sqrt(values[::-1][:2].clip(0))
    if places.shape[1] < 2:
        places = np.pad(places, ((0, 0), (0, 2 - places.shape[1])))
    # An eigenvector's sign is an accident; the first place is to the left, and above.
    places = places * np.where(places[0] > 0, -1.0, 1.0)
    found: npt.NDArray[np.float64] = places / max(float(np.abs(places).max()), 1e-12)
    return found


def flat(one: Embedding) -> npt.NDArray[np.float32]:
    """The first chunk of the base and the pooled row, as one row of float32."""
    return np.concatenate(
        [rows[0].ravel().float().cpu().numpy() for rows in rows_of(one.wanted[0])]
    )


def _moved(illustrator: Illustrator, one: Embedding, other: Embedding, *, most: float) -> Embedding:
    """As far from one towards another as keeps the likeness, and at most a share of the way."""
    a, b = _last_row(one), _last_row(other)
    cosine = float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))
    share = min(most, (1 - _LIKENESS) / max(1 - cosine, 1e-9))
    return blend(illustrator, one, other, share)


def _last_row(one: Embedding) -> npt.NDArray[np.float64]:
    """Float64 [width]."""
    found: npt.NDArray[np.float64] = one.wanted[0].embeds[0, -1].float().cpu().double().numpy()
    return found


def _random_text(rng: random.Random, styles: Sequence[str]) -> str:
    """Five to thirty words of random letters, and three of style."""
    words = [
        "".join(rng.choices(string.ascii_lowercase, k=rng.randint(*_LETTERS)))
        for _ in range(rng.randint(*_WORDS))
    ]
    return " ".join([*words, *rng.sample(styles, min(_STYLES, len(styles)))])
