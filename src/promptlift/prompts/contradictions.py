"""What of an addition does not go with a prompt: another count, colour, subject or medium."""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from promptlift.prompts.intent import Text, is_plural

_Table = Sequence[tuple[str, Sequence[frozenset[str]]]]

# Rain that is over, or worn, goes with the sun.
_DRY = "after-rain after-the-rain after-a-rain after-heavy-rain recent-rain after-the-storm \
after-a-storm rain-boots rain-jacket rain-coat rain-forest"
# Words of which two groups never go together, and what they speak of. With a text that has words
# of both groups either goes.
_EXCLUSIVE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "time of day",
        (
            "night midnight moonlight moonlit starry nighttime nocturnal starlight",
            "noon midday daylight daytime sunny sunlit sunlight sunshine",
        ),
    ),
    (
        "time of day",
        ("noon midday", "sunset sunrise dusk dawn twilight"),
    ),
    ("time of day", ("sunset dusk", "sunrise dawn")),
    ("time of day", ("night midnight moonlit nighttime", "sunset sunrise")),
    ("time of day", ("morning", "afternoon evening")),
    ("season", ("winter", "summer", "autumn fall", "spring")),
    (
        "weather",
        (
            f"sunny sunshine cloudless {_DRY}",
            "rain rainy raining storm stormy overcast cloudy blizzard",
        ),
    ),
    (
        "weather",
        (
            f"sun sunlight sunlit clear-sky clear-skies clear-blue-sky {_DRY}",
            "rain rainy raining rainstorm thunderstorm downpour in-a-storm in-the-storm "
            "sun-shower sun-showers",
        ),
    ),
    (
        "weather",
        (
            "clear-sky clear-skies clear-blue-sky clear-blue-skies cloudless",
            "clouds cloudy overcast",
        ),
    ),
    (
        "colours",
        (
            "monochrome grayscale greyscale monochromatic sepia black-and-white",
            "colorful colourful multicolored multicoloured rainbow vibrant vivid",
        ),
    ),
)
# What a picture is made as. "painting" and "illustration" say less than what is under them.
_MEDIUMS = {
    "photo": "photo photograph photography photographic photos photographs dslr polaroid",
    "render": "render rendering rendered cgi 3d octane blender voxel unreal raytracing",
    "painting": "painting paintings painted",
    "illustration": "illustration illustrated drawing cartoon",
    "digital": "digital",
    "oil": "oil",
    "watercolour": "watercolor watercolour aquarelle",
    "acrylic": "acrylic",
    "gouache": "gouache",
    "ink": "ink",
    "pencil": "pencil graphite",
    "charcoal": "charcoal",
    "sketch": "sketch",
    "crayon": "crayon",
    "print": "woodcut etching lithograph linocut engraving",
    "pixel": "pixel 8-bit 16-bit",
    "sculpture": "sculpture statue",
    "mosaic": "mosaic",
    "textile": "embroidery knitted tapestry crochet felt",
    "glass": "stained-glass",
    "paper": "origami papercraft",
    "clay": "claymation",
}
_GENERIC = {
    "painting": {"digital", "oil", "watercolour", "acrylic", "gouache", "ink", "illustration"},
    "illustration": {
        "digital", "watercolour", "gouache", "ink", "pencil", "charcoal", "sketch", "painting",
        "crayon", "print",
    },
    "sketch": {"pencil", "charcoal", "ink", "illustration"},
    "digital": {"render", "pixel"},
}  # fmt: skip
_MEDIUM_OF = {word: name for name, words in _MEDIUMS.items() for word in words.split()}
# After a being in prose: what ends like a verb or an adverb, and what does so and is none.
_VERB = re.compile(r"(?:[^su]s|ly|ed)\Z|\A(?:sat|stood|lay|made|seen|found|clad|ran|flew|set)\Z")
_NOUNS = frozenset((
    "eyes", "ears", "wings", "scales", "hooves", "horns", "antlers", "feathers", "paws", "claws",
    "teeth", "bones", "skulls", "heads", "faces", "hands", "arms", "legs", "feet", "tails", "tusks",
    "whiskers", "webs", "statues", "sculptures", "figurines", "toys", "masks", "costumes", "tracks",
    "prints", "footprints", "motifs", "patterns", "lights", "shaped", "themed", "sized", "inspired",
    "printed", "headed",
))  # fmt: skip
# An eagle may go on as "the bird"; a grizzly, which is not among the beings, as "the bear".
_GENERAL = frozenset(("bird", "beast", "creature", "fish", "insect", "person"))
_COMMON = frozenset(
    ("dog", "cat", "bear", "horse", "monkey", "man", "woman", "boy", "girl", "child")
)
_VIEWS = frozenset(("first", "second", "third"))  # person
_CROWD = frozenset(("crowd", "crowds", "group"))
_EXCLUSIVES = tuple(
    (topic, tuple(frozenset(group.split()) for group in groups)) for topic, groups in _EXCLUSIVE
)
_EXCLUSIVE_WORDS = frozenset[str]().union(*(group for _, groups in _EXCLUSIVES for group in groups))


def contradiction(asked: Text, phrase: str, said: str = "", *, prose: bool = False) -> str | None:
    """Why a phrase does not go with a prompt, or with what was `said` after it.

    A second subject, another colour of the same thing, another count, something that was
    ruled out, another medium, time of day, season or weather. A sentence of `prose` may speak of
    some of the things that the prompt counts.
    """
    text = _read(phrase, prose)
    return (
        _ruled_out(asked, text)
        or _other_count(asked, text)
        or _other_colour(asked, text)
        or _second_subject(asked, text)
        or _exclusive(asked, said, text)
        or _second_medium(asked, said, text)
    )


# Models say the same phrases over and over.
_read = lru_cache(2_000)(Text)


def _ruled_out(asked: Text, text: Text) -> str | None:
    allowed = {root for root, _ in text.negated}
    for root, _ in asked.negated:
        found = _CROWD | {"person", "man", "woman"} if root == "person" else {root}
        if found & text.stem_set and root not in allowed:
            return f"the prompt says no {root}"
    return None


def _other_count(asked: Text, text: Text) -> str | None:
    for number, root, _ in text.counts:
        numbers = {n for n, other, _ in asked.counts if other == root}
        if number in numbers or not (numbers or root in asked.stem_set):
            continue
        if not text.prose or number > _most(asked, root, numbers):
            return f"another number of {root}"
    return None


def _most(asked: Text, root: str, numbers: set[int]) -> float:
    """How many of a thing a prompt allows: what it counts, one each time it names it, or any."""
    if numbers:
        return max(numbers)
    named = [word for word, other in zip(asked.words, asked.stems, strict=True) if other == root]
    return math.inf if any(map(is_plural, named)) else len(named)


def _other_colour(asked: Text, text: Text) -> str | None:
    for colour, root, _ in text.colours:
        colours = {c for c, other, _ in asked.colours if other == root}
        if colours and colour not in colours:
            return f"another colour of {root}"
    return None


def _second_subject(asked: Text, text: Text) -> str | None:
    beings = _beings()
    for place, root in enumerate(text.stems):
        if root not in beings or root in asked.stem_set:
            continue
        if text.prose and _is_the_subject(asked, text, place):
            continue
        # The head of a noun phrase: dragon scales are no dragon, third person is nobody.
        head = len(text.run(place)) == 1 or (text.prose and _is_subject(text, place))
        viewed = text.words[max(0, place - 1)] in _VIEWS
        if head and not viewed and all(root != other for other, _ in text.negated):
            return f"a second subject: {root}"
    return None


def _is_the_subject(asked: Text, text: Text, place: int) -> bool:
    """Whether a being in prose is another name of what the prompt has."""
    root = text.stems[place]
    if "the" not in text.words[max(0, place - 2) : place] or is_plural(text.words[place]):
        return False
    return root in _GENERAL or (root in _COMMON and _beings() & asked.stem_set <= {"person"})


def _is_subject(text: Text, place: int) -> bool:
    """Whether a being in prose is one: dogs, a dog's, a dog sleeps, but no dog house."""
    word, following = text.words[place], text.words[place + 1]
    owns = word.endswith(("'s", "s'"))
    does = _VERB.search(following) is not None and following not in _NOUNS
    return owns or is_plural(word) or does


def _exclusive(source: Text, said: str, text: Text) -> str | None:
    if _EXCLUSIVE_WORDS.isdisjoint(text.word_set):
        return None
    topic = excluded(_EXCLUSIVES, text.word_set, source.word_set | Text(said).word_set)
    return f"another {topic}" if topic else None


def excluded(table: _Table, words: frozenset[str], before: frozenset[str]) -> str | None:
    """The first topic of a table of which words and earlier ones name groups, and none alike."""
    for topic, groups in table:
        here = {index for index, group in enumerate(groups) if group & words}
        there = {index for index, group in enumerate(groups) if here and group & before}
        if there and here.isdisjoint(there):
            return topic
    return None


def _second_medium(source: Text, said: str, text: Text) -> str | None:
    if not (found := mediums(text)):
        return None
    for asked in (mediums(source), mediums(said)):
        if asked and not any(_go_together(a, b) for a in asked for b in found):
            return f"another medium than {min(asked)}"
    return None


def mediums(text: "Text | str") -> frozenset[str]:
    """What a text says that a picture is made as."""
    read = Text(text) if isinstance(text, str) else text
    found = {_MEDIUM_OF[word] for word in _MEDIUM_OF.keys() & read.word_set}
    # "oil on canvas", "oil painting", but no oil lamp; digital art, but no digital clock.
    if "oil" in found and not read.word_set & {"canvas", "painting", "painted", "paint", "oils"}:
        found.discard("oil")
    if "digital" in found and not read.word_set & {"art", "painting", "illustration", "artwork"}:
        found.discard("digital")
    if read.word_set & {"a-blender", "the-blender"}:  # of a kitchen; "blender render" is none
        found.discard("render")
    if found & {"oil", "watercolour", "acrylic", "gouache", "digital"}:
        found.discard("painting")
    return frozenset(found)


def _go_together(one: str, other: str) -> bool:
    return one == other or other in _GENERIC.get(one, set()) or one in _GENERIC.get(other, set())


@lru_cache(1)
def _beings() -> frozenset[str]:
    text = (files("promptlift.prompts.lexicon") / "data" / "beings.txt").read_text(encoding="utf-8")
    return frozenset(text.split())
