"""The shell: what it is given stays text, whatever it is."""

import base64
import hashlib
import re

from hypothesis import given
from hypothesis import strategies as st

from promptlift.reporting.page import (
    NOTHING,
    Html,
    Section,
    asset,
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


def test_a_page_allows_its_own_script_alone_and_no_other_host() -> None:
    found = whole("word")
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', found)
    digest = base64.b64encode(hashlib.sha256(asset("page.js").encode()).digest()).decode()
    assert policy.startswith("default-src 'none';") and policy.endswith(
        f"img-src data:; script-src 'sha256-{digest}'"
    )
    assert found.count("<script") == 1 and f"<script>{asset('page.js')}</script>" in found


def test_contents_lead_to_sections() -> None:
    found = Tags(whole("word"))
    places = {value for name, value in found.attributes if name == "id"}
    links = [value for name, value in found.attributes if name == "href"]
    assert links and {str(link)[1:] for link in links} == places - {"contents", "unfold"}


def test_one_section_needs_no_contents() -> None:
    assert not {"nav", "script"} & {*Tags(page("a", [Section("b", paragraph("c"))])).seen}


def test_a_finding_stands_above_what_is_folded() -> None:
    body = join([table([("a", "1")]), table([("b", "2")]), figure(Html("<svg></svg>"))])
    found = page("a", [Section("b", body, "It is <so>."), Section("c", body)])
    assert found.count("<details>") == 1
    folded = found[found.index("<details>") :]
    assert "<p class=finding dir=auto>It is &lt;so&gt;.</p>\n<details>" in found
    assert folded.startswith(f"<details><summary>2 tables, 1 plot</summary>\n{body}</details>")
    assert "<details>" not in page("a", [Section("b", NOTHING, "Only this.")])
