"""Whole pages, as they were read and approved.

What a page says is compared word for word; numbers may differ a little, as processors round
differently. After a wanted change run this file with PROMPTLIFT_APPROVE=1, and read the difference.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.reporting.run_report import write_report
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.run import score_pictures
from tests.conftest import ENDS
from tests.judging.runs import vote_all
from tests.reporting.conftest import (
    PAIRS,
    begin,
    begin_run,
    write_evaluation,
    write_log,
    write_scores,
)
from tests.scoring.clip_models import make_clip

APPROVED = Path(__file__).parent / "approved"
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?![\w])")


def trained(folder: Path) -> Path:
    """A run that trained, was evaluated twice and scored beside a baseline."""
    begin_run(folder, results={"parameters": 12_345, "steps": 12})
    write_log(folder, ["3,0.5,2.5,", "6,1.0,2.0,2.2", "9,1.5,1.7,", "12,2.0,1.5,1.9"])
    for number, step in enumerate((6, 12)):
        written = [f"{PAIRS[i].source}, {ENDS[i % 5]}, {ENDS[number]}" for i in range(10)]
        write_evaluation(folder, step, written, seed=number)
    ours = [f"{pair.source}, oil on canvas by Claude Monet" for pair in PAIRS[:10]]
    write_scores(folder, {"model": ours, "identity": [pair.source for pair in PAIRS[:10]]})
    return folder


def drawn(folder: Path) -> Path:
    """A run whose pictures were scored by a CLIP of random weights, and judged."""
    begin(folder, prompts=5, seeds=(1, 2))
    clip = make_clip(folder.parent / "clip", seed=0)
    config = PictureScoringConfig(
        clip=str(clip), preference=str(clip), metrics=("clip", "measures", "pickscore"),
        offline=True,
    )  # fmt: skip
    score_pictures(folder, config)
    raters = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.2, attention=2)
    vote_all(Study.open([folder], raters), lambda pair: float(pair.prompt_index % 4 > 0))
    return folder


def plot_in_words(svg: str) -> str:
    """The texts of a plot, and how many dashed lines, marks and curves it has."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    kinds = Counter(re.findall(r"<(path|use|rect)\b", svg))
    dashed = svg.count("stroke-dasharray")
    return f"[plot: {' | '.join(texts)}; {sorted(kinds.items())}, {dashed} dashed]"


def in_words(page: str, folder: Path) -> str:
    """A page without its looks: a line a cell, heading or paragraph, with its tag and class."""
    body = page[page.index("<body") :]
    body = re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)
    body = re.sub(r"<svg.*?</svg>", lambda found: plot_in_words(found[0]), body, flags=re.DOTALL)
    body = re.sub(r'src="data:[^"]+"', 'src="data"', body)
    body = re.sub(r"(<(?:h\d|p|li|tr|td|th|table|summary|figcaption|article|div)\b)", r"\n\1", body)
    body = body.replace(str(folder), "RUN").replace(str(folder.parent), "FOLDER")
    body = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b", "HASH", body)
    body = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", body)
    body = re.sub(r"\b\d+\.\d+\.\d+(?:[.+]\w+)*", "VERSION", body)
    return "\n".join(line.strip() for line in body.splitlines() if line.strip()) + "\n"


def same(found: str, approved: str) -> bool:
    """Whether two lines differ in the last digits of numbers at most."""
    if _NUMBER.sub("#", found) != _NUMBER.sub("#", approved):
        return False
    numbers = zip(_NUMBER.findall(found), _NUMBER.findall(approved), strict=True)
    pairs = [[float(text.replace(",", "")) for text in pair] for pair in numbers]
    return all(math.isclose(one, other, rel_tol=0.01, abs_tol=0.011) for one, other in pairs)


@pytest.mark.parametrize("make", [trained, drawn], ids=lambda make: make.__name__)
def test_the_page_says_what_was_approved(
    make: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests also run where no Git is.
    monkeypatch.setattr("promptlift.runs._git_revision", lambda: "0123456789abcdef")
    # Who sees which pair on which side is drawn by a secret seed.
    monkeypatch.setattr("promptlift.judging.collecting.study.secrets.randbits", lambda bits: 7)
    folder = make(tmp_path / "run")
    found = in_words(write_report(folder).read_text(encoding="utf-8"), folder)
    path = APPROVED / f"{make.__name__}.txt"
    if os.environ.get("PROMPTLIFT_APPROVE"):
        path.write_text(found, encoding="utf-8")
    approved = path.read_text(encoding="utf-8").splitlines()
    assert len(found.splitlines()) == len(approved)
    different = [pair for pair in zip(found.splitlines(), approved, strict=True) if not same(*pair)]
    assert not different


def test_a_line_is_not_another() -> None:
    assert same("<td>0.501 (0.4 to 0.6)", "<td>0.502 (0.4 to 0.6)")
    assert not same("<td>0.55", "<td>0.50") and not same("<td>won 40", "<td>lost 40")
    assert not same("<td class=number>1", "<td>1") and not same("7 of 10", "8 of 10")
