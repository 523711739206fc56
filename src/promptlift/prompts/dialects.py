"""The marks of each tool's prompt language, one a line: to teach the parser a tag, add it here.

Each mark has a kind; the role of its kind says what it does to the text and where additions may go.
The first form that matches wins. `HINTS` and `PLAIN`, for speed, must let every form through.
"""

from dataclasses import dataclass

# What the kind of a span says of it. Additions follow "words". They never follow the others:
# "aside" is read, but it is another field of a JSON prompt; "part" begins a part of its own;
# "frame" is what a prompt stands in; "tag", "weight", "flag", "comment" and "negative" are what
# they say.
ROLES = {
    "text": "words",
    "escape": "words",
    "mark": "words",
    "embedding": "words",
    "wildcard": "words",
    "doubt": "words",
    "variable": "words",
    "emphasis": "words",
    "suffix": "words",
    "aside": "aside",
    "frame": "frame",
    "break": "part",
    "and": "part",
    "section": "part",
    "call": "part",
    "tag": "tag",
    "weight": "weight",
    "share": "weight",
    "flag": "flag",
    "comment": "comment",
    "negative": "negative",
    "settings": "negative",
}

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_LINE = r"(?:\A|(?<=\n))[^\S\n]*"
_OPTION = r"(?:\[[^\[\]<>\n]*\])?"
_QUOTED = r'"(?:\\.|[^"\\\n])*"'
_HEX = r"[0-9a-fA-F]{3,8}(?!\w)"
# Flags of Midjourney that take a value; others are taken to stand alone.
_VALUED = (
    "ar|aspect|v|version|q|quality|s|stylize|c|chaos|seed|sameseed|stop|niji|style|iw|w|weird|r|"
    "repeat|sw|sv|cw|ow|exp|steps|cfg|width|height"
)
_LISTED = "sref|cref|oref|p|profile|personalize"  # codes and addresses, several of them
_UNWANTED = r"no|neg|negative|negative[_-]prompt"
BREAKS = "BREAK|ADDCOMM|ADDBASE|ADDCOL|ADDROW"
# Tags of SwarmUI that stand for words, which may hold further tags.
CHOICES = "random|alternate|alt|fromto|setvar|setmacro|repeat|wildcard|wc"
# To the next flag, if there is one.
_TO_FLAG = r"(?:(?!\s--\w)[^\n])*"


@dataclass(frozen=True)
class Mark:
    """A form of a tool's prompt language.

    Attributes:
        kind: of the spans, a key of `ROLES`, or "open" for a tag that holds words or tags.
        form: regular expression without groups that capture.
        tools: who reads it so.
    """

    kind: str
    form: str
    tools: str


MARKS = (
    Mark(
        "negative",
        rf"(?:{_LINE})?(?<![\w-])[*_]{{0,2}}(?i:negative[ _-]prompts?)[*_]{{0,2}}[^\S\n]*:[\s\S]*",
        "A1111 infotext",
    ),
    Mark(
        "negative",
        rf"{_LINE}[*_]{{0,2}}(?i:neg(?:ative)?s?|uc|undesired content|negative prompts?)"
        r"[*_]{0,2}[^\S\n]*:[\s\S]*",
        "what people write above it",
    ),
    Mark("tag", r"\A\s*(?:/imagine\b(?:\s+prompt:)?|(?i:positive prompt|prompt)s?:)", "Midjourney"),
    Mark(
        "settings",
        r"(?<!\S)(?i:Steps|Seed|CFG scale): \d[^,\n]*, "
        r"(?i:Sampler|Schedule(?:r| type)|Seed|CFG|CFG scale|Size|Model|VAE|promptlift source)"
        r": [\s\S]*",
        "A1111 infotext",
    ),
    # At the start of a line a blank after it makes a heading, which A1111 takes for a comment.
    Mark("negative", r"(?:(?<=[^\n])|(?!#{3,}(?:\s|\Z)))###[\s\S]*", "AI Horde"),
    Mark(
        "comment",
        # A line of its own; but one line alone may be hashtags, a colour is a colour, and "# 1" a
        # rank.
        rf"(?<=\n)[^\S\n]*#(?!{_HEX})[^\n]*|\A[^\S\n]*(?:#(?!{_HEX})[^\n]*(?=\n)|###[^\n]*)"
        r"|(?:(?<![^\s,;])|(?<=\*/))#{1,2}(?!\S)(?!\s*\d)[^\n]*",
        "A1111, Forge, SD.Next, Dynamic Prompts",
    ),
    Mark("comment", r"(?:(?<![^\s,;])|(?<=\*/))//[^\n]*", "ComfyUI, reForge, Dynamic Prompts"),
    Mark("block", r"/\*", "ComfyUI, reForge, Dynamic Prompts"),
    # Some tools cut the line here as well, others read it.
    Mark("doubt", r"#+|//", "A1111, reForge"),
    Mark("escape", r"\\[()\[\]{}<>|:\\]", "A1111, ComfyUI"),
    Mark(
        "section",
        rf"<(?:segment|object|region|extend){_OPTION}:[^<>\n]*>"
        rf"|<(?:base|refiner|video|videoswap|break){_OPTION}>",
        "SwarmUI",
    ),
    Mark(
        "section", r"\b(?:COUPLE(?:\([^()\n]*\)|(?=\s+I?MASK\())|AVG\([^()\n]*\))", "prompt-control"
    ),
    Mark("tag", r"<set(?:var|macro)\[[^\[\]<>\n]*,\s*false\s*\]:[^<>\n]*>", "SwarmUI"),
    Mark("wildcard", rf"<(?:wildcard|wc|var|macro)(?::|(?=\[)){_OPTION}:?[^<>\n]*>", "SwarmUI"),
    Mark("open", rf"<(?:{CHOICES}){_OPTION}:", "SwarmUI"),
    Mark("tag", rf"<[A-Za-z]\w*{_OPTION}:[^<>\n]*>", "A1111, Forge, SD.Next, SwarmUI"),
    Mark("open", rf"<[A-Za-z]\w*{_OPTION}:", "SwarmUI"),
    Mark("embedding", r"<[A-Za-z0-9_][^<>\s:|]*>", "diffusers, InvokeAI"),
    Mark("embedding", r"(?<!\w)embedding:[\w./\\-]*\w", "ComfyUI"),
    Mark("wildcard", r"__[~@!]?(?!_)[\w/*.-]+?(?:\([^()\n]*\))?__(?!_)", "Dynamic Prompts"),
    Mark("variable", r"\$\{[^{}$\n]*\}", "Dynamic Prompts"),
    Mark("break", rf"\b(?:{BREAKS})\b", "A1111, Regional Prompter"),
    Mark("and", r"\bAND\b", "A1111"),
    Mark(
        "tag",
        r"\b(?:I?MASKW?|MASK_SIZE|AREA|FEATHER|FILL|ATTN|NOISE|STYLE|SHIFT|SHUFFLE|SDXL|TE|CUT|SEG"
        r"|NOSTRIP|withLora|useLora)\([^()\n]*\)"
        r"|\bDEF\((?:[^()\n]|\([^()\n]*\))*\)",
        "prompt-control, compel",
    ),
    Mark(
        "flag",
        rf"(?<!\S)(?:--(?:{_UNWANTED})(?!\S)(?:(?!\s--\w)[\s\S])*"
        rf"|--[a-z][\w-]*(?:[ =]+{_QUOTED})+"
        rf"|--[a-z][\w-]*{_TO_FLAG}(?=\s--\w)"
        rf"|--(?:{_LISTED})(?![\w-]){_TO_FLAG}"
        rf"|--(?:{_VALUED})(?![\w-])(?:[ =]+(?!--)[^\s,]+)?"
        r"|--[a-z][\w-]*"
        r"|—(?:ar|v|s|q|niji|style)(?!\w)(?:[ =]+[^\s,]+)?)",  # a dash that phones make of two
        "Midjourney, A1111 prompts from file",
    ),
    Mark("suffix", r"\.(?:swap|attend)\((?:[^()\n]|\([^()\n]*\))*\)", "compel, InvokeAI"),
    Mark("suffix", r'(?<=\()"(?=[^"\n]*"\)[\d.+-])|"(?=\)[\d.+-])', "compel, InvokeAI"),
    Mark("suffix", rf"(?<=\))(?:\++|-+|{NUMBER})(?![\w.])", "compel, InvokeAI"),
    Mark("suffix", r'(?:(?<=[\w.!?]")|(?<=[^\W\d_]{2}))(?:\++|--+)(?![\w+-])', "compel, InvokeAI"),
    Mark(
        "weight",
        rf":\s*{NUMBER}\s*(?=\))|\s+:\s*{NUMBER}(?=\s*(?:\bAND\b|\Z))",
        "A1111, ComfyUI",
    ),
    Mark("emphasis", rf"(?<![^\s,;:(\[{{|]){NUMBER}::", "NovelAI"),
    Mark("share", rf"::(?:{NUMBER})?", "Midjourney"),  # hot::2 dog
)
# No form but text matches without one of these; most prompts have none. The search is fast as the
# first character is always one of a set.
HINTS = (
    r"[()\[\]{}<>|:\\—#+`_/BA-](?:(?<=[()\[\]{}<>|:\\—#+`])"
    r"|(?<=_)_|(?<=-)-|(?<=/)[/*]|(?<=B)REAK|(?<=A)(?:ND|DD[CBR]))"
)
# Words that no form begins with, and what is between them.
_NONE_BEGINS = r"(?!embedding:|neg|withL|useL|steps:|seed:|cfg|uc:|undesired|positive|prompts?:)"
PLAIN = rf"{_NONE_BEGINS}[a-z]+(?:,? {_NONE_BEGINS}[a-z]+)*"
