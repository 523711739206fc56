"""Near-duplicates: texts that share most of their word triples, found exactly."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from math import ceil

THRESHOLD = 0.6
_WORD = re.compile(r"\w+")


def shingles(text: str) -> frozenset[str]:
    """The runs of three words of a text, in lower case; of a shorter one the text itself."""
    words = _WORD.findall(text.lower())
    if len(words) < 3:
        return frozenset([" ".join(words)])
    return frozenset(" ".join(words[place : place + 3]) for place in range(len(words) - 2))


def similar_pairs(
    texts: Sequence[str], threshold: float = THRESHOLD
) -> Iterator[tuple[int, int, float]]:
    """All pairs of texts whose shingles have a Jaccard similarity of at least `threshold`.

    Exact, by prefix filtering (Bayardo, Ma and Srikant, 2007): two sets of similarity t or more
    must share one of the first n - ceil(t n) + 1 of their n members, once both are ordered by
    rarity. So only rare shingles are looked up, and stock endings cost nothing.

    Yields:
        Index, smaller index, similarity in [threshold, 1].
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold} and must lie in (0, 1]")
    sets = [shingles(text) for text in texts]
    counts = Counter(item for members in sets for item in members)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for index, members in enumerate(sets):
        rarest = sorted(members, key=lambda item: (counts[item], item))
        # With room for the rounding of 0.6 * 5.
        prefix = rarest[: len(rarest) - ceil(threshold * len(rarest) - 1e-9) + 1]
        seen = set()
        for item in prefix:
            for other in holders[item]:
                size = len(sets[other])
                alike = threshold * len(members) <= size <= len(members) / threshold
                if alike and other not in seen:
                    seen.add(other)
                    shared = len(members & sets[other])
                    similarity = shared / (len(members) + size - shared)
                    if similarity >= threshold:
                        yield index, other, similarity
            holders[item].append(index)


def groups(
    texts: Sequence[str], threshold: float = THRESHOLD, keys: Sequence[str | None] | None = None
) -> list[int]:
    """A label for each text: the index of the first text that it is linked to by near-duplicates.

    Links are followed, so that two texts with one label may themselves be less alike.

    Args:
        texts: what to compare.
        threshold: Jaccard similarity of word triples from which two texts are linked.
        keys: one for each text; texts with the same key, other than None, are linked too.
    """
    parent = list(range(len(texts)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first_of: dict[str, int] = {}
    shared = [
        (index, first_of.setdefault(key, index))
        for index, key in enumerate(keys or [])
        if key is not None
    ]
    alike = ((one, other) for one, other, _ in similar_pairs(texts, threshold))
    for one, other in chain(shared, alike):
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    return [root(index) for index in range(len(texts))]
