"""Whether additions go together: none repeats what stands already, and none excludes another."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.contradictions import excluded
from promptlift.prompts.intent import STOP, Text, stem

# Words in a row, singular or plural, mean the same thing, and a result has only one of them. In a
# prompt, a word of the first column counts wherever it stands; one of the second counts only in a
# clause of its own: "sharp" asks for a sharp picture, "sharp teeth" does not.
_SAME: tuple[tuple[str, str], ...] = (
    (
        "4k 8k 16k 4-k 8-k 16-k hd uhd fhd 4k-uhd 8k-uhd 4k-resolution 8k-resolution "
        "16k-resolution hd-resolution high-resolution high-res hi-res high-definition",
        "resolution",
    ),
    (
        "highly-detailed very-detailed extremely-detailed insanely-detailed incredibly-detailed "
        "ultra-detailed hyper-detailed super-detailed hyperdetailed intricately-detailed "
        "high-detail fine-detail intricate-detail",
        "detail detailed intricate intricately",
    ),
    ("sharp-focus", "sharp crisp clear-focus in-focus"),
    ("high-quality best-quality top-quality", "quality masterpiece"),
    ("award-winning", ""),
    (
        "realistic photorealistic photo-realistic hyperrealistic hyper-realistic ultrarealistic "
        "ultra-realistic photorealism photo-realism hyperrealism hyper-realism ultra-realism "
        "photoreal lifelike",
        "realism",
    ),
    ("cinematic", "filmic"),
    ("movie-still film-still cinematic-still", ""),
    ("depth-of-field bokeh", "blurry-background blurred-background"),
    ("wide-angle", ""),
    ("wide-shot wide-view", ""),
    ("close-up closeup", ""),
    ("full-body full-length", "full-shot"),
    ("ray-tracing raytracing ray-traced", ""),
    ("sci-fi scifi science-fiction", ""),
    ("surreal surrealist surrealism", ""),
    ("cyberpunk", ""),
    ("digital-painting digital-art digital-illustration", ""),
    ("oil-painting oil-on-canvas", "oil-paint"),
    ("3d-render octane-render", "3d cgi"),
    ("", "photo photograph photography photographic photoshoot dslr dslr-photo dslr-photograph"),
    ("", "vibrant vivid colorful colourful full-color full-colour of-colour"),
    ("", "muted desaturated"),
    ("", "minimal minimalist minimalism minimalistic simple"),
    ("", "simple-background plain-background"),
    ("", "symmetrical symmetry symmetric"),
    ("", "anime manga"),
    ("", "cartoon comic"),
    ("", "grain grainy"),
    ("", "retro vintage"),
    ("", "creepy scary eerie sinister spooky ominous unsettling"),
    ("", "dreamy dreamlike"),
)
# Of two groups only one can hold.
_OPPOSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("focus", ("sharp-focus clear-focus deep-focus", "soft-focus")),
    ("focus", ("deep-focus deep-depth", "bokeh shallow-depth blurry-background")),
    ("light", ("soft-light soft-lighting soft-lights", "hard-light hard-lighting")),
    (
        "light",
        (
            "low-light dark-lighting dim-lighting dim-light dimly-lit",
            "bright-light bright-lighting brightly-lit well-lit sunny sunlit midday",
        ),
    ),
    (
        "light",
        (
            "studio-light studio-lighting",
            "golden-hour natural-light natural-lighting sunlight moonlight sunset sunrise",
        ),
    ),
    ("time of day", ("golden-hour sunset sunrise", "night midnight noon moonlight starlight")),
    (
        "place",
        (
            "indoors indoor living-room bedroom kitchen bathroom hallway classroom",
            "outdoors outdoor meadow orchard grassy-field green-field open-field wheat-field",
        ),
    ),
    (
        "weather",
        (
            "midday-sun afternoon-sun morning-sun bright-sunlight afternoon-sunlight "
            "morning-sunlight clear-sky",
            "cloudy overcast rainy stormy",
        ),
    ),
    ("skin", ("fair-skin pale-skin light-skin", "dark-skin brown-skin black-skin tanned-skin")),
    ("contrast", ("high-contrast strong-contrast", "low-contrast")),
    (
        "palette",
        (
            "vibrant-colors vibrant-colours vivid-colors vivid-colours bright-colors neon-colors "
            "bright-colours full-color full-colour",
            "muted-colors muted-colours pale-colors soft-colors pastel-colors pastel-colours "
            "desaturated monochrome black-and-white",
        ),
    ),
    ("tone", ("warm-colors warm-tones warm-tone warm-light", "cold-tones cold-colors cool-tones")),
    (
        "view",
        (
            "close-up closeup macro-photography macro-shot",
            "full-body full-length full-shot",
            "wide-shot wide-view long-shot establishing-shot aerial-view panorama",
        ),
    ),
    ("view", ("top-view aerial-view", "low-angle", "side-view", "front-view", "back-view")),
    ("lens", ("wide-angle fisheye-lens", "macro-lens macro-photography telephoto")),
    ("arrangement", ("symmetrical symmetry symmetric", "asymmetrical asymmetry")),
    ("manner", ("minimalist minimalism minimalistic", "maximalist intricate ornate elaborate")),
    (
        "style",
        (
            "photorealistic photo-realistic hyperrealistic hyper-realistic photorealism "
            "photo-realism hyper-realism hyperrealism realistic-style",
            "cartoon-style anime-style cel-shaded cel-shading pixel-art low-poly vector-art "
            "surrealist-style",
        ),
    ),
    (
        "style",
        (
            "photorealistic photo-realistic photorealism photo-realism",
            "oil-on-canvas oil-painting watercolor watercolour",
        ),
    ),
    ("mood", ("happy cheerful joyful", "creepy scary eerie sinister gloomy sad ominous")),
)
# Of each of these a picture has one.
_SINGLE = (
    ("background", re.compile(r"\b(?:\w+ )?(?:background|backdrop)\b")),
    (
        "aspect ratio",
        re.compile(r"\b(?:1:1|[23]:[23]|[34]:[34]|[45]:[45]|16:9|9:16|16:10|21:9)(?!\w)"),
    ),
    ("lens", re.compile(r"\b\d{2,3} ?mm\b(?! film)")),
    ("aperture", re.compile(r"\bf ?/? ?\d+\b(?! (?:fighter|jet|plane|series))")),
    ("decade", re.compile(r"\b1\d\d0s\b")),
)
# Nouns of a place after "in a", "on the": what a thing stands on, and what is around it. Of each a
# picture has one.
_PLACES = (
    "table desk counter bench shelf windowsill sofa couch bed chair rug pedestal throne wall floor",
    "porch street road sidewalk park garden field meadow orchard hillside beach forest jungle "
    "desert savannah room kitchen bedroom bathroom office library classroom workshop stadium alley "
    "alleyway market station airport farm courtyard rooftop cave dungeon battlefield arena "
    "restaurant cafe shop store museum hospital theater",
)
_PLACE = re.compile(
    r"(?:in|inside|on|at|atop|under|beneath|beside|near|by) (?:an?|the) (?:(?!of\b)[\w'-]+ )*?(?:"
    + "|".join(f"({nouns.replace(' ', '|')})" for nouns in _PLACES)
    + r")(?: (?:at|during) [\w' -]+)?\Z"
)
# Of a prompt: what it says where its things are, not where they go.
_ASKED_PLACE = re.compile(
    r"(?<!\bnot )\b(?:in|inside|on|atop) (?:an?|the) (?:(?!of\b|and\b|with\b)[\w'-]+ ){0,2}?(?:"
    + "|".join(f"({nouns.replace(' ', '|')})" for nouns in _PLACES)
    + r")\b"
)
# With these alone a phrase says nothing new.
_EMPTY = frozenset((
    "style", "image", "picture", "scene", "art", "artwork", "shot", "look", "effect", "level",
    "full", "high", "highly", "very", "extremely", "insanely", "ultra", "hyper", "super", "many",
    "good", "great", "best", "perfect", "beautiful", "amazing", "stunning", "professional",
))  # fmt: skip
_MARK = ","
_ALIKE = {"lighting": "light", "lit": "light", "painted": "painting", "paint": "painting"}


def _stemmed(words: str) -> frozenset[str]:
    """Runs of stems, as `_runs` makes them of a text."""
    return frozenset("-".join(map(stem, word.split("-"))) for word in words.split())


# Row and column of `_SAME` by runs of stems.
_ROWS = {
    run: (row, column)
    for row, columns in enumerate(_SAME)
    for column, words in enumerate(columns)
    for run in _stemmed(words)
}
_GROUPS = tuple((topic, tuple(map(_stemmed, groups))) for topic, groups in _OPPOSED)
_GROUPED = frozenset[str]().union(*(group for _, groups in _GROUPS for group in groups))


@dataclass(frozen=True)
class _Phrase:
    """What a phrase says.

    Attributes:
        text: its words.
        runs: one to three of its stems, joined by hyphens.
        rows: those of `_SAME` that it has words of.
        strong: those that it has words of the first column of.
        doubled: whether it has two words of one row.
        stems: of all words.
        rest: stems that are of no row and say something.
    """

    text: Text
    runs: frozenset[str]
    rows: frozenset[int]
    strong: frozenset[int]
    doubled: bool
    stems: frozenset[str]
    rest: frozenset[str]

    def is_within(self, stems: frozenset[str]) -> bool:
        """Whether these stems say all that the phrase says; of rows nothing is known here."""
        return bool(self.rest) and not self.rows and self.rest <= stems


def repetition(phrase: str, said: Sequence[str], prompt: str = "") -> str | None:
    """Why a phrase says again what a prompt or an earlier addition says.

    They have words of one row of `_SAME` ("4k", "hd"), or one of two phrases has all the words of
    the other, in any order and number ("dramatic", "dramatic lights").

    Args:
        phrase: a phrase to add.
        said: the additions before it.
        prompt: the words of the prompt.
    """
    new = _read(phrase)
    if new.doubled:
        return "says a thing twice"
    if _place(phrase) is not None and new.text.stems[-1] in _read_prompt(prompt).stems:
        return "says the prompt again"
    for earlier in said:
        old = _read(earlier)
        if new.rows & old.rows or new.is_within(old.stems) or old.is_within(new.stems):
            return f"says {earlier} again"
    if new.is_within(frozenset().union(*(_read(earlier).stems for earlier in said))):
        return "says others again"
    for clause in _clauses(prompt):
        rows = clause.strong if clause.rest else clause.rows
        # "High contrast" is not said by a clause in which only "contrast" stands.
        if new.rows & rows or (new.is_within(clause.stems) and new.stems <= clause.stems | STOP):
            return "says the prompt again"
    return None


def opposition(phrase: str, said: Sequence[str], asked: Text) -> str | None:
    """Why a phrase does not go with an earlier addition or with a prompt: "another light".

    Beside what `_OPPOSED` and `_SINGLE` list, a thing has one colour and one number among the
    additions, unless the prompt gives it more.
    """
    new, before = _read(phrase), [_read_prompt(asked.text), *map(_read, said)]
    if (place := _place(phrase)) is not None:
        kind, noun = place
        nouns = {other for known, other in _asked_places(asked.text) if known == kind}
        if kind in (found[0] for one in said if (found := _place(one))) or (
            nouns and noun not in nouns
        ):
            return "another place"
    if not new.runs.isdisjoint(_GROUPED):
        if any(sum(bool(group & new.runs) for group in groups) > 1 for _, groups in _GROUPS):
            return "contradicts itself"
        runs = frozenset[str]().union(*(one.runs for one in before))
        if topic := excluded(_GROUPS, new.runs, runs):
            return f"another {topic}"
    texts = [one.text for one in before]
    for topic, pattern in _SINGLE:
        if values := pattern.findall(phrase.lower()):
            known = {value for text in texts for value in pattern.findall(text.text.lower())}
            if known and not known.issuperset(values):
                return f"another {topic}"
    return _other("colour", new.text.colours, [text.colours for text in texts]) or _other(
        "number", new.text.counts, [text.counts for text in texts]
    )


def _place(phrase: str) -> tuple[int, str] | None:
    """Which of `_PLACES` a phrase is one of, with its noun."""
    found = _PLACE.match(phrase.lower())
    return (found.lastindex, found[found.lastindex]) if found and found.lastindex else None


@lru_cache(256)
def _asked_places(prompt: str) -> frozenset[tuple[int, str]]:
    """Which of `_PLACES` a prompt names as the place of its things, with the noun."""
    return frozenset(
        (found.lastindex, found[found.lastindex])
        for found in _ASKED_PLACE.finditer(prompt.lower())
        if found.lastindex
    )


def _other(
    what: str,
    new: Iterable[tuple[object, str, int]],
    before: Iterable[Iterable[tuple[object, str, int]]],
) -> str | None:
    """The first thing whose colour or number is none of those that it has already."""
    for value, root, _ in new:
        values = {known for found in before for known, thing, _ in found if thing == root}
        if values and value not in values:
            return f"another {what} of {root}"
    return None


def _parse(phrase: str) -> _Phrase:
    text = Text(phrase)
    stems = _stems(text)
    found, rest = [], set[str]()
    place = 0
    while place < len(stems):
        runs = ("-".join(stems[place : place + size]) for size in (3, 2, 1))
        run = next((run for run in runs if run in _ROWS), "")
        if run:
            found.append(_ROWS[run])
        elif stems[place] not in STOP | _EMPTY:
            rest.add(_alike(stems[place]))
        place += run.count("-") + 1
    return _Phrase(
        text=text,
        runs=_runs(text),
        rows=frozenset(row for row, _ in found),
        strong=frozenset(row for row, column in found if column == 0),
        doubled=len({row for row, _ in found}) < len(found),
        stems=frozenset(map(_alike, stems)),
        rest=frozenset(rest) - {_MARK},
    )


# Models say the same phrases over and over; a prompt is read for each of its additions.
_read = lru_cache(2_000)(_parse)
_read_prompt = lru_cache(256)(_parse)


@lru_cache(256)
def _clauses(prompt: str) -> tuple[_Phrase, ...]:
    return tuple(map(_parse, split_clauses(prompt)))


def _runs(text: Text) -> frozenset[str]:
    stems = _stems(text)
    return frozenset(
        "-".join(stems[place : place + size]) for place in range(len(stems)) for size in (1, 2, 3)
    )


def _stems(text: Text) -> list[str]:
    """Of the words, and of their parts between hyphens; `_MARK` for a comma and the like."""
    stems = []
    for word, ends in zip(text.words, text.ends, strict=False):  # without words there is one end
        stems += [*map(stem, word.split("-")), *([_MARK] if ends else [])]
    return stems[:-1]


def _alike(root: str) -> str:
    return _ALIKE.get(root, root)
