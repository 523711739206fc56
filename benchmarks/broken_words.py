"""How often additions hold a word that is none, as where an unwanted phrase was broken off.

    python -m benchmarks.broken_words --prompts parti_prompts.txt:prompt:500 ...
    python -m benchmarks.broken_words --model WORLD --world

The words that count as known are those of the prompt and of the lexicon; with `--world`, those of
the pocket world's pairs, of which the prompts then are too. Prints for each setting how many
additions hold another word, how many there are, and the words.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Set
from typing import Any

from benchmarks.expand import prompts_of
from promptlift import Improver
from promptlift.prompts.lexicon.terms import phrases
from promptlift.prompts.lexicon.words import names, target_words
from promptlift.world.pairs import world_pairs

_WORD = re.compile(r"[^\W\d_]+")
SETTINGS: tuple[dict[str, Any], ...] = (
    {"painters": "free", "styles": "free"},
    {},
    {"styles": "never"},
    {"styles": 0.9, "painters": 0.9},
    {"styles": "never", "mode": "rewrite"},
    {"variety": 1.0, "n": 4},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--prompts", nargs="*", default=[], help="FILE, or FILE:COLUMN:N.")
    parser.add_argument("--world", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    known: Set[str]
    if given.world:
        pairs = list(world_pairs(8000))
        known = words_of(pair.source + " " + pair.target for pair in pairs)
        prompts = [pair.source for pair in world_pairs(500, test=True, mode="extend")]
    else:
        known = target_words() | words_of((*phrases(), *names()))
        prompts = [text for name in given.prompts for text in prompts_of(name)]
    improver = Improver.load(given.model)
    for setting in SETTINGS:
        variants = improver.improve(prompts, seed=given.seed, **setting)
        results = [one for several in variants for one in several]
        additions = [(one, phrase) for one in results for phrase in one.additions]
        unknown = [words_of([phrase]) - words_of([one.source]) - known for one, phrase in additions]
        report = {
            "results": len(results),
            "additions": len(additions),
            "with an unknown word": sum(map(bool, unknown)),
            "results without addition": sum(not one.additions for one in results),
            "dropped": Counter(item.reason for one in results for item in one.dropped),
            "unknown": Counter(word for words in unknown for word in words).most_common(15),
        }
        print(setting, json.dumps(report), flush=True)


def words_of(texts: Iterable[str]) -> set[str]:
    """The words of texts, in lower case."""
    return {word for text in texts for word in _WORD.findall(text.lower())}


if __name__ == "__main__":
    main()
