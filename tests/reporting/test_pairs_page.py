"""The page of a description: whole, safe, the same each time."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from promptlift.pairs.describe import describe
from promptlift.records import Pair
from promptlift.reporting.pairs_page import write_pairs_page

PAIRS = [
    Pair(source="a red fox <b>", target="soft light, $5 & <script>a(1)</script>", mode="extend"),
    Pair(source="tall ships", target="tall ships at sea, sharp focus"),
]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)


def test_the_page_begins_with_what_the_pairs_hold(tmp_path: Path) -> None:
    many = [*PAIRS, PAIRS[1], Pair(source="old boat", target="old boat at sea, sharp focus")]
    page = tmp_path / "page.html"
    write_pairs_page({**describe(many), "faulty_rows": 1_234}, "pairs", page)
    text = page.read_text(encoding="utf-8")
    # Sources have 4, 2, 2 and 2 words; targets 5, 6, 6 and 6.
    assert (
        "<p class=answer>4 pairs, 1 to extend and 3 to rewrite. "
        "Median words: 2 in a source, 6 in a target.</p>"
    ) in text
    assert "Faulty rows, left out: 1,234." in text
    assert "Pairs that are copies of others: 1. " in text
    assert "Near-duplicates of others: 0 of 3 different prompts." in text
    assert "The longest source has 4 words, the longest target 6 words." in text
    assert "3 different sources and 3 different targets." in text
    assert text.count("<section") == 5 and text.count("<details") == 4
    write_pairs_page(describe(many[1:]), "pairs", page)
    assert ">3 pairs, all to rewrite." in page.read_text(encoding="utf-8")


def test_one_pair_is_told_in_the_singular(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_pairs_page(describe([Pair(source="cat", target="cat, <b>moody</b>")]), "pairs", page)
    text = page.read_text(encoding="utf-8")
    assert ">1 pair, to rewrite. Median words: 1 in a source, 2 in a target.<" in text
    assert "1 different source and 1 different target." in text
    assert "Near-duplicates of others: 0 of 1 different prompt." in text
    assert "The longest source has 1 word, the longest target 2 words." in text
    assert "Commonest words in sources: cat; in targets: cat and moody." in text


def test_the_page_holds_its_plots_and_no_markup_of_prompts(tmp_path: Path) -> None:
    found = describe(PAIRS)
    for name in ("one.html", "two.html"):
        write_pairs_page(found, "<pairs>.jsonl", tmp_path / name)
    page = (tmp_path / "one.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "two.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.seen.count("svg") == 6
    assert tags.seen.count("script") == 1 and "b" not in tags.seen
    assert "&lt;pairs&gt;.jsonl" in page
    # Nothing is fetched: addresses stand in names of formats alone.
    assert not re.search(r'(?:src|href)="https?:', page.replace("xlink:href", ""))
    for plot in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(plot)
