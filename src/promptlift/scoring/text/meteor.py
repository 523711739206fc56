"""METEOR, as NLTK computes it, with WordNet from wherever it can be had."""

import io
import os
import warnings
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError, MissingExtraError

VARIABLE = "PROMPTLIFT_WORDNET"
DEBIAN = Path("/usr/share/wordnet")
ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
HOW_TO_GET = (
    "METEOR matches exact words and stems only, as WordNet was not found: "
    "apt-get install wordnet-base wordnet-sense-index, or python -m nltk.downloader wordnet, "
    f"or name a folder of its files in {VARIABLE}"
)
_NEEDED = ("data.noun", "index.noun", "data.verb", "index.sense", "noun.exc")
# Names of WordNet's lexicographer files by number, lexnames(5WN): Debian leaves the file out.
_LEXNAMES = (
    "adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal", "noun.artifact",
    "noun.attribute", "noun.body", "noun.cognition", "noun.communication", "noun.event",
    "noun.feeling", "noun.food", "noun.group", "noun.location", "noun.motive", "noun.object",
    "noun.person", "noun.phenomenon", "noun.plant", "noun.possession", "noun.process",
    "noun.quantity", "noun.relation", "noun.shape", "noun.state", "noun.substance", "noun.time",
    "verb.body", "verb.change", "verb.cognition", "verb.communication", "verb.competition",
    "verb.consumption", "verb.contact", "verb.creation", "verb.emotion", "verb.motion",
    "verb.perception", "verb.possession", "verb.social", "verb.stative", "verb.weather", "adj.ppl",
)  # fmt: skip
_PARTS = {"adj": 3, "adv": 4, "noun": 1, "verb": 2}


class Meteor:
    """METEOR of Lavie and Agarwal (2007) with NLTK's alignment: exact, stem, synonym.

    Words are those of NLTK's `word_tokenize(text, preserve_line=True)`, the Treebank rules without
    the sentence splitter before them, which needs data to download. Hugging Face's Evaluate, as
    the paper used it, splits sentences first: the two differ where a sentence ends within a prompt,
    whose full stop stays with its word here. alpha 0.9, beta 3, gamma 0.5, letter case ignored.

    Attributes:
        settings: what decides a score beside the texts, WordNet among it.

    Raises:
        InputError: the folder that PROMPTLIFT_WORDNET names holds no WordNet.
        MissingExtraError: the extra `score` is not installed.
    """

    def __init__(self) -> None:
        try:
            import nltk
            from nltk.stem.porter import PorterStemmer
            from nltk.tokenize import NLTKWordTokenizer
            from nltk.translate.meteor_score import single_meteor_score
        except ImportError as error:
            raise MissingExtraError("METEOR", "score") from error
        self._wordnet, origin = find_wordnet()
        self._stemmer = _Remembering(stem=PorterStemmer().stem)
        self._score, self._tokenizer = single_meteor_score, NLTKWordTokenizer()
        self.settings: dict[str, Any] = {
            "nltk": nltk.__version__,
            "wordnet": origin or False,
            "matches": "exact, stem, synonym" if origin else "exact and stem only",
            "alpha": ALPHA,
            "beta": BETA,
            "gamma": GAMMA,
            "tokens": "word_tokenize, preserve_line",
        }

    def tokens(self, text: str) -> list[str]:
        """The words and signs of a text."""
        return [str(word) for word in self._tokenizer.tokenize(text)]

    def scores(
        self, *, predictions: Sequence[str], references: Sequence[str]
    ) -> npt.NDArray[np.float64]:
        """A score in [0, 1] for each prediction; 0 where nothing matches; float64 [predictions]."""
        return np.array(
            [
                self._score(
                    self.tokens(reference),
                    self.tokens(prediction),
                    stemmer=self._stemmer,
                    wordnet=self._wordnet,
                    alpha=ALPHA,
                    beta=BETA,
                    gamma=GAMMA,
                )
                for prediction, reference in zip(predictions, references, strict=True)
            ],
            dtype=np.float64,
        )


class _Remembering:
    """A stemmer or WordNet that keeps answers: prompts say the same words over and over."""

    def __init__(self, **methods: Callable[[str], Any]) -> None:
        for name, method in methods.items():
            setattr(self, name, lru_cache(100_000)(method))


def find_wordnet() -> tuple[Any, str | None]:
    """WordNet as `single_meteor_score` asks it, and where it is from; None where there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        if missing := [name for name in _NEEDED if not (Path(named) / name).is_file()]:
            raise InputError(f"{VARIABLE} is {named}, which has no {', '.join(missing)}.")
        return _from_folder(Path(named)), named
    if (found := _from_nltk()) is not None:
        return found, "NLTK's data"
    if all((DEBIAN / name).is_file() for name in _NEEDED):
        return _from_folder(DEBIAN), str(DEBIAN)
    return _Remembering(synsets=lambda word: []), None


def _from_nltk() -> Any:
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except LookupError:
        return None
    return _Remembering(synsets=wordnet.synsets)


@cache
def _from_folder(folder: Path) -> Any:
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """Reads a folder without `lexnames`, and English alone."""

        def open(self, file: str) -> Any:
            if file == "lexnames":
                lines = (
                    f"{number:02d}\t{name}\t{_PARTS[name.split('.')[0]]}\n"
                    for number, name in enumerate(_LEXNAMES)
                )
                return io.StringIO("".join(lines))
            return super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """No mapping to other versions: only other languages need it."""

    # NLTK reads no folder that is not on its path.
    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions")
        return _Remembering(synsets=Reader(str(folder), None).synsets)
