"""The writer's pairs, from public prompts and descriptions.

    python -m benchmarks.writer.pairs --data FOLDER --output pairs.jsonl

FOLDER holds `prompts.parquet` (columns prompt, source), `modern/prompts.parquet` (text) and
`modern/pairs.parquet` (short, long), and `eval/*.txt`, whose prompts are never learned from. It
needs the package textblob.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.writer.fitting import META, SOMEBODY, fitting, manner, one_subject, plain, sound
from benchmarks.writer.prose import heads, is_thing, phrases, tagged
from promptlift.pairs.load import write_pairs
from promptlift.pairs.plain import plain_head
from promptlift.prompts.clauses import cut_prompt, plain_words, split_clauses
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import Intent
from promptlift.prompts.lexicon.words import may_be_taught
from promptlift.prompts.units import split_sentences
from promptlift.records import Pair
from promptlift.tables import Fault, read_rows

FEWEST, MOST = 3, 9  # phrases of a target
SHORTEST, LONGEST = 30, 90  # words of a paragraph
# Shares of the targets in tags: with the same last word of a phrase, with the same phrase.
MOST_HEAD, MOST_PHRASE = 0.025, 0.004
IN_SENTENCES = {"UniGenBench-train"}  # the other sources of prompts list phrases
_STOCK = re.compile(
    r"^(?:captured|in (?:this|the) (?:image|scene|photo)|the (?:image|scene|photo|picture|prompt|"
    r"composition|shot|camera|overall)|this (?:image|scene|photo)|an? (?:image|photo|picture|shot|"
    r"close-up|high-angle|low-angle|medium|eye-level|detailed (?:close|photo|image|shot)|"
    r"(?:\w+ )?(?:scene|view|moment|composition|portrait|illustration|painting|depiction)))\b",
    re.IGNORECASE,
)
# What people ask for beside the subject.
_WISHES = (
    *(f"{{}}, {wish}" for wish in (
        "watercolor", "oil painting", "digital art", "anime style", "pixel art", "3d render",
        "pencil sketch", "photo", "cinematic", "black and white", "pastel colors", "minimalist",
        "8k", "highly detailed", "sunset", "at night", "rainy day", "winter", "foggy",
        "no people", "no text", "no people, no text",
    )),
    *(f"{wish} of {{}}" for wish in (
        "a photo", "a photograph", "an oil painting", "a watercolor", "a portrait", "a drawing",
        "concept art", "a close-up", "an illustration", "a children's book illustration",
    )),
)  # fmt: skip
_KEPT_ADJECTIVES = {
    "red", "blue", "green", "yellow", "white", "black", "orange", "purple", "pink", "brown", "grey",
    "gray", "golden", "gold", "silver", "wooden", "stone", "metal", "glass", "old", "young",
    "small", "large", "big", "little", "tall", "round",
}  # fmt: skip


class Maker:
    """Makes pairs of texts.

    Args:
        generator: draws cuts, lengths and wishes.
        adjectives: that describers add, and people who ask leave out.
    """

    def __init__(self, generator: random.Random, adjectives: frozenset[str]) -> None:
        self.random, self.adjectives = generator, adjectives

    def of_description(self, text: str) -> Iterator[Pair]:
        """Tags and paragraphs, to extend and to rewrite, from the subject of its first sentence."""
        parts = split_sentences(text)
        first = parts[0]
        ends = heads(first)
        if not ends or not _begins_well(first):
            return
        rest = " ".join(parts[1:])
        for end in ends:
            yield from self._tags(self._typed(first[:end]), phrases(f"{first[end:]} {rest}"))
        end = self.random.choice(ends)
        subject = first[:end]
        whole = self._paragraph(text)
        if whole.startswith(first) and one_subject(whole, subject):
            yield Pair(
                source=self._typed(subject), target=whole[end:], mode="extend", form="paragraph"
            )
            short = self._typed(self._plainer(first[: ends[:2][-1]]))
            if not Intent(short).lost(whole):
                yield Pair(source=short, target=whole, mode="rewrite", form="paragraph")
        short = self._typed(self._plainer(subject))
        if plain_words(short) != plain_words(subject):
            yield from self._rewriting(short, subject, phrases(f"{first[end:]} {rest}"))

    def of_pair(self, short: str, long: str) -> Iterator[Pair]:
        """The same from a short prompt and the long one that was written for it."""
        source = self._typed(short.rstrip(" ."))
        parts = split_sentences(long)
        yield from self._tags(source, phrases(long))
        whole = self._paragraph(long)
        if _begins_well(whole) and one_subject(whole, source) and not Intent(source).lost(whole):
            yield Pair(source=source, target=whole, mode="rewrite", form="paragraph")
        more = self._paragraph(" ".join(parts[1:]), taken=len(source.split()))
        if _begins_well(more) and one_subject(more, source):
            yield Pair(source=source, target=f". {more}", mode="extend", form="paragraph")
        ends = heads(parts[0])
        if ends and _begins_well(parts[0]):
            yield from self._rewriting(source, parts[0][: ends[-1]], phrases(long))

    def of_phrases(self, prompt: str) -> Iterator[Pair]:
        """To extend, from a prompt that lists phrases: those that are things."""
        pair = cut_prompt(prompt)
        head = plain_head(pair.source) if pair else ""
        if pair and may_be_taught(head) and not manner(head):
            clauses = (clause.strip(" .") for clause in split_clauses(pair.target))
            found = (clause for clause in clauses if is_thing(clause))
            kept = fitting(found, head, self._most())
            if len(kept) >= FEWEST:
                yield Pair(source=head, target=", ".join(kept), mode="extend")

    def _most(self) -> int:
        return self.random.randint(FEWEST, MOST)

    def _tags(self, source: str, found: Iterable[str]) -> Iterator[Pair]:
        """To extend by phrases; at times also from a source that has some of them already."""
        kept = fitting(found, source, self._most())
        if len(kept) < FEWEST:
            return
        yield Pair(source=self._with_wish(source, kept), target=", ".join(kept), mode="extend")
        if len(kept) > FEWEST + 1 and self.random.random() < 0.4:
            cut = self.random.randrange(1, len(kept) - FEWEST + 1)
            longer = ", ".join([source, *kept[:cut]])
            yield Pair(source=longer, target=", ".join(kept[cut:]), mode="extend")

    def _rewriting(self, source: str, head: str, found: Iterable[str]) -> Iterator[Pair]:
        """To rewrite in tags: a richer head that keeps what the source asks for, and phrases."""
        kept = fitting(found, head, self._most())
        if len(kept) >= FEWEST and not Intent(source).lost(head):
            bare = re.sub("^the ", "", head[:1].lower() + head[1:])
            yield Pair(source=source, target=", ".join([bare, *kept]), mode="rewrite")

    def _paragraph(self, text: str, *, taken: int = 0) -> str:
        """The first sentences of a text, without talk of the picture; empty where too short."""
        most, kept, count = self.random.randint(55, LONGEST) - taken, list[str](), 0
        for sentence in split_sentences(text):
            if kept and (META.search(sentence) or not plain(sentence)):
                continue
            count += len(sentence.split())
            if count > most:
                break
            kept.append(sentence)
        whole = " ".join(kept)
        return whole if len(whole.split()) + taken >= SHORTEST else ""

    def _with_wish(self, source: str, kept: list[str]) -> str:
        """At times with a style, a light or a "no", where the target goes with it."""
        wish = self.random.choice(_WISHES)
        if self.random.random() > 0.15 or ("no people" in wish and SOMEBODY.search(source)):
            return source
        longer = wish.format(source)
        asked = Intent(longer).text
        if any(contradiction(asked, one, ", ".join(kept[:at])) for at, one in enumerate(kept)):
            return source
        return longer

    def _typed(self, text: str) -> str:
        """As people type: mostly in lower case, at times without the article."""
        if self.random.random() < 0.75:
            text = text[:1].lower() + text[1:]
        if self.random.random() < 0.3:
            text = re.sub(r"^(?:an?|the) ", "", text, flags=re.IGNORECASE)
        return text.strip(" ,.")

    def _plainer(self, text: str) -> str:
        """Without the adjectives that describers add."""
        words = (word for word in text.split() if word.strip(",").lower() not in self.adjectives)
        text = re.sub(r"^(An?) (?=[aeiou])", "an ", " ".join(words), flags=re.IGNORECASE)
        return re.sub(r"^(An?) (?=[^aeiou\W])", "a ", text, flags=re.IGNORECASE).strip(" ,")


def _begins_well(text: str) -> bool:
    """Whether a text is sound, and its first sentence a plain one about the subject."""
    if not sound(text):
        return False
    first = split_sentences(text)[0]
    return plain(first) and not META.search(first) and not _STOCK.match(first)


def describing_adjectives(texts: Iterable[str]) -> frozenset[str]:
    """The commonest ones before the first noun of a text, colours, ages and the like left out."""
    counts: Counter[str] = Counter()
    for text in texts:
        for word in tagged(text[:160])[1:8]:
            if word.letter != "J":
                break
            counts[word.text.lower()] += 1
    return frozenset(word for word, count in counts.items() if count >= 8) - _KEPT_ADJECTIVES


def capped(pairs: list[Pair], generator: random.Random) -> list[Pair]:
    """With phrases of tags left out at random that, or whose last words, are too common."""
    tags = [pair for pair in pairs if pair.form == "tags"]
    ends, whole = Counter[str](), Counter[str]()
    for pair in tags:
        clauses = split_clauses(pair.target)
        ends.update({clause.split()[-1] for clause in clauses})
        whole.update({*clauses})

    def kept(clause: str) -> bool:
        by_end = min(1, MOST_HEAD * len(tags) / ends[clause.split()[-1]])
        return generator.random() < by_end * min(1, MOST_PHRASE * len(tags) / whole[clause])

    result = []
    for pair in pairs:
        if pair.form == "tags":
            clauses = split_clauses(pair.target)
            heads_ = clauses[:1] if pair.mode == "rewrite" else []
            found = [*heads_, *filter(kept, clauses[len(heads_) :])]
            if len(found) < FEWEST - 1:
                continue
            pair = replace(pair, target=", ".join(found))
        result.append(pair)
    return result


def without_articles(text: str) -> str:
    """The words of a text without a, an and the."""
    return re.sub(r"\b(?:an?|the) ", "", plain_words(text))


def rows_of(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a table."""
    for row in read_rows(path):
        assert not isinstance(row, Fault) and isinstance(row.value, Mapping)
        yield row.value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    held = {
        without_articles(line)
        for path in sorted((args.data / "eval").glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
    }
    modern = [str(row["text"]) for row in rows_of(args.data / "modern" / "prompts.parquet")]
    real = rows_of(args.data / "modern" / "pairs.parquet")
    old = [*rows_of(args.data / "prompts.parquet")]
    generator = random.Random(args.seed)
    maker = Maker(generator, describing_adjectives(modern))
    sources = {
        "descriptions": (maker.of_description(text) for text in modern),
        "pairs": (maker.of_pair(row["short"], row["long"]) for row in real),
        "prompts": (
            (maker.of_description if row["source"] in IN_SENTENCES else maker.of_phrases)(
                row["prompt"]
            )
            for row in old
        ),
    }
    found, counts = list[Pair](), Counter[str]()
    for name, several in sources.items():
        for pair in (pair for some in several for pair in some):
            parts = (pair.source, pair.source.split(", ")[0], pair.source.split(" of ", 1)[-1])
            known = any(without_articles(part) in held for part in parts)
            counts[f"{name}: in an evaluation set" if known else f"{name}: {pair.form}"] += 1
            if pair.source and not known:
                found.append(pair)
    generator.shuffle(found)
    found = capped(found, generator)
    write_pairs(args.output, found)
    for name, count in sorted(counts.items()):
        print(f"{count:>7} {name}")


if __name__ == "__main__":
    main()
