"""Phrases that were written for other prompts, to be looked up for prompts that mean the like."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from promptlift.errors import ModelError
from promptlift.files import atomic_path
from promptlift.prompts.intent import STOP, Intent

STORE_FILE = "phrases.npz"
# Prompts whose phrases are taken, and how near they are at least: of phrases of prompts further off
# readers found as many bad as good.
NEAREST, LEAST_NEAR = 12, 0.6
# What NumPy and zipfile raise of a file of which some bytes are others.
_DAMAGED = (
    OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, RuntimeError, BadZipFile,
    zlib.error,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PhraseStore:
    """Prompts with the phrases that belong to each, found by the meaning of their words.

    Attributes:
        words: stems of content words.
        vectors: int8 [words, width], what each of them means.
        scales: float32 [words], what a vector is multiplied by: it says how much the word counts.
        counts: uint8 [prompts], how many words each prompt has, one or more.
        places: uint16 [sum of counts], places of these words, one prompt's after another's.
        phrases: of each prompt, with a comma and a blank between them.
    """

    words: Sequence[str]
    vectors: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    counts: npt.NDArray[np.uint8]
    places: npt.NDArray[np.uint16]
    phrases: Sequence[str]

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        vectors: npt.NDArray[np.int8],
        scales: npt.NDArray[np.float32],
        prompts: Sequence[tuple[Sequence[str], Sequence[str]]],
    ) -> "PhraseStore":
        """That of prompts, of each its words, all of which have vectors, and its phrases."""
        place = {word: at for at, word in enumerate(words)}
        counts = np.array([len(own) for own, _ in prompts], dtype=np.uint8)
        places = np.array([place[one] for own, _ in prompts for one in own], dtype=np.uint16)
        phrases = [", ".join(own) for _, own in prompts]
        return cls(words, vectors, scales, counts, places, phrases)

    @classmethod
    def read(cls, folder: Path) -> "PhraseStore | None":
        """That of an exported folder; None where it has none.

        Raises:
            ModelError: the file is damaged.
        """
        path = folder / STORE_FILE
        if not path.is_file():
            return None
        try:
            with path.open("rb") as file, np.load(file) as found:
                words, phrases = (
                    found[name].tobytes().decode().split("\n") for name in ("words", "phrases")
                )
                vectors, scales = found["vectors"], found["scales"]
                counts, places = found["counts"], found["places"]
            if scales.shape != (len(words),) or vectors.shape[:-1] != scales.shape:
                raise ValueError("not every word has a vector")
            if counts.shape != (len(phrases),) or places.shape != (counts.sum(dtype=int),):
                raise ValueError("not every prompt has phrases")
            if {counts.dtype.kind, places.dtype.kind} != {"u"}:
                raise ValueError("a number of words is no whole number")
            if counts.min() < 1 or places.max() >= len(words):
                raise ValueError("a prompt has words that are not there")
            if vectors.dtype != np.int8 or not np.isfinite(scales).all():
                raise ValueError("a number is no number")
            return cls(words, vectors, scales, counts, places, phrases)
        except _DAMAGED as error:
            raise ModelError(f"{path} is no store of phrases: {error}. Export it again.") from error

    def write(self, folder: Path) -> None:
        """Write it into an exported folder."""
        values: dict[str, Any] = {
            "words": np.frombuffer("\n".join(self.words).encode(), np.uint8),
            "phrases": np.frombuffer("\n".join(self.phrases).encode(), np.uint8),
            "vectors": self.vectors,
            "scales": self.scales,
            "counts": self.counts,
            "places": self.places,
        }
        with atomic_path(folder / STORE_FILE) as path, path.open("wb") as file:
            np.savez_compressed(file, **values)

    def near(
        self, prompt: str, count: int = NEAREST, least: float = LEAST_NEAR
    ) -> dict[str, float]:
        """The phrases of the prompts that are nearest to this one, the nearest first.

        How near is the cosine of the sums of both prompts' word vectors, `least` or more.
        """
        own = [self._place[word] for word in content_words(prompt) if word in self._place]
        if not own:
            return {}
        # No product of BLAS: its last bits depend on the number of threads.
        vector = _unit(self._scaled(own).sum(axis=0, keepdims=True))[0]
        near = np.einsum("ij,j->i", self._rows, vector)
        found: dict[str, float] = {}
        for place in np.argsort(-near, kind="stable")[:count]:
            for phrase in self.phrases[place].split(", ") if near[place] >= least else ():
                found.setdefault(phrase, float(near[place]))
        return found

    @cached_property
    def prompts(self) -> Sequence[tuple[Sequence[str], Sequence[str]]]:
        """Of each prompt its words and its phrases."""
        ends = np.cumsum(self.counts, dtype=int)
        return [
            ([self.words[place] for place in self.places[end - count : end]], line.split(", "))
            for end, count, line in zip(ends, self.counts, self.phrases, strict=True)
        ]

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _rows(self) -> npt.NDArray[np.float32]:
        """The vector of each prompt, [prompts, width]."""
        starts = np.cumsum(self.counts, dtype=int) - self.counts
        return _unit(np.add.reduceat(self._scaled(self.places), starts, axis=0))

    def _scaled(self, places: Any) -> npt.NDArray[np.float32]:
        return np.asarray(self.scales[places, None] * self.vectors[places], dtype=np.float32)


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """With length 1; those of 0 stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.where(lengths > 0, lengths, 1)[:, None], dtype=np.float32)


def lead(near: float) -> float:
    """What the score of a phrase gets that was written for a prompt so near, from 0 to 1.

    By least squares on what readers said of 24,774 phrases and the scores of an earlier reranker:
    they like phrases of prompts that mean the same, however those fit, and of others no more than
    those of drafts.
    """
    return 1.34 * near**2 - 0.61


def content_words(prompt: str) -> list[str]:
    """Stems of a prompt's content words, but those that it excludes ("without a hat"); sorted, so
    that sums do not depend on the order of words.
    """
    intent = Intent(prompt)
    excluded = {part for want in intent.wants if want.kind == "negation" for part in want.key}
    return sorted(intent.text.stem_set - STOP - excluded)
