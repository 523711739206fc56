"""What prompt expanders keep and add: promptlift beside no change, a fixed suffix and a chat model.

    python -m benchmarks.improving.trust --heldout heldout_pairs.parquet \
        --prompts parti_prompts.txt [--expanded expanded.jsonl] \
        [--artists artists.txt] -o docs/trust.json
    python -m benchmarks.improving.trust --heldout heldout_pairs.parquet \
        --prompts parti_prompts.txt --improver SmolLM2-135M-Instruct=http://127.0.0.1:8033/v1 \
        --count 200 -o docs/trust.json

All PartiPrompts and 500 random held-out prompts, one result each, seed 0. For each system: the
share of wants that the result still says, by kind (promptlift's own checker; benchmarks/
intent_cases.py says how good it is), and of results that lost none; shares of results that add a
painter, a listed artist or a style, that are past 75 CLIP tokens in their longest part, that
repeat a clause or three words; how various the added words are; median seconds of 40 prompts, one
at a time. The chat model is counted on those prompts that FILE has answers to. Intervals: 95%,
bootstrap over prompts. Prints the tables of docs/trust.md.

`--improver NAME=MODEL`, which may be repeated, measures any models that `--model` takes, `pocket`
and `http://HOST/v1#MODEL` among them, and puts their rows into FILE in place of those of the same
name; all other rows stay. Each extends and rewrites, with the guards and raw, that is with every
guard off, on `--count` random prompts of each set. Beside the figures above it counts whose words
the result has, and questions to a server. Answers are kept on disk (XDG_CACHE_HOME), so that raw
and guarded see the same ones, and a run goes on after a stop. `--json` asks for JSON.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.improving.asked import Listed, added, listed_painters, median
from benchmarks.improving.expand import prompts_of, read_expanded
from benchmarks.improving.strengths import share
from promptlift import Improvement, Improver
from promptlift.files import write_json
from promptlift.prompts.clauses import new_clauses
from promptlift.prompts.clip_tokens import CLIP_BUDGET
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import KINDS
from promptlift.prompts.reading import longest_part, read
from promptlift.scoring.text.baselines import SUFFIX
from promptlift.scoring.text.diversity import added_words, distinct, self_bleu
from promptlift.scoring.text.metrics import repeats

_TIMED = 40
RAW: dict[str, Any] = {
    "guards": False, "keep_intent": False, "coherent": False, "max_prompt_tokens": None,
    "artists": "free", "styles": "free",
}  # fmt: skip
WHOSE = ("the model's own", "extended instead", "untouched", "not asked")


def kept(pairs: list[tuple[str, str]]) -> dict[str, list[float]]:
    """Share of wants kept, by kind, with intervals over prompts; and of results with none lost."""
    asked: dict[str, list[int]] = {kind: [] for kind in KINDS}
    lost: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for source, result in pairs:
        reading = read(source)
        gone = reading.lost(result)
        for kind in KINDS:
            asked[kind].append(sum(want.kind == kind for want in reading.intent.wants))
            lost[kind].append(sum(want.kind == kind for want in gone))
    draws = np.random.default_rng(0).integers(0, len(pairs), size=(1000, len(pairs)))
    found = {}
    for kind in KINDS:
        a, b = np.array(asked[kind]), np.array(lost[kind])
        many = 1 - b[draws].sum(axis=1) / np.maximum(1, a[draws].sum(axis=1))
        low, high = np.quantile(many, [0.025, 0.975])
        mean = 1 - b.sum() / max(1, a.sum())
        found[kind] = [*(round(float(v), 4) for v in (mean, low, high)), int(a.sum())]
    none = (np.sum([lost[kind] for kind in KINDS], axis=0) == 0).tolist()
    return {**found, "none lost": share(none)}


def figures(pairs: list[tuple[str, str]], artists: Listed | None) -> dict[str, Any]:
    """The figures of one system on one set."""
    readings = [(read(source), source, result) for source, result in pairs]
    clauses = [new_clauses(result, source) for _, source, result in readings]
    words = [added_words(source, result) for source, result in pairs]
    row: dict[str, Any] = {"n": len(pairs), "kept": kept(pairs)}
    both = list(zip(readings, clauses, strict=True))
    row["painter"] = share([bool(r[0].new_terms(c, ("painter",))) for r, c in both])
    row["style"] = share([bool(r[0].new_terms(c, ("style", "medium"))) for r, c in both])
    row["contradiction"] = share(
        [any(contradiction(r[0].intent.text, clause) for clause in c) for r, c in both]
    )
    if artists is not None:
        row["listed_artist"] = share(
            [bool(added(artists, source, [result])) for source, result in pairs]
        )
    row["over_75"] = share([longest_part(result) > CLIP_BUDGET for _, result in pairs])
    row["repeats"] = share([repeats(result) for _, result in pairs])
    row["added_words"] = round(float(np.mean([len(text) for text in words])), 1)
    row["distinct_2_of_2000_words"] = round(distinct(words, 2, 2000), 3)
    row["self_bleu"] = round(self_bleu(words), 3) if any(words) else None
    return row


def seconds_each(improve: Callable[[str], object], prompts: list[str]) -> list[float]:
    """Median seconds of one prompt at a time, with its interval."""
    improve(prompts[0])
    times = []
    for prompt in prompts[:_TIMED]:
        started = time.perf_counter()
        improve(prompt)
        times.append(time.perf_counter() - started)
    return median(times)


def whose(result: Improvement) -> str:
    """Whose text a result is, of `WHOSE`: own are words of the model in the mode asked for."""
    if added_words(result.source, result.prompt):
        fell_back = any(note.startswith("extended instead") for note in result.notes)
        return WHOSE[1] if fell_back else WHOSE[0]
    reading = read(result.source)
    limit = None if result.settings["max_prompt_tokens"] is None else CLIP_BUDGET
    return WHOSE[3] if reading.reason_to_leave(limit=limit, force=False) else WHOSE[2]


def named(
    name: str, improver: Improver, prompts: list[str], artists: Listed | None
) -> list[dict[str, Any]]:
    """The rows of one improver: both modes, raw and with the guards."""
    rows = []
    for mode in improver.card.modes:
        for label, options in (("raw", RAW), ("guarded", {})):
            with questions(improver) as asked:
                results = [
                    result for [result] in improver.improve(prompts, seed=0, mode=mode, **options)
                ]
            texts = [whose(result) for result in results]
            row = figures([(result.source, result.prompt) for result in results], artists)
            row["whose"] = {kind: share([text == kind for text in texts]) for kind in WHOSE}
            row["questions"] = round(len(asked) / len(prompts), 2)
            rows.append({"system": f"{name}, {mode}, {label}", **row, "seconds": None})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def load(model: str, tokens: int, *, as_json: bool) -> Improver:
    """The improver of that name; a server is asked for short answers, two at a time."""
    if "://" not in model:
        return Improver.load(model)
    return Improver.load(model, llm_tokens=tokens, llm_concurrency=2, llm_json=as_json)


@contextmanager
def questions(improver: Improver) -> Iterator[list[object]]:
    """What a server's model is asked meanwhile, kept answers included; nothing of others."""
    asked: list[object] = []
    asker = getattr(improver.model, "asker", None)
    if asker is None:
        yield asked
        return
    ask = asker.ask

    def counted(question: object) -> object:
        asked.append(question)
        return ask(question)

    asker.ask = counted
    yield asked
    asker.ask = ask


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All rows, set by set; a new one takes the place of an old one of the same system."""
    by_name = {(row["set"], row["system"]): row for row in [*old, *new]}
    order = list(dict.fromkeys(row["set"] for row in by_name.values()))
    return sorted(by_name.values(), key=lambda row: order.index(row["set"]))


def tables(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown tables: two for each set, and one of whose words the results have."""
    lines = []
    for name in dict.fromkeys(row["set"] for row in rows):
        mine = [row for row in rows if row["set"] == name]
        lines += ["", f"### {name}: kept", ""]
        counts = [f"{kind} ({mine[0]['kept'][kind][3]})" for kind in KINDS]
        lines += [f"| system | n | {' | '.join(counts)} | nothing lost |"]
        lines += ["| --- | ---: |" + " ---: |" * (len(KINDS) + 1)]
        for row in mine:
            cells = [_percent(row["kept"][kind]) for kind in (*KINDS, "none lost")]
            lines.append(f"| {row['system']} | {row['n']} | {' | '.join(cells)} |")
        lines += ["", f"### {name}: added", ""]
        lines += [
            "| system | a painter | a style or medium | a contradiction | over 75 tokens | "
            "repeats | words | distinct-2 | self-BLEU | seconds |",
            "| --- |" + " ---: |" * 9,
        ]
        for row in mine:
            keys = ("painter", "style", "contradiction", "over_75", "repeats")
            cells = [_percent(row[key]) for key in keys]
            bleu = "" if row["self_bleu"] is None else f"{row['self_bleu']:.3f}"
            time_ = "{:.3f} ({:.3f} to {:.3f})".format(*row["seconds"]) if row["seconds"] else ""
            cells += [f"{row['added_words']}", f"{row['distinct_2_of_2000_words']:.3f}"]
            lines.append(f"| {row['system']} | {' | '.join([*cells, bleu, time_])} |")
        if known := [row for row in mine if "whose" in row]:
            lines += ["", f"### {name}: whose words", ""]
            lines += [f"| system | n | {' | '.join(WHOSE)} | questions a prompt |"]
            lines += ["| --- |" + " ---: |" * (len(WHOSE) + 2)]
        for row in known:
            cells = [_percent(row["whose"][kind]) for kind in WHOSE]
            cells += [f"{row['questions']:.2f}"]
            lines.append(f"| {row['system']} | {row['n']} | {' | '.join(cells)} |")
    return "\n".join(lines).strip() + "\n"


def _percent(value: list[float]) -> str:
    if value[3:] == [0]:
        return ""  # nothing of this kind was asked for
    mean, low, high = (100 * part for part in value[:3])
    return f"{mean:.3g}%" if low == high else f"{mean:.3g}% ({low:.3g} to {high:.3g})"


def standing(
    sets: dict[str, list[str]], expanded: dict[str, dict[str, object]], artists: Listed | None
) -> dict[str, Any]:
    """The rows of the bundled model, and of what stands beside it."""
    improver = Improver.load()
    own = f"promptlift {improver.card.name}"
    modes: dict[str, dict[str, Any]] = {
        f"{own}, extend": {},
        f"{own}, rewrite": {"mode": "rewrite"},
        f"{own}, rewrite with `--no-keep-intent`": {"mode": "rewrite", "keep_intent": False},
    }
    rows = []
    for name, prompts in sets.items():
        systems: dict[str, tuple[list[tuple[str, str]], list[float] | None]] = {
            "raw prompt": ([(p, p) for p in prompts], None),
            "fixed suffix": ([(p, f"{p}, {SUFFIX}") for p in prompts], None),
        }
        known = [prompt for prompt in prompts if prompt in expanded]
        if known:
            asked = [float(str(row["seconds"])) for row in map(expanded.get, known) if row]
            systems["SmolLM2-135M-Instruct"] = (
                [(prompt, str(expanded[prompt]["prompt"])) for prompt in known],
                median(asked[:_TIMED]),
            )
        for system, options in modes.items():
            results = [result for [result] in improver.improve(prompts, seed=0, **options)]
            timed = seconds_each(lambda p, o=options: improver.improve(p, seed=0, **o), prompts)  # type: ignore[misc]
            systems[system] = ([(r.source, r.prompt) for r in results], timed)
        for system, (pairs, timed_seconds) in systems.items():
            row = {"set": name, "system": system, **figures(pairs, artists)}
            rows.append({**row, "seconds": timed_seconds})
            print(json.dumps(rows[-1]), flush=True)
    return {"model": improver.model_id, "suffix": SUFFIX, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heldout", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--expanded", type=Path)
    parser.add_argument("--artists", type=Path)
    parser.add_argument("--improver", action="append", metavar="NAME=MODEL")
    parser.add_argument("--json", action="store_true", help="ask a server for JSON")
    parser.add_argument("--tokens", type=int, default=256, help="of a server's answer")
    parser.add_argument("--count", type=int, help="random prompts of each set for an --improver")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    artists = listed_painters(args.artists) if args.artists else None
    sets = {
        "PartiPrompts": prompts_of(args.prompts),
        "held-out prompts": prompts_of(f"{args.heldout}:source:500"),
    }
    if not args.improver:
        expanded = read_expanded(args.expanded) if args.expanded else {}
        known = standing(sets, expanded, artists)
    else:
        known, rows = json.loads(args.output.read_text("utf-8")), []
        for given in args.improver:
            label, _, model = given.partition("=")
            improver = load(model, args.tokens, as_json=args.json)
            for name, prompts in sets.items():
                chosen = random.Random(0).sample(prompts, args.count or len(prompts))
                rows += [{"set": name, **row} for row in named(label, improver, chosen, artists)]
                done = {**known, "rows": merged(known["rows"], rows)}
                write_json(args.output, done)
        known = done
    print(tables(known["rows"]))
    write_json(args.output, known)


if __name__ == "__main__":
    main()
