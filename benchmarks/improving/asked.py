"""Whether results keep what was asked for, and what they add that nobody asked for.

    python -m benchmarks.improving.asked FILE.txt ... -o FOLDER [--model MODEL] [--limit N] \
        [--option styles=free] [--lexicon lexicon] [--heldout heldout_pairs.parquet] \
        [--runs extend rewrite_alone]

Prompts are drawn from the files, one a line (or TABLE:COLUMN:N), in a random order; one
result each in up to six runs: `extend`, `rewrite`, and `rewrite_alone` without the check of
intent and so without repair, each for tags and, with a model that writes them, for paragraphs.
Results are written to FOLDER/RUN.jsonl as they come; the same command goes on where it stopped.

Figures are shares of the results that were written, prompts that were left alone counted apart,
with 95% intervals (Wilson's; medians and differences of corpora by resampling):

- `style`, `painter`: the result adds one, by the project's lexicon (`checks`).
- `listed_style`, `listed_painter`: it adds one of a list that decoding never sees: mediums,
  movements and flavours that end in "style" of clip-interrogator, those left out that
  the lexicon has, or in which it finds a style or medium; and its artists of two names or more. A
  word that is a thing in one prompt ("a hologram of a ship") counts too, so `..._found` has what
  was found, for reading.
- `common_head`: it adds one of the ten commonest additions by head noun, the last word of a phrase.
- `distinct_2`: of the first words, as many as the smaller of both sides has; beside people's
  targets for the held-out heads.
- `kept`: nothing that the prompt asks for is lost. `verbatim`: it begins with the prompt (those
  without syntax).
- `new_words`: median number of different content words (by stem) that the prompt lacks.
- `extended_instead`: a rewriting that was given up.

`FOLDER/RUN.tsv` has results at random for reading: prompt, result, additions.
"""

import argparse
import csv
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.improving.expand import prompts_of
from benchmarks.improving.said_twice import share
from promptlift import Improvement, Improver
from promptlift.errors import ConfigError
from promptlift.files import write_json
from promptlift.improving.batch import row_of
from promptlift.improving.receipts import read_receipts
from promptlift.prompts.clauses import plain_words, split_clauses
from promptlift.prompts.intent import STOP, Text
from promptlift.prompts.lexicon.terms import find_terms
from promptlift.prompts.reading import read
from promptlift.scoring.text.diversity import distinct
from promptlift.statistics import corpus_interval
from promptlift.tables import Fault, read_rows

MODES: dict[str, dict[str, Any]] = {
    "extend": {"mode": "extend"},
    "rewrite": {"mode": "rewrite"},
    "rewrite_alone": {"mode": "rewrite", "keep_intent": False},
}
RUNS = {
    f"{name}{ending}": {**options, "form": form}
    for form, ending in (("tags", ""), ("paragraph", "_paragraph"))
    for name, options in MODES.items()
}
TOP, READ, BATCH = 10, 300, 32
_ARTICLE = re.compile(r"^an? | of$")
Listed = Callable[[str], list[str]]


def prompts_in(files: Sequence[str], limit: int | None, seed: int) -> list[str]:
    """Prompts of the files in a random order, at most `limit`."""
    prompts = [prompt for given in sorted(files) for prompt in prompts_of(given)]
    random.Random(seed).shuffle(prompts)
    return prompts[:limit]


def draw(
    improver: Improver, prompts: Sequence[str], path: Path, seed: int, options: dict[str, Any]
) -> list[Improvement]:
    """One result a prompt, each written to `path` as it comes; those that are there are read."""
    lines = path.read_bytes() if path.exists() else b""
    whole = lines[: lines.rfind(b"\n") + 1]  # a kill may leave half a line
    path.write_bytes(whole)
    results = read_receipts(path) if whole else []
    asked = {"model": improver.model_id, "seed": seed, **options}
    for one, prompt in zip(results, prompts, strict=False):
        had = {**one.settings, **vars(one)}
        if one.source != prompt or any(had[name] != value for name, value in asked.items()):
            raise ConfigError(f"{path} has results of other prompts, options or another model")
    made = improver.improve_stream(prompts[len(results) :], seed=seed, batch_size=BATCH, **options)
    with path.open("a", encoding="utf-8") as file:
        for place, [result] in enumerate(made, len(results)):
            file.write(json.dumps(row_of(place, result)) + "\n")
            file.flush()
            results.append(result)
    return results[: len(prompts)]


def listed_styles(lexicon: Path) -> Listed:
    """Finds the collection's styles and mediums that the project's lexicon does not know."""
    named = [
        _ARTICLE.sub("", line.strip().lower())
        for name in ("mediums.txt", "movements.txt")
        for line in (lexicon / name).read_text("utf-8").splitlines()
    ]
    flavours = (lexicon / "flavors.txt").read_text("utf-8").lower().splitlines()
    named += [line.strip() for line in flavours if line.strip().endswith(" style")]
    return _finder(
        name
        for name in named
        if not any(
            term.kind in ("style", "medium") or term.text == name for term in find_terms(name)
        )
    )


def listed_painters(artists: Path) -> Listed:
    """Finds artists of a file, a name a line: those of two names or more."""
    names = artists.read_text("utf-8").lower().splitlines()
    return _finder(name for name in names if " " in name.strip())


def _finder(names: Iterator[str]) -> Listed:
    known = {found for name in names if (found := plain_words(name).strip())}
    longest = max(len(name.split()) for name in known)

    def find(text: str) -> list[str]:
        words = plain_words(text).split()
        runs = (
            " ".join(words[place : place + size])
            for place in range(len(words))
            for size in range(1, longest + 1)
        )
        return sorted(known.intersection(runs))

    return find


def head_noun(phrase: str) -> str:
    """The last word of a phrase."""
    return next(iter(reversed(plain_words(phrase).split())), "")


def sameness(additions: Sequence[Sequence[str]], limit: int) -> dict[str, Any]:
    """How alike additions are: commonest head nouns, and distinct-2 of the first `limit` words."""
    heads = [{head_noun(phrase) for phrase in found} - {""} for found in additions]
    counts = Counter(head for found in heads for head in found)
    top = [head for head, _ in counts.most_common(TOP)]
    texts = [plain_words(" ".join(found)).split() for found in additions]
    part = corpus_interval(texts, lambda some: distinct(some, 2, limit))
    return {
        "common_head": share(sum(not found.isdisjoint(top) for found in heads), len(heads)),
        "top_heads": {head: counts[head] for head in top},
        "phrases": round(sum(map(len, additions)) / len(additions), 2),
        "words": sum(map(len, texts)),
        "distinct_2": [round(value, 4) for value in part],
        "distinct_2_words": limit,
    }


def targets_of(heldout: Path) -> list[list[str]]:
    """The phrases that people wrote after held-out heads."""
    rows = (row.value for row in read_rows(heldout) if not isinstance(row, Fault))
    return [split_clauses(str(row["target"])) for row in rows if not isinstance(row, str)]


def new_words(result: Improvement) -> int:
    """Different content words of a result that its prompt lacks."""
    stems = Text(result.prompt).stem_set - Text(result.source).stem_set
    return len(stems - STOP)


def lost_nothing(result: Improvement) -> bool:
    """Whether the result says all that its prompt asks for, whatever `checks` have."""
    prose = result.settings["form"] == "paragraph"
    return not read(result.source).lost(result.prompt, prose=prose)


def figures(
    results: Sequence[Improvement], styles: Listed | None, painters: Listed | None
) -> dict[str, Any]:
    """The figures of one run."""
    written = [one for one in results if not any(n.startswith("left alone") for n in one.notes)]
    n = len(written)
    row: dict[str, Any] = {"results": len(results), "left_alone": len(results) - n}
    if not n:
        return row
    row["style"] = share(sum(bool(one.checks["styles"]) for one in written), n)
    row["painter"] = share(sum(bool(one.checks["painters"]) for one in written), n)
    for name, find in (("style", styles), ("painter", painters)):
        if find is not None:
            found = [added(find, one.source, one.additions) for one in written]
            row[f"listed_{name}"] = share(sum(map(bool, found)), n)
            row[f"listed_{name}_found"] = dict(Counter(x for one in found for x in one))
    row["kept"] = share(sum(map(lost_nothing, written)), n)
    row["with_additions"] = share(sum(bool(one.additions) for one in written), n)
    row["new_words"] = median([float(new_words(one)) for one in written])
    if written[0].mode == "rewrite":
        given_up = [any(n.startswith("extended instead") for n in one.notes) for one in written]
        row["extended_instead"] = share(sum(given_up), n)
    else:
        plain = [one for one in written if not read(one.source).has_syntax]
        if plain:
            verbatim = sum(one.prompt.startswith(one.source) for one in plain)
            row["verbatim"] = share(verbatim, len(plain))
    return row


def added(find: Listed, source: str, additions: Sequence[str]) -> list[str]:
    """What a list has of the additions and not of the prompt."""
    own = plain_words(source)
    return [name for name in find(", ".join(additions)) if f" {name} " not in own]


def median(values: Sequence[float]) -> list[float]:
    """Median, and its 95% interval, bootstrap."""
    array = np.array(values)
    draws = np.random.default_rng(0).integers(0, len(array), size=(2000, len(array)))
    low, high = np.quantile(np.median(array[draws], axis=1), [0.025, 0.975])
    return [round(float(value), 4) for value in (np.median(array), low, high)]


def write_sheet(path: Path, results: Sequence[Improvement], seed: int) -> None:
    """Results at random, one a line."""
    chosen = random.Random(seed).sample(results, min(READ, len(results)))
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.writer(file, delimiter="\t", lineterminator="\n")
        sheet.writerow(["prompt", "result", "additions"])
        sheet.writerows(
            [" ".join(text.split()) for text in (one.source, one.prompt, " | ".join(one.additions))]
            for one in chosen
        )


def _option(text: str) -> tuple[str, Any]:
    """NAME=VALUE of an option of improving, the value as JSON has it or as text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", help="FILE of a prompt a line, or TABLE:COLUMN:N")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--option", type=_option, action="append", default=[])
    parser.add_argument("--runs", nargs="+", choices=[*RUNS], default=[*RUNS])
    parser.add_argument("--lexicon", type=Path)
    parser.add_argument("--heldout", type=Path)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    improver = Improver.load(args.model, threads=args.threads)
    prompts = prompts_in(args.files, args.limit, args.seed)
    lists: tuple[Listed | None, Listed | None] = (None, None)
    if args.lexicon:
        lists = listed_styles(args.lexicon), listed_painters(args.lexicon / "artists.txt")
    given = dict(args.option)
    report: dict[str, Any] = {"model": improver.model_id, "seed": args.seed, "options": given}
    for name in args.runs:
        options = {**RUNS[name], **given}
        if options["form"] not in improver.card.forms or options["mode"] not in improver.card.modes:
            continue
        results = draw(improver, prompts, args.output / f"{name}.jsonl", args.seed, options)
        report[name] = figures(results, *lists)
        if options["form"] == "tags":
            report[name] |= _beside_people([list(one.additions) for one in results], args.heldout)
        write_sheet(args.output / f"{name}.tsv", results, args.seed)
        print(name, json.dumps(report[name]), flush=True)
    write_json(args.output / "figures.json", report)


def _beside_people(additions: list[list[str]], heldout: Path | None) -> dict[str, Any]:
    """How alike additions are, and people's own of as many words."""
    own = [found for found in additions if found]
    if not own:
        return {}
    people = targets_of(heldout) if heldout else []
    sides = [side for side in (own, people) if side]
    limit = min(sum(len(plain_words(" ".join(found)).split()) for found in s) for s in sides)
    found = sameness(own, limit)
    return {**found, "people": sameness(people, limit)} if people else found


if __name__ == "__main__":
    main()
