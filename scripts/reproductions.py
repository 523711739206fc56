"""Write the tables of docs/reproduce.md from the files in docs/reproductions.

    python -m scripts.reproductions

What stands there between `<!-- NAME -->` and `<!-- end -->` is made by this script.
"""

from collections.abc import Sequence
from pathlib import Path

from promptlift.experimenting.beside_paper import (
    as_markdown,
    missing_of,
    read_reproductions,
    tables_of,
)
from promptlift.experimenting.config import load_config
from promptlift.experimenting.estimates import estimates_of
from promptlift.experimenting.needs import sizes_of
from promptlift.files import write_text

DOCS = Path(__file__).parents[1] / "docs"
PAGE, FOLDER = DOCS / "reproduce.md", DOCS / "reproductions"
_END = "<!-- end -->"
_NONE = "Nobody has sent a file yet, so these are the paper's figures alone."


def written(page: str, files: Sequence[Path]) -> str:
    """The page with its tables made anew from files."""
    config = load_config("paper")
    estimates = [
        f"- {line[0].upper()}{line[1:]}." for line in estimates_of(config, sizes_of(config))
    ]
    found = read_reproductions(files)
    said = [f"- {line}." for line in missing_of(found)]
    figures = "\n\n".join(
        part
        for part in (
            f"From {len(files)} file{'s' * (len(files) > 1)} in docs/reproductions."
            if files
            else _NONE,
            as_markdown(tables_of(found), level=3).strip(),
            "\n".join(said),
        )
        if part
    )
    page = _put(page, "estimates", "\n".join(estimates))
    return _put(page, "figures", figures)


def _put(page: str, name: str, text: str) -> str:
    before, begin, rest = page.partition(f"<!-- {name} -->")
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the page has no place for {name}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def main() -> None:
    write_text(PAGE, written(PAGE.read_text(encoding="utf-8"), sorted(FOLDER.glob("*.json"))))


if __name__ == "__main__":
    main()
