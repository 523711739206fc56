"""The writer's pairs, from public prompts and descriptions.

    python -m benchmarks.writer.pairs --data FOLDER --output FOLDER

FOLDER holds `prompts.parquet` (column prompt, source), `modern/prompts.parquet` (text, source) and
`modern/pairs.parquet` (short, long), and `eval/*.txt`, whose prompts are never learned from.
`docs/models/writer.md` says where they come from. Written are `tags.jsonl` and `paragraphs.jsonl`.

Targets are concrete things that belong to the scene. No names, no style or medium that the source
does not name, no fillers, no second subject, nothing twice, no stock openings.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas

from benchmarks.writer.prose import PLACES, heads, phrases, sentences
from promptlift.pairs.load import write_pairs
from promptlift.pairs.plain import plain_head
from promptlift.prompts.clauses import cut_prompt, plain_words, split_clauses
from promptlift.prompts.clip_tokens import count_clip_tokens
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import Intent
from promptlift.prompts.lexicon.terms import find_terms, phrases as known_phrases
from promptlift.prompts.lexicon.words import may_be_taught, unsafe_words
from promptlift.records import Pair

FEWEST, MOST = 3, 9  # phrases of a target
MOST_CLIP_TOKENS = 68
PARAGRAPH_WORDS = (30, 90)
# Shares of the targets in tags: with the same last word of a phrase, with the same phrase.
MOST_HEAD, MOST_PHRASE = 0.025, 0.004
_MANNER = {"painter", "style", "medium", "filler"}
_MOOD = {"name", "mood", "detail"}
_STOCK = re.compile(
    r"^(?:captured|in (?:this|the) (?:image|scene|photo)|the (?:image|scene|photo|picture|prompt|"
    r"composition|shot|camera|overall)|this (?:image|scene|photo)|an? (?:image|photo|picture|shot|"
    r"close-up|high-angle|low-angle|medium|eye-level|detailed (?:close|photo|image|shot)|"
    r"(?:\w+ )?(?:scene|view|moment|composition|portrait|illustration|painting|depiction)))\b",
    re.IGNORECASE,
)
_META = re.compile(
    r"\b(?:image|photo(?:graph)?|picture|viewers?|camera|composition|shot|scene|frame|"
    r"atmosphere|ambiance|overall|evok\w+|invit\w+|suggest\w+|sense of|touch of|"
    r"captur\w+|the essence|perspective|title|caption|text|word|reads?|letter\w*)\b",
    re.IGNORECASE,
)


# Heard, smelt or thought, not seen; or no thing at all.
_UNSEEN = re.compile(
    r"\b(?:sounds?|cries|hum|scents?|aromas?|melod\w+|music|laughter|whisper\w*|care|strength|"
    r"weight|history|memor\w+|dreams?|passion|dedication|precision|expertise|skill|grace|air of|"
    r"contrasts?|harmon\w+|fonts?|typeface|uppercase|lowercase|script|serif|phrases?|words?|"
    r"letters?|texts?|spelling|consistent|various|rhythm\w*|dance|symphony|canvas of|testament|"
    r"importance|significance|purpose|result|process|technique|consistency|flavou?rs?|taste|"
    r"excitement|adventures?|spirit|soul|emotions?|thoughts?|confidence|determination|power|"
    r"hub|spirits|speed|score|focal|thirds|illumination|tracing|products?|fiction|beautiful\w*|"
    r"environment|aesthetic|cute|resolution|quality|realistic|stunning|gorgeous|perfect|extremely|"
    r"very|best|award|trending|amazing|masterpiece|incredible|brand|name|logo|friends?|pedestrians|"
    r"scan|filters|perches|echoes|glints|sets|rises|stretches|blooms|her|his|she|he|they|"
    r"man|woman|men|women|person|people|boy|girl|child|children|surprise|anger|sadness|happiness|love|fun|work|skills?|culture|traditions?)\b"
)


def may_be_added(phrase: str, asked: Intent, said: list[str]) -> bool:
    """Whether a phrase is a concrete thing that goes with the source and the phrases before it."""
    if not may_be_taught(phrase) or unsafe_words() & set(phrase.lower().split()):
        return False
    if _UNSEEN.search(phrase) or _META.search(phrase):
        return False
    known = known_phrases().get(phrase.lower())
    if known and known.kind in _MANNER | _MOOD:
        return False
    if any(term.kind in _MANNER for term in find_terms(phrase)):
        return False
    if phrase.endswith("'s") or len(phrase) < 4:
        return False
    before = asked.text.stem_set.union(*(Intent(one).text.stem_set for one in said))
    own = Intent(phrase).text.stem_set
    if not own - before or len(own & before) >= len(own) / 2:
        return False
    if own & asked.text.stem_set and phrase.split()[0] not in PLACES:
        return False  # the subject again
    return contradiction(asked.text, phrase, ", ".join(said)) is None


def one_subject(text: str, source: str) -> bool:
    """Whether a text brings no being that the source does not name."""
    asked = Intent(source).text
    return not any(
        (contradiction(asked, part) or "").startswith(("a second subject", "the prompt says"))
        for part in re.split(r"[.,;] ", text)
    )


def chosen(found: Iterable[str], source: str, generator: random.Random) -> list[str]:
    """So many of the phrases that may be added, in their order."""
    asked, kept = Intent(source), list[str]()
    most = generator.choice(range(FEWEST, MOST + 1))
    for phrase in found:
        if may_be_added(phrase, asked, kept):
            longer = ", ".join([source, *kept, phrase])
            if count_clip_tokens(longer) > MOST_CLIP_TOKENS:
                break
            kept.append(phrase)
        if len(kept) == most:
            break
    return kept


def tag_pairs(source: str, found: list[str], generator: random.Random) -> Iterator[Pair]:
    """To extend by phrases; half of the time also from a source that has some of them."""
    kept = chosen(found, source, generator)
    if len(kept) < FEWEST:
        return
    yield Pair(source=_with_wish(source, kept, generator), target=", ".join(kept), mode="extend")
    if len(kept) > FEWEST + 1 and generator.random() < 0.4:
        cut = generator.randrange(1, len(kept) - FEWEST + 1)
        longer = ", ".join([source, *kept[:cut]])
        yield Pair(source=longer, target=", ".join(kept[cut:]), mode="extend")


_WISHES = (
    *(f"{{}}, {m}" for m in (
        "watercolor", "oil painting", "digital art", "anime style", "pixel art", "3d render",
        "pencil sketch", "photo", "cinematic", "black and white", "pastel colors", "minimalist",
        "8k", "highly detailed", "sunset", "at night", "rainy day", "winter", "foggy",
    )),
    *(f"{m} of {{}}" for m in (
        "a photo", "a photograph", "an oil painting", "a watercolor", "a portrait", "a drawing",
        "concept art", "a close-up", "an illustration", "a children's book illustration",
    )),
    "{}, no people", "{}, no text", "{}, no people, no text",
)  # fmt: skip
_SOMEBODY = re.compile(r"(?:man|men|boy|girl|child|people|person|player|group|couple|lady|er|or)s?\b")


def _with_wish(source: str, kept: list[str], generator: random.Random) -> str:
    """At times with what people ask for beside the subject, where the target goes with it."""
    if generator.random() > 0.15:
        return source
    longer = generator.choice(_WISHES).format(source)
    if "no people" in longer and _SOMEBODY.search(source):
        return source
    asked, said = Intent(longer), list[str]()
    for phrase in kept:
        if contradiction(asked.text, phrase, ", ".join(said)):
            return source
        said.append(phrase)
    return longer


def paragraph(text: str, longest: int) -> str:
    """The first sentences of a text, without talk of the picture, of so many words at most."""
    kept, count = list[str](), 0
    for sentence in sentences(text):
        size = len(sentence.split())
        if kept and (_META.search(sentence) or not _plain(sentence)):
            continue
        if count + size > longest:
            break
        kept.append(sentence)
        count += size
    return " ".join(kept)


def _plain(text: str) -> bool:
    """Whether a sentence names no style, painter, or anybody."""
    if any(term.kind in _MANNER for term in find_terms(text)):
        return False
    if unsafe_words() & set(re.findall("[a-z]+", text.lower())):
        return False
    return not re.search(r"(?<![.!?] )(?<!^)\b[A-Z][a-z]", text)


def prose_pairs(text: str, generator: random.Random) -> Iterator[Pair]:
    """Of a description: tags and paragraphs, to extend and to rewrite."""
    parts = sentences(text)
    first = parts[0]
    if _STOCK.match(first) or _META.search(first) or not _plain(first):
        return
    ends = heads(first)
    if not ends:
        return
    for other in ends:
        found = list(phrases(first[other:] + " " + " ".join(parts[1:])))
        yield from tag_pairs(_as_typed(first[:other], generator), found, generator)
    end = generator.choice(ends)
    source = _as_typed(first[:end], generator)
    found = list(phrases(first[end:] + " " + " ".join(parts[1:])))

    low, high = PARAGRAPH_WORDS
    whole = paragraph(text, generator.randrange(55, high + 1))
    if (
        low <= len(whole.split()) and whole.startswith(first) and _sound(whole)
        and one_subject(whole, first[:end])
    ):  # fmt: skip
        yield Pair(source=source, target=whole[end:], mode="extend", form="paragraph")
        short = _as_typed(_plainer(first[: ends[min(1, len(ends) - 1)]]), generator)
        if not Intent(short).lost(whole):
            yield Pair(source=short, target=whole, mode="rewrite", form="paragraph")
    short = _as_typed(_plainer(first[:end]), generator)
    kept = chosen(found, first[:end], generator)
    if len(kept) >= FEWEST and short != source and not Intent(short).lost(first[:end]):
        head = first[:1].lower() + first[1:end]
        yield Pair(source=short, target=", ".join([_bare(head), *kept]), mode="rewrite")


def real_pairs(short: str, long: str, generator: random.Random) -> Iterator[Pair]:
    """Of a short prompt and the long one that was written for it."""
    source = _as_typed(short.rstrip(" ."), generator)
    parts = sentences(long)
    found = list(phrases(long))
    yield from tag_pairs(source, found, generator)
    low, high = PARAGRAPH_WORDS
    whole = paragraph(long, generator.randrange(55, high + 1))
    if low <= len(whole.split()) and _plain(whole) and not Intent(source).lost(whole):
        if _sound(whole) and not _STOCK.match(whole) and one_subject(whole, source):
            yield Pair(source=source, target=whole, mode="rewrite", form="paragraph")
    more = paragraph(" ".join(["", *parts[1:]]).strip(), high - len(source.split()))
    if len(more.split()) >= low - 8 and _sound(more) and not _META.search(sentences(more)[0]):
        if _plain(more) and one_subject(more, source):
            yield Pair(source=source, target=". " + more, mode="extend", form="paragraph")
    ends = heads(parts[0])
    if ends and not _META.search(parts[0]) and _plain(parts[0]):
        head = parts[0][: ends[-1]]
        kept = chosen(found, head, generator)
        if len(kept) >= FEWEST and not Intent(source).lost(head):
            target = ", ".join([_bare(head[:1].lower() + head[1:]), *kept])
            yield Pair(source=source, target=target, mode="rewrite")


def old_pairs(prompt: str, generator: random.Random) -> Iterator[Pair]:
    """Of a prompt in phrases: those that are things."""
    pair = cut_prompt(prompt)
    if pair is None:
        return
    head = plain_head(pair.source)
    if not may_be_taught(head) or any(t.kind in _MANNER for t in find_terms(head)):
        return
    found = [clause.strip(" .") for clause in split_clauses(pair.target)]
    kept = chosen(found, head, generator)
    if len(kept) < FEWEST:
        return
    yield Pair(source=head, target=", ".join(kept), mode="extend")


def _as_typed(text: str, generator: random.Random) -> str:
    """As people type: mostly in lower case, at times without the article."""
    if generator.random() < 0.75:
        text = text[:1].lower() + text[1:]
    if generator.random() < 0.3:
        text = re.sub(r"^(?:an?|the) ", "", text, flags=re.IGNORECASE)
    return text.strip(" ,.")


def _bare(text: str) -> str:
    return re.sub(r"^(?:the) ", "", text)


_ADJECTIVES: set[str] = set()


def _plainer(text: str) -> str:
    """Without the adjectives that describers add before the noun."""
    words = text.split()
    kept = [w for w in words if w.strip(",").lower() not in _ADJECTIVES]
    plain = " ".join(kept)
    plain = re.sub(r"^An? (?=[aeiou])", "an ", plain)
    plain = re.sub(r"^An? (?=[^aeiou\W])", "a ", plain)
    return plain.strip(" ,")


def _sound(text: str) -> bool:
    return text[-1:] in '.!?"' and "  " not in text and not re.search(r"[^\x20-\x7e]", text)


def capped(pairs: list[Pair], generator: random.Random) -> list[Pair]:
    """With phrases left out at random whose last word, or which themselves, are too common."""
    added = [[p for p in split_clauses(pair.target) if p not in pair.source] for pair in pairs]
    tags = [place for place, pair in enumerate(pairs) if pair.form == "tags"]
    heads_, whole = Counter[str](), Counter[str]()
    for place in tags:
        heads_.update({phrase.split()[-1] for phrase in added[place]})
        whole.update({*added[place]})
    result = []
    for place, pair in enumerate(pairs):
        if pair.form == "tags":
            clauses = split_clauses(pair.target)
            first = len(clauses) - len(added[place]) if pair.mode == "rewrite" else 0
            kept = [
                clause for at, clause in enumerate(clauses)
                if at < max(first, pair.mode == "rewrite")
                or generator.random() < MOST_HEAD * len(tags) / max(1, heads_[clause.split()[-1]])
                and generator.random() < MOST_PHRASE * len(tags) / max(1, whole[clause])
            ]  # fmt: skip
            if len(kept) < 2:
                continue
            pair = replace(pair, target=", ".join(kept))
        result.append(pair)
    return result


def learn_adjectives(texts: Iterable[str]) -> None:
    """The commonest describing words between an article and a noun, at the start of texts."""
    from benchmarks.writer.prose import tagged

    counts: Counter[str] = Counter()
    keep = {"red", "blue", "green", "yellow", "white", "black", "orange", "purple", "pink", "brown",
            "grey", "gray", "golden", "gold", "silver", "wooden", "stone", "metal", "glass",
            "old", "young", "small", "large", "big", "little", "tall", "round"}  # fmt: skip
    for text in texts:
        words = tagged(sentences(text)[0][:160])[:8]
        for word in words[1:]:
            if word.letter != "J":
                break
            counts[word.text.lower()] += 1
    _ADJECTIVES.update(w for w, n in counts.items() if n >= 8 and w not in keep)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    held = {
        plain_words(line)
        for path in sorted((args.data / "eval").glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
    }
    generator = random.Random(args.seed)
    modern = pandas.read_parquet(args.data / "modern" / "prompts.parquet")
    pairs = pandas.read_parquet(args.data / "modern" / "pairs.parquet")
    old = pandas.read_parquet(args.data / "prompts.parquet")
    if args.limit:
        modern, pairs, old = (
            frame.sample(min(args.limit, len(frame)), random_state=args.seed)
            for frame in (modern, pairs, old)
        )
    learn_adjectives(modern.text)
    found: list[Pair] = []
    counts: Counter[str] = Counter()

    def take(name: str, more: Iterable[Pair]) -> None:
        for pair in more:
            if plain_words(pair.source) in held:
                counts[f"{name}: in an evaluation set"] += 1
                continue
            counts[f"{name}: {pair.mode} {pair.form}"] += 1
            found.append(pair)

    for text in modern.text:
        take("modern", prose_pairs(text, generator))
    for short, long in zip(pairs.short, pairs.long, strict=True):
        take("real", real_pairs(short, long, generator))
    for prompt, source in zip(old.prompt, old.source, strict=True):
        if source == "UniGenBench-train":
            take("sentences", prose_pairs(prompt, generator))
        else:
            take("old", old_pairs(prompt, generator))
    generator.shuffle(found)
    found = capped(found, generator)
    args.output.mkdir(parents=True, exist_ok=True)
    write_pairs(args.output / "tags.jsonl", (p for p in found if p.form == "tags"))
    write_pairs(args.output / "paragraphs.jsonl", (p for p in found if p.form != "tags"))
    for name, count in sorted(counts.items()):
        print(f"{count:>7} {name}")


if __name__ == "__main__":
    main()
