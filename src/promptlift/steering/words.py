"""Back to words: the prompt whose embedding is nearest, which can be used anywhere."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from promptlift.illustrating.embedding import Embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.records import Improvement
from promptlift.steering.vectors import distance, embedding_of

_ROUNDS = 12  # changes, at most


@dataclass(frozen=True, order=True)
class Named:
    """A prompt beside an embedding.

    Attributes:
        distance: as `vectors.distance`, from 0 to 2.
        prompt: the words.
    """

    distance: float
    prompt: str


def nearest(
    illustrator: Illustrator,
    embedding: Embedding,
    variants: Sequence[Improvement],
    *,
    on_try: Callable[[int], None] = lambda tried: None,
) -> list[Named]:
    """Prompts by how near they are to an embedding, the nearest first.

    The prompt that the embedding began with, its improved variants and the words that it was moved
    towards are tried; then, from the nearest on, phrases of all these are added, taken away and put
    in each other's place, one change at a time, as long as that brings it nearer. What the prompt
    itself says always stays.

    Args:
        illustrator: whose encoders made the embedding.
        embedding: what is to be said.
        variants: improvements of its prompt, in mode "extend".
        on_try: called with the number of prompts tried so far.
    """
    source = embedding.prompt
    tried = 0

    @cache
    def measured(phrases: tuple[str, ...]) -> Named:
        nonlocal tried
        tried += 1
        on_try(tried)
        prompt = ", ".join([source, *phrases])
        return Named(distance(embedding, embedding_of(illustrator, prompt)), prompt)

    starts = dict.fromkeys([(), *(tuple(one.additions) for one in variants), *_said(embedding)])
    pool = list(dict.fromkeys(phrase for phrases in starts for phrase in phrases))
    found = {phrases: measured(phrases) for phrases in starts}
    best = min(found, key=found.__getitem__)
    for _ in range(_ROUNDS):
        steps = {phrases: measured(phrases) for phrases in _neighbours(best, pool)}
        found |= steps
        nearer = min(steps, key=steps.__getitem__, default=best)
        if found[nearer] >= found[best]:
            break
        best = nearer
    return sorted(found.values())


def _said(embedding: Embedding) -> list[tuple[str, ...]]:
    """What its receipt says that it was moved towards: phrases beside the prompt."""
    about = embedding.about
    found = [tuple(step["styles"]) for step in about.get("picks", [])]
    for prompt in (about.get("towards"), about.get("began")):
        if isinstance(prompt, str) and prompt.startswith(f"{embedding.prompt}, "):
            found.append(tuple(prompt.removeprefix(f"{embedding.prompt}, ").split(", ")))
    return found


def _neighbours(phrases: tuple[str, ...], pool: Sequence[str]) -> Iterable[tuple[str, ...]]:
    for phrase in pool:
        if phrase not in phrases:
            yield (*phrases, phrase)
    for place in range(len(phrases)):
        before, after = phrases[:place], phrases[place + 1 :]
        yield before + after
        yield from ((*before, phrase, *after) for phrase in pool if phrase not in phrases)
