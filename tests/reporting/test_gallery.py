"""Pictures on the page of a run: pairs, marks, figures; and that it works in a browser."""

import base64
import hashlib
import html
import io
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import rankdata

from promptlift.pictures import Picture
from promptlift.reporting.answer import SOME
from promptlift.reporting.gallery import (
    choose,
    figure_text,
    gallery,
)
from promptlift.reporting.page import asset, printable
from promptlift.reporting.picture_data import ShownPair, read_pictures
from promptlift.reporting.prompt_marks import marked_prompt
from promptlift.reporting.run_report import write_report
from promptlift.reporting.thumbnails import THUMBNAIL_PX
from promptlift.reporting.wording import interval
from promptlift.statistics import average_ranks
from tests.reporting.conftest import ODD, PROMPTS, SEEDS, Tags, begin, rewrite, table
from tests.scoring.clip_models import write_index


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", Tags(page).text)


def cards_of(page: str) -> dict[int, str]:
    found = re.findall(r"<article class=pair id=pair-(\d+) .*?</article>", page, re.DOTALL)
    cards = re.findall(r"<article .*?</article>", page, re.DOTALL)
    return dict(zip(map(int, found), cards, strict=True))


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
    assert Tags(page).seen.count("script") == 2  # the page's own and the gallery's
    assert "b" not in Tags(page).seen
    assert ODD in Tags(page).text
    assert f"original picture: {ODD}" not in page  # as an attribute it is escaped
    assert ("alt", f"original picture: {cards_source(page)}") in Tags(page).attributes


def cards_source(page: str) -> str:
    """The prompt that the first original picture shows."""
    found = re.search(r'alt="original picture: ([^"]*)"', page)
    assert found is not None
    return html.unescape(found[1])


def test_only_our_own_scripts_may_run(page: str) -> None:
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    for script in map(asset, ("page.js", "gallery.js")):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f" 'sha256-{digest}'" in policy[policy.index("script-src") :]
        assert f"<script>{script}</script>" in page
        assert "</" not in script


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
    assert asset("gallery.js") not in found
