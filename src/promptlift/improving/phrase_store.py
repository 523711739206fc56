"""Phrases that were written for other prompts, to be looked up for prompts that mean the like."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from promptlift.errors import ModelError
from promptlift.files import atomic_path
from promptlift.prompts.clauses import plain_words
from promptlift.prompts.intent import STOP, Intent

STORE_FILE = "phrases.npz"
# Prompts whose phrases are taken, and how near they are at least: of phrases of prompts further off
# readers found as many bad as good.
NEAREST, LEAST_NEAR = 12, 0.6
# The same for the nearest to one of the words of a prompt.
OF_A_WORD, LEAST_OF_A_WORD = 3, 0.85
# The least that is added to the score of a phrase for a part: readers like such phrases as much as
# those of prompts with a nearness of 0.7 to 0.8.
OF_PART = 0.12
# Phrases of near prompts, and as many of those of parts, that compete with those of drafts.
LOOKED_UP = 40
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
        phrases: all that were written, each once.
        told: uint16 [prompts], how many phrases each prompt has, one or more.
        belonging: uint32 [sum of told], places of these phrases, in the same way.
    """

    words: Sequence[str]
    vectors: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]
    counts: npt.NDArray[np.uint8]
    places: npt.NDArray[np.uint16]
    phrases: Sequence[str]
    told: npt.NDArray[np.uint16]
    belonging: npt.NDArray[np.uint32]

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        vectors: npt.NDArray[np.int8],
        scales: npt.NDArray[np.float32],
        prompts: Sequence[tuple[Sequence[str], Sequence[str]]],
    ) -> "PhraseStore":
        """That of prompts, of each its words, all of which have vectors, and its phrases.

        A prompt has at most 255 words and 65,535 phrases, and there are 65,536 words at most.
        """
        place = {word: at for at, word in enumerate(words)}
        counts = np.array([len(own) for own, _ in prompts], dtype=np.uint8)
        places = np.array([place[one] for own, _ in prompts for one in own], dtype=np.uint16)
        every = list(dict.fromkeys(phrase for _, own in prompts for phrase in own))
        place = {phrase: at for at, phrase in enumerate(every)}
        told = np.array([len(own) for _, own in prompts], dtype=np.uint16)
        belonging = np.array([place[one] for _, own in prompts for one in own], dtype=np.uint32)
        return cls(words, vectors, scales, counts, places, every, told, belonging)

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
                told, belonging = found["told"], found["belonging"]
            if scales.shape != (len(words),) or vectors.shape[:-1] != scales.shape:
                raise ValueError("not every word has a vector")
            if counts.ndim != 1 or told.shape != counts.shape:
                raise ValueError("not every prompt has phrases")
            for name, many, own, few, kinds in (
                ("words", counts, places, words, (np.uint8, np.uint16)),
                ("phrases", told, belonging, phrases, (np.uint16, np.uint32)),
            ):
                if (many.dtype, own.dtype) != kinds:
                    raise ValueError(f"the numbers of {name} are of another kind")
                if many.min() < 1 or own.shape != (many.sum(dtype=int),) or own.max() >= len(few):
                    raise ValueError(f"a prompt has {name} that are not there")
            if vectors.dtype != np.int8 or not np.isfinite(scales).all():
                raise ValueError("a number is no number")
            return cls(words, vectors, scales, counts, places, phrases, told, belonging)
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
            "told": self.told,
            "belonging": self.belonging,
        }
        with atomic_path(folder / STORE_FILE) as path, path.open("wb") as file:
            np.savez_compressed(file, **values)

    def leads(self, prompt: str, used: Sequence[str] = ()) -> dict[str, float]:
        """Phrases that may belong to a prompt, and what is added to the score of each.

        They are at most `LOOKED_UP` of prompts near to it, and as many of those that name a part.

        Args:
            used: phrases to leave out.
        """
        found: dict[str, float] = {}
        out = set(map(plain_words, used))
        for told, of_part in ((self.near(prompt), False), (self.of_parts(prompt), True)):
            new = [item for item in told.items() if plain_words(item[0]) not in out]
            for phrase, near in new[:LOOKED_UP]:
                found[phrase] = max(found.get(phrase, -1.0), lead(near, of_part))
        return found

    def near(
        self, prompt: str, count: int = NEAREST, least: float = LEAST_NEAR
    ) -> dict[str, float]:
        """The phrases of the prompts that are nearest to this one, the nearest first.

        How near is the cosine of the sums of both prompts' word vectors, `least` or more.
        """
        own = self._own(prompt)
        near = self._nearness(own)
        nearest = self._nearest(near, count, least)
        return _first(((place, one) for place in nearest for one in self._phrases(place)), near)

    def of_parts(self, prompt: str) -> dict[str, float]:
        """The phrases of prompts that name a part of this one, and how near they are to it.

        These are the prompts all of whose words are in this one, those of most words first ("space
        station" before "station"), and for each of its words which is no prompt by itself the
        nearest to this word. They take turns, a phrase each.
        """
        own = self._own(prompt)
        mine = np.zeros(len(self.words), dtype=np.uint8)
        mine[own] = 1
        whole = np.flatnonzero(np.add.reduceat(mine[self.places], self._starts) == self.counts)
        parts = whole[np.argsort(-self.counts[whole], kind="stable")].tolist()
        alone = {self.places[self._starts[place]] for place in parts if self.counts[place] == 1}
        for word in own:
            if word not in alone:
                parts += self._nearest(self._nearness([word]), OF_A_WORD, LEAST_OF_A_WORD)
        turns = zip_longest(*map(self._phrases, parts))
        told = ((place, one) for turn in turns for place, one in zip(parts, turn, strict=True))
        return _first(told, self._nearness(own))

    def _own(self, prompt: str) -> list[int]:
        return [self._place[word] for word in content_words(prompt) if word in self._place]

    def _nearness(self, own: Sequence[int]) -> npt.NDArray[np.float32]:
        """How near each prompt is to one of these words."""
        # No product of BLAS: its last bits depend on the number of threads.
        vector = _unit(self._scaled(own).sum(axis=0, keepdims=True))[0]
        return np.asarray(np.einsum("ij,j->i", self._rows, vector), dtype=np.float32)

    def _nearest(self, near: npt.NDArray[np.float32], count: int, least: float) -> list[int]:
        some = np.flatnonzero(near >= least)
        nearest: list[int] = some[np.argsort(-near[some], kind="stable")][:count].tolist()
        return nearest

    def _phrases(self, place: int) -> list[str]:
        start = self._told_starts[place]
        return [self.phrases[one] for one in self.belonging[start : start + self.told[place]]]

    @cached_property
    def prompts(self) -> Sequence[tuple[Sequence[str], Sequence[str]]]:
        """Of each prompt its words and its phrases."""
        return [
            ([self.words[one] for one in self.places[start : start + count]], self._phrases(place))
            for place, (start, count) in enumerate(zip(self._starts, self.counts, strict=True))
        ]

    @cached_property
    def _place(self) -> Mapping[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _rows(self) -> npt.NDArray[np.float32]:
        """The vector of each prompt, [prompts, width]."""
        return _unit(np.add.reduceat(self._scaled(self.places), self._starts, axis=0))

    @cached_property
    def _starts(self) -> npt.NDArray[np.intp]:
        """The place of the first word of each prompt."""
        return np.cumsum(self.counts, dtype=np.intp) - self.counts

    @cached_property
    def _told_starts(self) -> npt.NDArray[np.intp]:
        """The place of its first phrase."""
        return np.cumsum(self.told, dtype=np.intp) - self.told

    def _scaled(self, places: Any) -> npt.NDArray[np.float32]:
        return np.asarray(self.scales[places, None] * self.vectors[places], dtype=np.float32)


def _first(
    told: Iterable[tuple[int, str | None]], near: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Each phrase, and how near the prompt is that has it first."""
    found: dict[str, float] = {}
    for place, phrase in told:
        if phrase is not None:
            found.setdefault(phrase, float(near[place]))
    return found


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """With length 1; those of 0 stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.asarray(rows / np.where(lengths > 0, lengths, 1)[:, None], dtype=np.float32)


def lead(near: float, of_part: bool = False) -> float:
    """What is added to the score of a phrase that was written for a prompt so near, or for a part.

    Nearness goes from 0 to 1. A phrase for a part is no worse than one of middling nearness.

    By least squares on what readers said of 24,774 phrases and the scores of an earlier reranker:
    they like phrases of prompts that mean the same, however those fit, and of others no more than
    those of drafts.
    """
    found = 1.34 * near**2 - 0.61
    return max(found, OF_PART) if of_part else found


def content_words(prompt: str) -> list[str]:
    """Stems of a prompt's content words, but those that it excludes ("without a hat"); sorted, so
    that sums do not depend on the order of words.
    """
    intent = Intent(prompt)
    excluded = {part for want in intent.wants if want.kind == "negation" for part in want.key}
    return sorted(intent.text.stem_set - STOP - excluded)
