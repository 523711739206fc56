"""Pictures on the page of a run: pairs, marks, figures; and that it works in a browser."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import rankdata

from promptlift.pictures import Picture
from promptlift.reporting.gallery import (
    choose,
    figure_text,
    gallery,
)
from promptlift.reporting.glance import SOME
from promptlift.reporting.page import asset, printable
from promptlift.reporting.picture_data import ShownPair, read_pictures
from promptlift.reporting.prompt_marks import marked_prompt
from promptlift.reporting.run_report import write_report
from promptlift.reporting.thumbnails import THUMBNAIL_PX
from promptlift.reporting.wording import interval
from promptlift.runs import Run
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.run import score_pictures
from promptlift.statistics import average_ranks
from promptlift.tables import Row, read_rows
from tests.browser import CHROMIUM, Browser
from tests.reporting.conftest import Tags
from tests.scoring.clip_models import draw_run, make_clip, write_index

ODD = "</script><script>alert(1)</script> <b>two</b> \"signs\" & 'a' שלום"
PROMPTS, SEEDS = 5, (1, 2)


def begin(folder: Path, **more: Any) -> Path:
    """A run that has drawn, and done nothing else."""
    run = Run.open(folder)
    run.begin("illustrating", {}, {})
    run.finish("illustrating", {})
    return draw_run(folder, **more)


def table(path: Path) -> list[dict[str, Any]]:
    return [dict(row.value) for row in read_rows(path)
            if isinstance(row, Row) and isinstance(row.value, Mapping)]  # fmt: skip


def rewrite(run: Path, change: Mapping[str, str], which: int = 0) -> None:
    """Change fields of all rows of one prompt."""
    rows = table(run / "pictures" / "index.parquet")
    write_index(run, [{**row, **change} if row["prompt_index"] == which else row for row in rows])


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", Tags(page).text)


def cards_of(page: str) -> dict[int, str]:
    found = re.findall(r"<article class=pair id=pair-(\d+) .*?</article>", page, re.DOTALL)
    cards = re.findall(r"<article .*?</article>", page, re.DOTALL)
    return dict(zip(map(int, found), cards, strict=True))


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an odd prompt, scored by two models, and its page."""
    folder = tmp_path_factory.mktemp("scored")
    run = begin(folder / "run", prompts=PROMPTS, seeds=SEEDS)
    rewrite(run, {"source": ODD})
    clips = [make_clip(folder / f"clip{seed}", seed=seed) for seed in (0, 3)]
    config = PictureScoringConfig(
        clip=str(clips[0]), preference=str(clips[1]), metrics=("clip", "measures", "pickscore"),
        offline=True,
    )  # fmt: skip
    score_pictures(run, config)
    write_report(run)
    return run


@pytest.fixture
def page(scored: Path) -> str:
    return (scored / "report" / "index.html").read_text(encoding="utf-8")


WORDS = st.lists(
    st.sampled_from(["a", "Red", "red", "fox,", "<b>", "(cat:1.2)", "é", "雪", "'s", "&"])
)
TEXTS = st.builds(" ".join, WORDS) | st.text(max_size=20)


@given(TEXTS, TEXTS)
def test_without_what_was_lost_the_text_is_the_prompts(source: str, prompt: str) -> None:
    marked = marked_prompt(source, prompt)
    assert set(re.findall(r"</?\w+>", marked)) <= {"<mark>", "</mark>", "<del>", "</del>"}
    kept = re.sub(r"<del>.*?</del>", "", marked, flags=re.DOTALL)
    assert html.unescape(re.sub(r"</?mark>", "", kept)) == printable(prompt)
    if source == prompt:
        assert "<mark>" not in marked and "<del>" not in marked


@pytest.mark.parametrize(
    ("source", "prompt", "expected"),
    [
        ("a fox", "A fox, soft light, 4k", "A fox, <mark>soft light, 4k</mark>"),
        ("a red fox", "a fox", "a <del>red </del>fox"),
        ("a fox by night", "a fox", "a fox<del> by night</del>"),
        ("a fox", "a big fox", "a <mark>big</mark> fox"),
        ("two dogs", "", "<del>two dogs</del>"),
    ],
)
def test_additions_are_marked_and_losses_struck_out(
    source: str, prompt: str, expected: str
) -> None:
    assert marked_prompt(source, prompt) == expected


def pair_of(number: int, gains: Mapping[str, float], ranks: Mapping[str, float]) -> ShownPair:
    drawn = Picture(prompt_index=number, seed=0, side="improved", variant=0, path=Path("a.png"),
                    sha256="", prompt="b", source="a")  # fmt: skip
    return ShownPair(number=number, original=drawn, improved=drawn, values={}, of_pair={},
                     gains=gains, ranks=ranks, verdict=None)  # fmt: skip


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(10, 40))
def test_the_best_the_worst_and_the_most_disputed_are_among_those_chosen(
    seed: int, count: int, most: int
) -> None:
    random = np.random.default_rng(seed)
    gains = {name: random.normal(size=count).tolist() for name in ("one", "two")}
    ranks = {name: average_ranks(values) for name, values in gains.items()}
    pairs = [
        pair_of(place, {name: gains[name][place] for name in gains},
                {name: float(ranks[name][place]) for name in gains})
        for place in range(count)
    ]  # fmt: skip
    chosen = [pair.number for pair in choose(pairs, most)]
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, most)
    for values in gains.values():
        assert {int(np.argmax(values)), int(np.argmin(values))} <= set(chosen)
    disputed = max(pair.disagreement or 0.0 for pair in pairs)
    assert any(pairs[place].disagreement == disputed for place in chosen) or disputed == 0


def test_without_scores_pairs_stand_at_equal_distances() -> None:
    pairs = [pair_of(place, {}, {}) for place in range(100)]
    assert [pair.number for pair in choose(pairs, 4)] == [0, 25, 50, 75]


def test_figures_are_short() -> None:
    assert [figure_text(value) for value in (0.0, 31.02773, 0.00012, 4076.2, 0.2209)] == [
        "0", "31.03", "0.0001", "4,076", "0.2209",
    ]  # fmt: skip
    assert figure_text(0.5, "+") == "+0.5000"


def test_drawn_pairs_are_shown_before_they_are_scored(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", variants=2)
    found = write_report(run).read_text(encoding="utf-8")
    assert len(cards_of(found)) == 16
    text = text_of(found)
    assert "All 16 pairs of 4 prompts" in text
    assert f"pictures are not scored yet: promptlift score {run}" in text
    assert "nothing was trained" in text and "no log yet" not in text
    assert "seed 2, variant 1" in text
    # Nothing to choose by.
    assert "name=show" not in found and "name=metric" not in found
    assert not (run / "report" / "win-rates.png").exists()


def test_thumbnails_are_inline_and_whole_pictures_beside(scored: Path, page: str) -> None:
    links = re.findall(r'class=whole href="([^"]+)"', page)
    assert len(links) == 2 * PROMPTS * len(SEEDS)
    for link in links:
        assert link.startswith("../pictures/")
        assert (scored / "report" / link).is_file()
    inline = re.findall(r'<img src="data:image/jpeg;base64,([^"]+)" width=(\d+)', page)
    assert len(inline) == len(links) + 2 * SOME  # at a glance
    for data, width in inline:
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert max(image.size) <= THUMBNAIL_PX and image.width == int(width)
    assert not re.search(r'(?:src|href)="?https?:', page.replace("xlink:href", ""))


def test_a_thumbnail_is_its_picture_made_small(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", prompts=1, seeds=(1,))
    wide = np.zeros((300, 900, 3), np.uint8)
    wide[:, :450] = (250, 0, 0)
    rows = table(run / "pictures" / "index.parquet")
    for row in rows:
        path = run / "pictures" / row["file"]
        Image.fromarray(wide).save(path)
        row["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_index(run, rows)
    found = write_report(run).read_text(encoding="utf-8")
    data = re.findall(r"data:image/jpeg;base64,([^\"]+)", found)[0]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (THUMBNAIL_PX, round(THUMBNAIL_PX / 3))
        left, right = (image.convert("RGB").getpixel((x, 40)) for x in (30, 220))
    assert left == pytest.approx((250, 0, 0), abs=8) and right == pytest.approx((0, 0, 0), abs=8)


def test_prompts_are_never_markup(page: str) -> None:
    assert Tags(page).seen.count("script") == 1
    assert "b" not in Tags(page).seen
    assert ODD in Tags(page).text
    assert f"original picture: {ODD}" not in page  # as an attribute it is escaped
    assert ("alt", f"original picture: {cards_source(page)}") in Tags(page).attributes


def cards_source(page: str) -> str:
    """The prompt that the first original picture shows."""
    found = re.search(r'alt="original picture: ([^"]*)"', page)
    assert found is not None
    return html.unescape(found[1])


def test_only_the_galleries_own_script_may_run(page: str) -> None:
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    script = asset("gallery.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert f"<script>{asset('gallery.js')}</script>" in page
    assert "</" not in script.replace("</script>", "")


def test_the_paper_s_row_is_that_of_scoring(scored: Path, page: str) -> None:
    found = json.loads((scored / "scores" / "pictures.json").read_text())
    section = page[page.index("<h2>CLIPScore, as in the paper") :].split("</section>")[0]
    rows = {cells[0]: cells[1:] for row in re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)
            if (cells := re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL))}  # fmt: skip
    scores = {(system["name"], score["metric"]): score
              for system in found["systems"] for score in system["scores"]}  # fmt: skip
    paper = {("original", "original"): "31.03", ("improved", "improved"): "29.00",
             ("original", "improved"): "29.45", ("improved", "original"): "-"}  # fmt: skip
    for (prompt, picture), figure in paper.items():
        metric = f"clipscore_{prompt}_prompt"
        assert rows[f"{prompt} prompt, {picture} picture"] == [
            interval(scores[f"{picture} pictures", metric]),
            interval(scores[f"{picture} pictures, shuffled captions", metric]),
            figure, str(PROMPTS),
        ]  # fmt: skip


def test_figures_and_verdicts_are_those_of_scoring(scored: Path, page: str) -> None:
    found = json.loads((scored / "scores" / "pictures.json").read_text())
    text = text_of(page)
    alone = found["verdicts"]["left_alone"]
    assert f"{alone['value']:.0%} ({alone['low']:.0%} to {alone['high']:.0%})" in text
    assert found["verdicts"]["rule"] in text
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
            for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)]  # fmt: skip
    for row in found["comparisons"]:
        title = next(one["title"] for one in found["metrics"] if one["name"] == row["metric"])
        shown = [cells for cells in rows if cells[0] == title]
        assert any(interval({**row, "value": row["difference"]}) in cells for cells in shown)
        if "wins" in row:
            counts = [str(row[name]) for name in ("wins", "losses", "ties")]
            assert any(cells[1:4] == counts for cells in shown)
    for name in ("clipscore-pairings", "win-rates", "left-alone", "gains-pickscore"):
        assert (scored / "report" / f"{name}.svg").is_file()
        assert (scored / "report" / f"{name}.png").is_file()


def test_cards_have_the_values_of_their_pair(scored: Path, page: str) -> None:
    cards = cards_of(page)
    names = re.findall(r"<option value=\d+>(.*?)</option>", page)
    assert names[0] == "CLIPScore (original prompt)"
    pairs = table(scored / "scores" / "pairs.parquet")
    metric = "clipscore_original_prompt"
    for number, row in enumerate(pairs, 1):
        card = cards[number]
        assert row["original_file"] in card and row["improved_file"] in card
        values = [row[f"{metric}_{side}_picture"] for side in ("original", "improved")]
        for value in values:
            assert f">{figure_text(value)}</td>" in card
        [gains] = re.findall(r'data-gains="([^"]+)"', card)
        assert json.loads(gains)[0] == pytest.approx(values[1] - values[0])
        verdicts = {(one["prompt_index"], one["variant"]): one["choice"]
                    for one in table(scored / "scores" / "verdicts.jsonl")}  # fmt: skip
        assert f'data-choice="{verdicts[row["prompt_index"], row["variant"]]}"' in card


def test_disagreement_is_the_difference_of_ranks(scored: Path) -> None:
    shown = read_pictures(scored)
    assert shown.opinions == [
        "clipscore_original_prompt", "clipscore_improved_prompt", "pickscore",
    ]  # fmt: skip
    ranks = np.array([
        (rankdata([pair.gains[name] for pair in shown.pairs]) - 1) / (len(shown.pairs) - 1)
        for name in shown.opinions
    ])  # fmt: skip
    found = [pair.disagreement for pair in shown.pairs]
    assert found == pytest.approx(ranks.max(axis=0) - ranks.min(axis=0))


def test_a_page_says_how_many_pairs_it_leaves_out(scored: Path, tmp_path: Path) -> None:
    section = gallery(read_pictures(scored), tmp_path, most=6)
    assert len(cards_of(section.body)) == 6
    assert "6 of 10 pairs of 5 prompts" in section.body
    assert "The other 4 pairs are left out" in section.body


def test_a_page_elsewhere_finds_the_pictures(tmp_path: Path) -> None:
    run = begin(tmp_path / "a run #1 100%", prompts=1)
    found = write_report(run, tmp_path / "pages" / "one").read_text(encoding="utf-8")
    links = re.findall(r'class=whole href="([^"]+)"', found)
    assert links
    for link in links:
        assert "#" not in link and (tmp_path / "pages" / "one" / unquote(link)).is_file()


@pytest.mark.slow
def test_a_page_with_pictures_is_the_same_each_time(scored: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(scored, tmp_path / scored.name))
    before = (again / "report" / "index.html").read_bytes()
    assert write_report(again).read_bytes() == before.replace(
        str(scored).encode(), str(again).encode()
    )


def test_scores_of_other_pictures_are_left_out(scored: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(scored, tmp_path / "run"))
    rewrite(run, {"prompt": "another"}, which=1)
    text = text_of(write_report(run).read_text(encoding="utf-8"))
    assert "belongs to pictures that were drawn earlier" in text
    assert "Win rates" not in text and "All 10 pairs" in text


def test_a_picture_that_is_gone_is_named(scored: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(scored, tmp_path / "run"))
    pictures = sorted((run / "pictures").glob("*.png"))
    pictures[0].unlink()
    pictures[1].write_bytes(b"no picture")
    said: list[str] = []
    found = write_report(run, report=said.append).read_text(encoding="utf-8")
    assert found.count("class=lost") == 4  # at a glance, and in the gallery
    for path in pictures[:2]:
        assert any(str(path) in line for line in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "line"),
    [
        ({"pictures/index.parquet": None}, "drawing has not finished"),
        ({"pictures/index.parquet": b"PAR1"}, "index.parquet was left out"),
        ({"scores/pictures.json": b"{"}, "pictures.json cannot be read and was left out"),
        ({"scores/pairs.parquet": b"x"}, "pairs.parquet was left out"),
        ({"scores/verdicts.jsonl": b"{\n"}, "verdicts.jsonl: 1 rows"),
    ],
)
def test_damage_is_named_and_the_rest_shown(
    damage: dict[str, bytes | None], line: str, scored: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(scored, tmp_path / "run"))
    for name, content in damage.items():
        (run / name).unlink()
        if content is not None:
            (run / name).write_bytes(content)
    assert sum(line in one for one in read_pictures(run).missing) == 1
    text = text_of(write_report(run).read_text(encoding="utf-8"))
    assert line in text
    assert ("All 10 pairs" in text) == ("pictures/index.parquet" not in damage)


def test_pictures_of_one_side_make_no_gallery(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", sides=("original",))
    found = write_report(run).read_text(encoding="utf-8")
    assert "<h2>Pictures</h2>" in found and "<h2>Gallery</h2>" not in found
    assert "script" not in Tags(found).seen


# In a browser.


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = Browser(Path(folder))
        yield found
        found.close()


IN_VIEWER = (
    "document.getElementById('viewer').open && document.getElementById('viewer-title').textContent"
)
LOADED = (
    "[...document.querySelectorAll('#viewer img')].filter(i => i.complete && i.naturalWidth).length"
    " === 2"
)
SHOWN = "[...document.querySelectorAll('.pair:not([hidden])')].map(p => Number(p.id.slice(5)))"
FOCUS = "document.activeElement.closest('.pair')?.id"


@pytest.mark.slow
def test_the_address_of_a_pair_opens_it(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html", "#pair-3")
    assert browser.run(IN_VIEWER) == "Pair 3: prompt 1, seed 1 (3 of 10)"
    browser.wait(LOADED)
    sources = browser.run("[...document.querySelectorAll('#viewer img')].map(i => i.src)")
    assert [Path(source).name for source in sources] == [
        "000001-1-original-0.png", "000001-1-improved-0.png",
    ]  # fmt: skip
    assert not browser.complaints


@pytest.mark.slow
def test_keys_lead_through_the_pairs_and_back(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html")
    browser.click("#pair-2 .whole")
    assert browser.run(IN_VIEWER).startswith("Pair 2:")
    for key, pair in (("ArrowRight", 3), ("j", 4), ("k", 3), ("ArrowLeft", 2), ("k", 1), ("k", 1)):
        browser.press(key)
        assert browser.run(IN_VIEWER).startswith(f"Pair {pair}:")
        assert browser.run("location.hash") == f"#pair-{pair}"
    browser.press("ArrowRight")
    browser.press("Escape")
    browser.wait("!document.getElementById('viewer').open")
    browser.wait(f"{FOCUS} === 'pair-2'")
    browser.wait("location.hash === ''")
    browser.press("j")
    assert browser.run(FOCUS) == "pair-3"
    browser.press("Enter")
    assert browser.run(IN_VIEWER).startswith("Pair 3:")
    assert not browser.complaints


@pytest.mark.slow
def test_filters_choose_and_sort(browser: Browser, scored: Path) -> None:
    shown = read_pictures(scored)
    browser.open(scored / "report" / "index.html")
    assert browser.run(SHOWN) == [*range(1, 11)]
    gains = {pair.number: pair.gains["pickscore"] for pair in shown.pairs}
    rising = sorted(gains, key=lambda number: gains[number])
    titles = [shown.title(name) for name in shown.metrics]
    place = browser.run("[...document.querySelectorAll('[name=metric] option')].map(o => o.text)")
    assert set(place) <= set(titles)
    browser.run(
        f"document.querySelector('[name=metric]').value = {place.index(shown.title('pickscore'))}"
    )
    expected: dict[str, list[int]] = {
        "best": rising[::-1][:3],
        "worst": rising[:3],
        "far": sorted(gains, key=lambda n: -(shown.pairs[n - 1].disagreement or 0))[:3],
    }
    for value, numbers in expected.items():
        browser.click(f"[name=show][value={value}]")
        assert browser.run(SHOWN) == numbers
        assert browser.run("document.getElementById('count').textContent") == "3 of 10 pairs"
    for choice in ("original", "improved"):
        kept = [pair.number for pair in shown.pairs if (pair.verdict or {})["choice"] == choice]
        if kept:
            browser.click(f"[name=show][value='choice:{choice}']")
            assert browser.run(SHOWN) == kept
    browser.click("[name=show][value=worst]")
    browser.press("Escape")
    browser.run(f"location.hash = '#pair-{rising[-1]}'")  # hidden by the filter, which gives way
    browser.wait("document.getElementById('viewer').open")
    assert browser.run("document.querySelector('[name=show]:checked').value") == "all"
    assert not browser.complaints


@pytest.mark.slow
def test_a_moved_run_still_shows_its_pictures_and_a_page_alone_its_thumbnails(
    browser: Browser, scored: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(scored, tmp_path / "moved ü #1"))
    browser.open(moved / "report" / "index.html", "#pair-1")
    browser.wait(LOADED)
    shutil.rmtree(moved / "pictures")
    browser.open(moved / "report" / "index.html", "#pair-1")
    browser.wait(LOADED)
    assert browser.run("document.querySelector('#viewer img').src").startswith("data:")
    assert "not beside this page" in browser.run("document.querySelector('#viewer').textContent")
    browser.complaints.clear()


@pytest.mark.slow
def test_without_a_script_all_pairs_are_listed(browser: Browser, scored: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(scored / "report" / "index.html")
        visible = "[...document.querySelectorAll('.pair')].filter(p => p.offsetHeight).length"
        assert browser.run(visible) == 10
        assert browser.run("document.getElementById('choose').offsetHeight") == 0
        assert browser.run("document.getElementById('viewer').offsetHeight") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(width: int, browser: Browser, scored: Path) -> None:
    browser.resize(width, 800, phone=width < 500)
    try:
        for suffix in ("", "#pair-1"):
            browser.open(scored / "report" / "index.html", suffix)
            assert browser.run("document.documentElement.scrollWidth") <= width
        viewer = "document.getElementById('viewer')"
        assert browser.run(f"{viewer}.scrollWidth <= {viewer}.clientWidth")
    finally:
        browser.resize(1280, 900)


@pytest.mark.slow
def test_nothing_is_fetched_but_files_of_the_run(browser: Browser, scored: Path) -> None:
    browser.requested.clear()
    browser.open(scored / "report" / "index.html", "#pair-2")
    browser.wait(LOADED)
    fetched = [url for url in browser.requested if not url.startswith(("data:", "about:"))]
    assert fetched and all(url.startswith(scored.resolve().as_uri()) for url in fetched)
