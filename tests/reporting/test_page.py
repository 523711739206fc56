"""The shell: what it is given stays text, whatever it is."""

from hypothesis import given
from hypothesis import strategies as st

from promptlift.reporting.page import (
    Html,
    Section,
    bullets,
    cards,
    escape,
    facts,
    figure,
    join,
    note,
    page,
    paragraph,
    printable,
    subsection,
    table,
)
from tests.reporting.conftest import Tags

TEXTS = st.text(st.characters(), min_size=1, max_size=30) | st.sampled_from(
    ["</p><script>alert(1)</script>", '"><img src=x onerror=a()>', "<!--", "&lt;", "\0\x0b\ud800"]
)


def whole(text: str) -> str:
    parts = [
        subsection(text, paragraph(text), note(text)), bullets([text]), facts({text: text}),
        table([(text, text)], (text, text), numbers=True), figure(Html("<svg></svg>"), text),
        cards([[(text, text)]]),
    ]  # fmt: skip
    return page(text, [Section(text, join(parts)), Section("two", escape(text))])


@given(TEXTS)
def test_no_text_becomes_markup(text: str) -> None:
    ordinary, found = Tags(whole("word")), Tags(whole(text))
    assert found.seen == ordinary.seen
    assert found.attributes == ordinary.attributes
    whole(text).encode("utf-8")


@given(TEXTS)
def test_text_is_shown_as_it_is(text: str) -> None:
    shown = Tags(f"<p>{escape(text)}</p>").text
    assert shown == printable(text)
    assert shown == text or printable(text) != text


def test_a_page_allows_neither_scripts_nor_other_hosts() -> None:
    found = whole("word")
    assert "default-src 'none'" in found
    assert "script" not in Tags(found).seen


def test_contents_lead_to_sections() -> None:
    found = Tags(whole("word"))
    places = {value for name, value in found.attributes if name == "id"}
    links = [value for name, value in found.attributes if name == "href"]
    assert links and {str(link)[1:] for link in links} == places


def test_one_section_needs_no_contents() -> None:
    assert "nav" not in Tags(page("a", [Section("b", paragraph("c"))])).seen
