"""Which language a prompt is in, as far as it matters: English or not."""

import re
import unicodedata

from promptlift.prompts.lexicon.words import target_words

# Frequent short words that English lacks, or has in other places only.
_FUNCTION_WORDS = {
    "German": "der die das den dem des ein eine einen einem einer eines und mit im ist auf von für "
    "zwei drei ohne über unter nicht sind am zum zur vor hinter",
    "French": "le la les un une des du et avec dans sur est au aux deux trois sans sous devant "
    "derrière qui ne pas l' d'",
    "Spanish": "el la los las un una unos unas y con en sobre es del al de dos tres sin bajo que "
    "por para está",
    "Italian": "il lo la gli un una uno e con nel nella sul sulla di del della dei due tre senza "
    "sotto che per è",
    "Portuguese": "o os um uma uns umas e com em no na nos nas sobre de do da dos das dois duas "
    "três sem que para é",
    "Dutch": "de het een en met op van voor zonder twee drie onder naast niet zijn aan bij",
    "Polish": "w na z i do pod nad przed bez dwa trzy jest się przy ze",
    "Swedish": "en ett och med på av för utan två tre under är som",
    "Turkish": "bir ve ile için iki üç altında üzerinde olan",
    "Indonesian": "seorang seekor sebuah di dan dengan yang dari dua tiga tanpa pada",
}
_ENGLISH = frozenset((
    "a", "an", "the", "and", "or", "of", "in", "on", "at", "with", "from", "to", "by", "for", "is",
    "are", "its", "his", "her",
))  # fmt: skip
_SCRIPTS = {
    "CYRILLIC": "Russian or another language in Cyrillic letters",
    "CJK": "Chinese or Japanese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "ARABIC": "Arabic or another language in Arabic letters",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Hindi or another language in Devanagari",
    "BENGALI": "Bengali",
    "THAI": "Thai",
    "GREEK": "Greek",
    "GEORGIAN": "Georgian",
    "ARMENIAN": "Armenian",
    "TAMIL": "Tamil",
    "TELUGU": "Telugu",
}
_CERTAIN = 3  # different function words of another language, none of English
_LONGEST_RUN = 7  # words of which one at least is a function word
_WORD = re.compile(r"[^\W\d_]+'?")
_LISTS = {name: frozenset(words.split()) for name, words in _FUNCTION_WORDS.items()}
_ALL = frozenset[str]().union(*_LISTS.values())


def foreign_language(text: str) -> str | None:
    """The language of a text that is not English, None where it may be English.

    Letters of other scripts decide at once. In Latin letters a language is only said where two
    different function words of it are there, are frequent and outnumber the English ones, and
    half of the other words are in no English dictionary, or a third function word is there and no
    English one: a wrong "this is not English" annoys more than a missed one ("van Gogh").
    """
    scripts: dict[str, int] = {}
    letters = [] if text.isascii() else [char for char in text if char.isalpha()]
    for char in letters:
        if not char.isascii():
            script = unicodedata.name(char, "").split(" ")[0].split("-")[0]
            if script in _SCRIPTS:
                scripts[script] = scripts.get(script, 0) + 1
    if scripts and sum(scripts.values()) * 3 > len(letters):
        if {"HIRAGANA", "KATAKANA"} & set(scripts):
            return "Japanese"
        return _SCRIPTS[max(scripts, key=lambda script: scripts[script])]
    words = [word.lower() for word in _WORD.findall(text)]
    if len(_ALL.intersection(words)) < 2:
        return None
    hits = {name: sum(word in known for word in words) for name, known in _LISTS.items()}
    best = max(hits, key=lambda name: hits[name])
    english = sum(word in _ENGLISH for word in words)
    content = [word for word in words if word not in _LISTS[best] and len(word) > 1]
    unknown = sum(word not in target_words() for word in content)
    different = len(_LISTS[best].intersection(words))
    often = different > 1 and hits[best] > english and hits[best] * _LONGEST_RUN >= len(words)
    # Names and loan words are in English dictionaries too: many function words say enough.
    certain = not english and different >= _CERTAIN
    if often and content and (certain or unknown * 2 > len(content)):
        return best
    return None
