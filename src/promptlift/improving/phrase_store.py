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
NEAREST, LEAST_NEAR = 10, 0.6
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
        prompts: of each the stems of its content words, and its phrases.
        bonus: what a phrase of the store has in its reward beside what the reward head says.
        nearness: factor of the square of how near its prompt is, at most 1, in that reward.
    """

    words: Sequence[str]
    vectors: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    prompts: Sequence[tuple[Sequence[str], Sequence[str]]]
    bonus: float = 0.0
    nearness: float = 0.0

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
                words = found["words"].tobytes().decode().split()
                lines = found["prompts"].tobytes().decode().splitlines()
                vectors, scales = found["vectors"], found["scales"]
                bonus, nearness = float(found["bonus"]), float(found["nearness"])
            rows = [line.split("\t") for line in lines]
            prompts = [(own.split(), phrases.split(", ")) for own, phrases in rows]
            if scales.shape != (len(words),) or vectors.shape[:-1] != scales.shape:
                raise ValueError("not every word has a vector")
            if vectors.dtype != np.int8 or not np.isfinite([*scales, bonus, nearness]).all():
                raise ValueError("a number is no number")
            return cls(words, vectors, scales, prompts, bonus, nearness)
        except _DAMAGED as error:
            raise ModelError(f"{path} is no store of phrases: {error}. Export it again.") from error

    def write(self, folder: Path) -> None:
        """Write it into an exported folder."""
        lines = [f"{' '.join(own)}\t{', '.join(phrases)}" for own, phrases in self.prompts]
        values: dict[str, Any] = {
            "words": np.frombuffer(" ".join(self.words).encode(), np.uint8),
            "prompts": np.frombuffer("\n".join(lines).encode(), np.uint8),
            "vectors": self.vectors,
            "scales": self.scales,
            "bonus": np.float32(self.bonus),
            "nearness": np.float32(self.nearness),
        }
        with atomic_path(folder / STORE_FILE) as path, path.open("wb") as file:
            np.savez_compressed(file, **values)

    def near(
        self, prompt: str, count: int = NEAREST, least: float = LEAST_NEAR
    ) -> dict[str, float]:
        """The phrases of the prompts that are nearest to this one, the nearest first.

        How near is the cosine of the sums of both prompts' word vectors, `LEAST_NEAR` or more.
        """
        # No product of BLAS: its last bits depend on the number of threads.
        near = np.einsum("ij,j->i", self._rows, self._sum(content_words(prompt)))
        found: dict[str, float] = {}
        for place in np.argsort(-near, kind="stable")[:count]:
            for phrase in self.prompts[place][1] if near[place] >= least else ():
                found.setdefault(phrase, float(near[place]))
        return found

    def reward(self, near: float) -> float:
        """What a phrase of a prompt so near gets beside what the reward head says."""
        return self.bonus + self.nearness * near**2

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _rows(self) -> npt.NDArray[np.float32]:
        """The vector of each prompt, [prompts, width]."""
        return np.array([self._sum(own) for own, _ in self.prompts], dtype=np.float32)

    def _sum(self, words: Sequence[str]) -> npt.NDArray[np.float32]:
        """A vector of length 1; of 0 where no word is known."""
        places = [self._places[word] for word in words if word in self._places]
        total = (self.scales[places, None] * self.vectors[places]).sum(axis=0)
        return np.asarray(total / (np.linalg.norm(total) or 1.0), dtype=np.float32)


def content_words(prompt: str) -> list[str]:
    """Stems of a prompt's content words, but those that it excludes ("without a hat"); sorted, so
    that sums do not depend on the order of words.
    """
    intent = Intent(prompt)
    excluded = {part for want in intent.wants if want.kind == "negation" for part in want.key}
    return sorted(intent.text.stem_set - STOP - excluded)
