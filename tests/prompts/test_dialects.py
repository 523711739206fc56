"""Prompts of each tool: the kinds of issues that people reported, each with its right answer.

`+` stands where additions go. Where a tool's own parser can be had, it reads the result too.
"""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest
from dynamicprompts.parser.parse import parse as dynamic_parse
from hypothesis import assume, example, given
from hypothesis import strategies as st

from promptlift import Improver
from promptlift.prompts import syntax
from promptlift.prompts.dialects import MARKS, ROLES
from promptlift.prompts.reading import read
from promptlift.prompts.syntax import parse, render

KINDS = {
    "a-comments": [
        ("a cat # a dog too", "a cat, + # a dog too", "a cat"),
        ("a cat // a dog too", "a cat, + // a dog too", "a cat"),
        ("a cat /* a dog */", "a cat, + /* a dog */", "a cat"),
        ("a cat /* a dog */, hat", "a cat /* a dog */, hat, +", "a cat, hat"),
        ("a cat # red\na dog # blue", "a cat # red\na dog, + # blue", "a cat a dog"),
        ("# title\na cat", "# title\na cat, +", "a cat"),
        ("a cat,\n#a dog,\nhat", "a cat,\n#a dog,\nhat, +", "a cat, hat"),
        ("a cat, /* never closed", "a cat, +, /* never closed", "a cat, /* never closed"),
        # Doubtful: some tools cut here.
        ("a cat, #02eb3c eyes", "a cat, +, #02eb3c eyes", "a cat, #02eb3c eyes"),
        ("tag#tag, hat", "+, tag#tag, hat", "tag#tag, hat"),
        ("(hat, #fff cat:1.2)", "+, (hat, #fff cat:1.2)", "hat, #fff cat"),
        ("a cat, see https://x.org/y", "a cat, +, see https://x.org/y", "a cat, see https://x.org/y"),
        ("a cat\n#ff0000 dog", "a cat, +\n#ff0000 dog", "a cat #ff0000 dog"),
        ("a #fff cat\na dog", "a #fff cat\na dog, +", "a #fff cat a dog"),
        ("#selfie #cat", "+, #selfie #cat", "#selfie #cat"),
        ("a cat, pixiv # 1 ranking", "a cat, +, pixiv # 1 ranking", "a cat, pixiv # 1 ranking"),
    ],
    "b-compel": [
        (
            '("polar bear","spy").blend(1,1)',
            '("polar bear, +","spy, +").blend(1,1)',
            "polar bear, spy",
        ),
        ('("a","b").and()', '("a, +","b, +").and()', "a, b"),
        (
            '("a cat, hat", "a (dog)1.2").and(1, 0.5)',
            '("a cat, hat, +", "a (dog)1.2, +").and(1, 0.5)',
            "a cat, hat, a dog",
        ),
        ("(cat, dog).blend(1, 1)", "(cat, dog).blend(1, 1)", ""),
        ('("a b")1.3', '("a b")1.3, +', "a b"),
        ('("a","b").and() --ar 1:1', '("a, +","b, +").and() --ar 1:1', "a, b"),
        ('say ("a","b").and() now', 'say ("a","b").and() now', ""),
        ("a dark (forest)1.3", "a dark (forest)1.3, +", "a dark forest"),
        ("a forest++, hat--", "a forest++, hat--, +", "a forest, hat"),
        ("a (red hat)--", "a (red hat)--, +", "a red hat"),
        ("cat.swap(dog) on a mat", "cat.swap(dog) on a mat, +", "cat on a mat"),
        ("a cat, withLora(x, 0.5)", "a cat, + withLora(x, 0.5)", "a cat"),
        ('18+ C++ code, a+b, a "+"', '18+ C++ code, a+b, a "+", +', '18+ C++ code, a+b, a "+"'),
    ],
    "c-swarmui": [
        ("a field with <random:cat,dog>", "a field with <random:cat,dog>, +", "a field with cat"),
        (
            "a knight, castle <segment:face> blue eyes",
            "a knight, castle, + <segment:face> blue eyes",
            "a knight, castle",
        ),
        ("<setvar[p]:x>", "<setvar[p]:x>, +", "x"),
        ("<random: a <lora:x:1>, b>", "<random: a <lora:x:1>, b>, +", "a"),
        ("a <random:red, hot|blue> hat", "a <random:red, hot|blue> hat, +", "a red, hot hat"),
        ("<random[1-2,]:a|b> <wildcard:my/hats>", "<random[1-2,]:a|b> <wildcard:my/hats>, +",
         "a, b my hats"),
        ("a <fromto[0.5]:cat,horse>, <var:p>", "a <fromto[0.5]:cat,horse>, <var:p>, +",
         "a horse, p"),
        ("a cat <param[cfg]:<random:1,2>>", "a cat <param[cfg]:<random:1,2>>, +", "a cat"),
        ("a cat <setvar[p,false]:hat>", "a cat, + <setvar[p,false]:hat>", "a cat"),
        ("a cat <comment: ask Ann> <break> a dog", "a cat, + <comment: ask Ann> <break> a dog",
         "a cat"),
        ("a hill <region:0,0,1,1> a cat", "a hill, + <region:0,0,1,1> a cat", "a hill"),
        ("a hill <refiner> sharp", "a hill, + <refiner> sharp", "a hill"),
        ("a < b, a <cat: unclosed", "a < b, a <cat: unclosed, +", "a < b, a <cat: unclosed"),
    ],
    "d-negative": [
        (
            '--prompt "a cat" --negative_prompt "blurry"',
            '--prompt "a cat, +" --negative_prompt "blurry"',
            "a cat",
        ),
        ("--steps 9 --prompt a cat --neg dog", "--steps 9 --prompt a cat, + --neg dog", "a cat"),
        ("a dog###blurry", "a dog, + ###blurry", "a dog"),
        ("a dog ### blurry", "a dog, + ### blurry", "a dog"),
        ("###blurry", "###blurry", ""),
        ("a dog\n###blurry\nugly", "a dog, +\n###blurry\nugly", "a dog"),
        ("### Title\na dog", "### Title\na dog, +", "a dog"),
        ("a cat Negative prompt: dog", "a cat, + Negative prompt: dog", "a cat"),
        ("a cat\nnegative prompt: dog", "a cat, +\nnegative prompt: dog", "a cat"),
        ("a cat --negative dog, hat", "a cat, + --negative dog, hat", "a cat"),
        (
            "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7",
            "a cat, +\nSteps: 20, Sampler: Euler a, CFG scale: 7",
            "a cat",
        ),
        (
            'a cat Seed: 3, promptlift source: "a, b", Model: x',
            'a cat, + Seed: 3, promptlift source: "a, b", Model: x',
            "a cat",
        ),
        ("a cat\nNegative: dog", "a cat, +\nNegative: dog", "a cat"),
        ("a cat\n**Negative Prompt:** dog", "a cat, +\n**Negative Prompt:** dog", "a cat"),
        ("a cat\nUC: dog", "a cat, +\nUC: dog", "a cat"),
        ("a cat\nUndesired Content: dog", "a cat, +\nUndesired Content: dog", "a cat"),
        ("a dog\nSteps: 20, Sampler: Euler a", "a dog, +\nSteps: 20, Sampler: Euler a", "a dog"),
        ("a cat, steps: 20, cfg: 7", "a cat, + steps: 20, cfg: 7", "a cat"),
        ("--prompt 'a cat' --steps 9", "--prompt 'a cat, +' --steps 9", "a cat"),
        ("/imagine prompt: a cat --v 7", "/imagine prompt: a cat, + --v 7", "a cat"),
        ("Positive prompt: a cat", "Positive prompt: a cat, +", "a cat"),
        ("Soup, Steps: 3, Time: 20", "Soup, Steps: 3, Time: 20, +", "Soup, Steps: 3, Time: 20"),
        ("a negative space logo: a cat", "a negative space logo: a cat, +",
         "a negative space logo: a cat"),
        ("Steps: of stone, a cat", "Steps: of stone, a cat, +", "Steps: of stone, a cat"),
    ],
    "f-novelai": [
        ("1girl, -1::hat::", "1girl, -1::hat::, +", "1girl, hat"),
        ("1.5::rain, night::, moon", "1.5::rain, night::, moon, +", "rain, night, moon"),
        ("a cat, -1::hat", "a cat, +, -1::hat", "a cat, hat"),
        ("20::best quality, absurdres:: cat", "20::best quality, absurdres:: cat, +",
         "best quality, absurdres cat"),
        ("-1::hat::0.5::coat::", "-1::hat::0.5::coat::, +", "hat coat"),
        ("1.2::a::-1::b::", "1.2::a::-1::b::, +", "a b"),
        ("1.2::red::1girl, sky", "1.2::red::1girl, sky, +", "red 1girl, sky"),
        ("1girl, -1:: hat ::", "1girl, -1:: hat ::, +", "1girl, hat"),
        ("-.5::hat", "+, -.5::hat", "hat"),
        ("hot dog::2 sky::1", "hot dog::2 sky, + ::1", "hot dog sky"),  # Midjourney
        ("year 2000::2 sky::1", "year 2000::2 sky, + ::1", "year 2000 sky"),
        ("{0.5::red|2::blue} cat", "{0.5::red|2::blue} cat, +", "blue cat"),
        ("[dog::5] cat", "[dog::5] cat, +", "dog cat"),
    ],
    "g-flags": [
        ("a castle --sref 111 222 333 --cw 50", "a castle, + --sref 111 222 333 --cw 50",
         "a castle"),
        ("a castle --sref 111 222", "a castle, + --sref 111 222", "a castle"),
        ("a castle --p ab12 cd34 --v 7", "a castle, + --p ab12 cd34 --v 7", "a castle"),
        ("a castle --cref https://x.org/a.png https://x.org/b.png::2 --ar 1:1",
         "a castle, + --cref https://x.org/a.png https://x.org/b.png::2 --ar 1:1", "a castle"),
        ("a castle --style raw old --s 50", "a castle, + --style raw old --s 50", "a castle"),
        ("a castle --ar 16:9, a cat", "a castle --ar 16:9, a cat, +", "a castle, a cat"),
    ],
    "h-json": [
        ('{"subject": "cat", "style": "photo"}', '{"subject": "cat, +", "style": "photo"}',
         "cat, photo"),
        ('```json\n{"prompt": "a cat"}\n```', '```json\n{"prompt": "a cat, +"}\n```', "a cat"),
        ('{"scene": "a hill"}\n---\nmore', '{"scene": "a hill, +"}\n---\nmore', "a hill"),
        ('{"caption": "a \\"b\\" cat", "id": "x"}', '{"caption": "a \\"b\\" cat, +", "id": "x"}',
         'a "b" cat'),
        ('{"subjects": [{"description": "cat"}], "scene": "hill"}',
         '{"subjects": [{"description": "cat"}], "scene": "hill, +"}', "cat, hill"),
        ('{"scene": "cat", "palette": ["#ff0000"]} --ar 1:1',
         '{"scene": "cat, +", "palette": ["#ff0000"]} --ar 1:1', "cat"),
        ('{"id": "cat"}', '{"id": "cat"}', ""),
        ('{"prompt": "a cat --ar 1:1"}', '{"prompt": "a cat, + --ar 1:1"}', "a cat"),
        ('{"positive": "cat", "uc": "dog"}', '{"positive": "cat, +", "uc": "dog"}', "cat"),
        ('Generate: {"subject": "cat"}', 'Generate: {"subject": "cat, +"}', "cat"),
        ('```\n{"scene": "cat"}\n```\nthanks', '```\n{"scene": "cat, +"}\n```\nthanks', "cat"),
        ('{"scene": "cat"} # note', '{"scene": "cat, +"} # note', "cat"),
        ("```\na cat\n```", "```\na cat, +\n```", "a cat"),
        ('{"prompt": "a cat",}', '{"prompt": "a cat",}', ""),
        ("{'prompt': 'a cat'}", "{'prompt': 'a cat'}", ""),
        ('{"a", a cat}', '{"a", a cat}, +', '"a", a cat'),  # no JSON
    ],
    "functions": [
        ("a cat MASK(0 0.5, 0 1)", "a cat, + MASK(0 0.5, 0 1)", "a cat"),
        ("a cat ATTN()", "a cat, + ATTN()", "a cat"),
        ("a FILL() COUPLE(0.5 1) cat", "a, + FILL() COUPLE(0.5 1) cat", "a"),
        ("STYLE(A1111) a cat AND a dog AREA(0 1)", "STYLE(A1111) a cat, + AND a dog AREA(0 1)",
         "a cat"),
        ("A COUPLE OF CATS", "A COUPLE OF CATS, +", "A COUPLE OF CATS"),
        ("A MASK (red)", "A MASK (red), +", "A MASK red"),
    ],
}  # fmt: skip
CASES = [(kind, *case) for kind, cases in KINDS.items() for case in cases]


@pytest.mark.parametrize(("kind", "prompt", "longer", "words"), CASES, ids=lambda value: str(value))
def test_each_kind(kind: str, prompt: str, longer: str, words: str) -> None:
    reading = read(prompt)
    assert render(parse(prompt)) == prompt
    assert reading.extended(["+"]) == longer
    assert reading.words == words


@pytest.mark.parametrize("prompt", [case[0] for cases in KINDS.values() for case in cases])
def test_what_is_not_added_comes_back_byte_for_byte(bundled: Improver, prompt: str) -> None:
    [result] = bundled.improve(prompt, seed=0, force=True)
    assert result.prompt == read(prompt).extended(list(result.additions))
    left = result.prompt
    for phrase in result.additions:
        left = left.replace(phrase, "", 1 if read(prompt).frame != "call" else -1)
    assert re.sub(r"[\s,]", "", left) == re.sub(r"[\s,]", "", prompt)
    assert bool(result.additions) == bool(read(prompt).words)


def test_h_json_still_parses(bundled: Improver) -> None:
    for prompt, _, words in KINDS["h-json"][:6]:
        [result] = bundled.improve(prompt, seed=0, force=True)
        start = result.prompt.index("{")
        value, _ = json.JSONDecoder().raw_decode(result.prompt, start)
        before, _ = json.JSONDecoder().raw_decode(prompt, prompt.index("{"))
        assert value.keys() == before.keys()
        assert words and result.additions


@pytest.mark.parametrize("prompt", ["a 🐱 astronaut", "👩‍🚀 on the moon", "a ❤️ hat", "🇫🇷 flag, 🐕"])
def test_j_a_rewriting_keeps_symbols(bundled: Improver, prompt: str) -> None:
    """Mended, drawn again or extended: as a lost word would be."""
    symbols = re.findall(r"[^\x00-\x7f]+", prompt)
    for seed in range(3):
        [result] = bundled.improve(prompt, seed=seed, mode="rewrite")
        assert all(symbol in result.prompt for symbol in symbols)
        assert result.checks["lost"] == []
        assert result.notes
    free = bundled.improve(prompt, seed=0, mode="rewrite", keep_intent=False)[0]
    assert {symbol.replace("\ufe0f", "") for symbol in symbols} <= {
        text.replace("\ufe0f", "") for text in free.checks["lost"]
    }


def test_prompts_without_a_place_say_why(bundled: Improver) -> None:
    for prompt, why in (
        (
            '{"id": "cat"}',
            "no text in it is known to describe the picture, or it is not quite JSON",
        ),
        ("(cat, dog).blend(1, 1)", "its function takes additions only in quotation marks"),
        ("# a comment\n", "it has no words"),
    ):
        [result] = bundled.improve(prompt, seed=0)
        assert (result.prompt, result.notes) == (prompt, (f"left alone: {why}",))


def _compel() -> ModuleType:
    """compel's parser without the rest of compel, which loads diffusers."""
    found = importlib.util.find_spec("compel")
    assert found is not None and found.submodule_search_locations
    path = f"{found.submodule_search_locations[0]}/prompt_parser.py"
    spec = importlib.util.spec_from_file_location("compel_prompt_parser", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("prompt", [case[0] for case in KINDS["b-compel"]])
def test_b_compel_reads_the_additions(prompt: str) -> None:
    parser = _compel().PromptParser()
    before, after = (
        parser.parse_conjunction(text) for text in (prompt, read(prompt).extended(["soft light"]))
    )
    assert len(after.prompts) == len(before.prompts)
    assert type(after.prompts[0]) is type(before.prompts[0])
    for part in after.prompts:
        texts = [part] if not hasattr(part, "prompts") else part.prompts
        for text in texts if read(prompt).words else []:
            assert text.children[-1].text.endswith("soft light")
            assert text.children[-1].weight == 1


def a1111_without_comments(prompt: str) -> str:
    """As `modules/processing_scripts/comments.py` of A1111 strips them."""
    prompt = re.sub(r"(^|\n)#[^\n]*(\n|$)", "\n", prompt)
    return re.sub(r"#[^\n]*(\n|$)", "\n", prompt)


def comfyui_without_comments(prompt: str) -> str:
    """As ComfyUI's page strips them before it sends a prompt."""
    return re.sub(r"/\*[\s\S]*?\*/|//.*", "", prompt)


# Pieces of all dialects, each whole or broken.
PIECES = st.sampled_from(
    [
        *(", ", " ", "\n", "a cat", "hat", "(dog:1.2)", "[hat]", "(", ")", "[", "]", "{a|b}", "{"),
        *("# note", "#fff", "tag#tag", "// note", "/* note */", "/*", "https://x.org", "#", "//"),
        *("<lora:x:1>", "<random:a,b>", "<random:", ">", "<segment:face>", "<base>", "<var:p>"),
        *(" --ar 1:1", " --no dogs", " --sref 1 2", " BREAK ", " AND ", " :0.5", "1.2::", "::"),
        *("forest++", "(forest)1.3", "cat.swap(dog)", "MASK(0 1)", " COUPLE(0 1) ", "###bad"),
        *(" Negative prompt: bad", "\nSteps: 20, Sampler: Euler, Seed: 3", "__hat__", "${x}", '"'),
        *('("a","b").blend(1,1)', '{"subject": "cat"}', '--prompt "a cat"', "embedding:bad", "<e>"),
    ]
)  # fmt: skip
MIXED = st.lists(PIECES, max_size=12).map("".join)


@given(MIXED)
@example("a cat, 1.2::hat #fff")
@example("(a #fff\n:1.2), dog")
def test_additions_are_words_outside_of_every_mark(prompt: str) -> None:
    reading = read(prompt)
    longer = reading.extended(["qqq"])
    assume(longer != prompt)
    spans = parse(longer)
    assert render(spans) == longer
    holding = [span for span in spans if "qqq" in span.text]
    assert [span.kind for span in holding] == ["text"] * len(reading.improved)
    depth, weighed = 0, False
    for span in spans:
        if span.kind == "mark":
            depth += span.text in ("(", "[", "{") or span.text[0] == "<"
            depth -= span.text in (")", "]", "}", ">")
        if span.kind == "emphasis":
            weighed = span.text != "::"
        if "qqq" in span.text:
            assert not depth
            assert not weighed
    others = [(span.kind, span.text) for span in spans if span.role not in ("words", "aside")]
    own = [(span.kind, span.text) for span in parse(prompt) if span.role not in ("words", "aside")]
    assert others == own


@given(MIXED)
@example("a cat, tag#tag, hat")
@example("a #fff cat\na dog")
def test_no_tool_takes_additions_for_a_comment(prompt: str) -> None:
    reading = read(prompt)
    longer = reading.extended(["qqq"])
    assume(longer != prompt and reading.frame == "")
    for strip in (a1111_without_comments, comfyui_without_comments):
        if "/*" in prompt and strip is comfyui_without_comments:
            continue  # a box that is opened in one comment and closed in another
        assert "qqq" in strip(longer)
        assert re.sub(r"[\s,]|qqq", "", strip(longer)) == re.sub(r"[\s,]", "", strip(prompt))


OF_DYNAMIC_PROMPTS = st.sampled_from(
    ["a cat", ", ", " # note", " // note", "/* x */", "\n", "{a|b}", " "]
)


@given(st.lists(OF_DYNAMIC_PROMPTS, min_size=1).map("".join))
@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_dynamic_prompts_reads_the_additions(prompt: str) -> None:
    longer = read(prompt).extended(["qqq"])
    assume(longer != prompt)
    assert "qqq" in repr(dynamic_parse(longer))


@pytest.mark.parametrize("prompt", [case[0] for cases in KINDS.values() for case in cases])
def test_shortcuts_change_nothing(prompt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`HINTS` and `PLAIN` let every form through: without them the spans are the same."""
    quick = parse(prompt)
    monkeypatch.setattr(syntax, "_SYNTAX", re.compile(""))
    monkeypatch.setattr(syntax, "_PLAIN", re.compile("(?!)"))
    assert parse(prompt) == quick


def test_every_mark_has_a_role_and_a_tool() -> None:
    for mark in MARKS:
        assert mark.kind in {*ROLES, "open", "block"}
        assert mark.tools
        assert re.compile(mark.form).groups == 0


# What was read rightly before: each comes back, and additions go to its end.
@pytest.mark.parametrize(
    ("prompt", "longer"),
    [
        ("score_9, score_8_up, source_anime, a cat", "score_9, score_8_up, source_anime, a cat, +"),
        ("hatsune_miku_(vocaloid)", "hatsune_miku_(vocaloid), +"),
        ("a cat <lyco:x:1>", "a cat, + <lyco:x:1>"),
        ("a AND b :0.5", "a, + AND b :0.5"),
        ("[dog::5]", "[dog::5], +"),
        ("[a|b]", "[a|b], +"),
        ("${x=__a__} a cat", "${x=__a__} a cat, +"),
        ("{2$$ and $$red|blue} cat", "{2$$ and $$red|blue} cat, +"),
        ("a cat :3", "a cat :3, +"),
        ("portrait, f/2.8", "portrait, f/2.8, +"),
        ("(a [cat, {dog", "(a [cat, {dog, +"),
        ("a cat ADDCOMM a dog", "a cat, + ADDCOMM a dog"),
        ("ROCK AND ROLL", "ROCK AND ROLL, +"),
        ("[a <lora:x:1>:b:0.5]", "[a <lora:x:1>:b:0.5], +"),
    ],
)
def test_no_loss_of_what_passed_before(prompt: str, longer: str) -> None:
    assert read(prompt).extended(["+"]) == longer


DOCS = Path(__file__).parents[2] / "docs" / "syntax.md"
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)` \|", DOCS.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("prompt", "longer"), ROWS, ids=lambda text: str(text))
def test_the_examples_of_the_docs(prompt: str, longer: str) -> None:
    prompt, longer = (text.replace("\\|", "|").replace("⏎", "\n") for text in (prompt, longer))
    assert read(prompt).extended(["+"]) == longer


def test_the_docs_have_examples() -> None:
    assert len(ROWS) == DOCS.read_text("utf-8").count("\n| `") > 30
