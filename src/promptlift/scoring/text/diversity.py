"""How various texts are among themselves: distinct-n and self-BLEU."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from promptlift.prompts.clauses import plain_words

BLEU_ORDER, BLEU_TEXTS = 4, 200
_EPSILON = 0.1  # method 1 of Chen and Cherry (2014): in place of an n-gram precision's 0 matches

Words = Sequence[str]


def added_words(source: str, result: str) -> list[str]:
    """Words of a result beyond those of its source, in order."""
    own = set(plain_words(source).split())
    return [word for word in plain_words(result).split() if word not in own]


def first_words(texts: Iterable[Words], limit: int) -> list[Words]:
    """Texts from the first on until they have `limit` words together; the last one is cut."""
    kept: list[Words] = []
    for text in texts:
        kept.append(text[:limit])
        limit -= len(kept[-1])
        if limit <= 0:
            break
    return kept


def distinct(texts: Iterable[Words], order: int, limit: int | None = None) -> float:
    """Different n-grams over all n-grams of tokenized texts (Li et al., 2016), in [0, 1].

    It falls with length, so compare equal numbers of words: those of the first texts, up to the
    one that reaches `limit` words.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    words = 0
    for text in texts:
        seen.update(zip(*(text[place:] for place in range(order)), strict=False))
        words += len(text)
        if limit is not None and words >= limit:
            break
    return len(seen) / max(1, seen.total())


def self_bleu(texts: Sequence[Words]) -> float:
    """Mean BLEU-4 of each text against all others (Zhu et al., 2018), in [0, 1]; 1 is monotony.

    It grows with the number of texts: of those that are not empty the first 200 are taken. Equal
    to NLTK's `sentence_bleu` with smoothing method 1, but the others' n-grams are counted once
    for all texts.
    """
    chosen = [text for text in texts if text][:BLEU_TEXTS]
    if len(chosen) < 2:
        return 0.0
    counts = [[_ngrams(text, order) for text in chosen] for order in range(1, BLEU_ORDER + 1)]
    # Beyond a text's own count its n-gram is matched by the greatest count among the others.
    most = [_two_greatest(each) for each in counts]
    lengths = [len(text) for text in chosen]
    scores = [
        _bleu(place, [each[place] for each in counts], most, lengths)
        for place in range(len(chosen))
    ]
    return math.fsum(scores) / len(scores)


def _ngrams(text: Words, order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(text[place:] for place in range(order)), strict=False))


Greatest = dict[tuple[str, ...], tuple[int, int, int]]


def _two_greatest(counts: Sequence[Counter[tuple[str, ...]]]) -> Greatest:
    """By n-gram its greatest count in a text, which text that is, and the next greatest count."""
    found: Greatest = {}
    for place, each in enumerate(counts):
        for ngram, count in each.items():
            first, owner, second = found.get(ngram, (0, -1, 0))
            if count > first:
                found[ngram] = (count, place, first)
            elif count > second:
                found[ngram] = (first, owner, count)
    return found


def _bleu(
    place: int,
    own: Sequence[Counter[tuple[str, ...]]],
    most: Sequence[Greatest],
    lengths: Sequence[int],
) -> float:
    logs = 0.0
    for ngrams, greatest in zip(own, most, strict=True):
        matched = 0
        for ngram, count in ngrams.items():
            first, owner, second = greatest[ngram]
            matched += min(count, second if owner == place else first)
        if not matched and ngrams is own[0]:
            return 0.0
        logs += math.log((matched or _EPSILON) / max(1, ngrams.total())) / BLEU_ORDER
    length = lengths[place]
    others = (other for index, other in enumerate(lengths) if index != place)
    closest = min(others, key=lambda other: (abs(other - length), other))
    return min(1.0, math.exp(1 - closest / length)) * math.exp(logs)
