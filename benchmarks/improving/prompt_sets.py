"""What a model adds to thousands of real prompts: checks, unsafe words, examples, independence.

    python -m benchmarks.improving.prompt_sets FILE.txt ... [--model FOLDER] \
        [--output results.json] [--examples docs/examples.md]

Each file holds a prompt a line. Independence: 300 prompts one by one, shuffled, and in batches
of 1, 7 and 64 must give the same results.
"""

import argparse
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

from promptlift import Improvement, Improver
from promptlift.pairs.clean import names_medium
from promptlift.prompts.clip_tokens import CLIP_BUDGET, count_clip_tokens
from promptlift.prompts.lexicon.offers import may_be_offered
from promptlift.prompts.lexicon.terms import find_terms
from promptlift.prompts.lexicon.words import unsafe_words

UNSAFE = unsafe_words()
SEED = 0
SHORT = 15  # words
WORD = re.compile(r"[\w'-]+")


def words(text: str) -> list[str]:
    return WORD.findall(text.lower())


def repeats_endlessly(result: Improvement) -> bool:
    """Whether some run of three words occurs three times in the additions."""
    found = words(" ".join(result.additions))
    runs = Counter(zip(found, found[1:], found[2:], strict=False))
    return max(runs.values(), default=0) >= 3


def names_painter(phrase: str) -> bool:
    return any(term.kind == "painter" for term in find_terms(phrase))


def examine(results: list[Improvement]) -> dict[str, Any]:
    """Counts of what must not happen, and the share of short prompts that got an addition."""
    short = [item for item in results if len(item.source.split()) < SHORT]
    additions = [phrase for item in results for phrase in item.additions]
    return {
        "prompts": len(results),
        "endless_repetition": sum(map(repeats_endlessly, results)),
        "broken_characters": sum("\ufffd" in "".join(item.additions) for item in results),
        "source_not_verbatim": sum(not item.prompt.startswith(item.source) for item in results),
        "past_the_budget": sum(
            bool(item.additions) and item.clip_tokens > CLIP_BUDGET for item in results
        ),
        "wrong_clip_count": sum(
            item.clip_tokens != count_clip_tokens(item.prompt) for item in results[::20]
        ),
        "short_prompts": len(short),
        "short_prompts_with_addition": sum(bool(item.additions) for item in short),
        "additions": len(additions),
        "additions_with_a_painter": sum(map(names_painter, additions)),
        "additions_that_are_no_offer": sum(not may_be_offered(phrase) for phrase in additions),
        "second_medium": sum(
            names_medium(item.source) and any(map(names_medium, item.additions)) for item in results
        ),
        "mean_additions": round(sum(len(i.additions) for i in results) / len(results), 2),
        "mean_clip_tokens": round(sum(i.clip_tokens for i in results) / len(results), 1),
    }


def unsafe_share(results: list[Improvement]) -> dict[str, Any]:
    """How many results have an unsafe word among their additions that the source lacks."""
    found: Counter[str] = Counter()
    hit = 0
    for item in results:
        new = UNSAFE & set(words(" ".join(item.additions))) - set(words(item.source))
        hit += bool(new)
        found.update(new)
    return {"results": len(results), "with_unsafe_word": hit, "words": dict(found.most_common())}


def independence(improver: Improver, prompts: list[str]) -> dict[str, int]:
    """How many of 300 results differ from those made one by one."""
    generator = random.Random(SEED)
    chosen = generator.sample(prompts, min(300, len(prompts)))
    alone = [improver.improve(prompt, seed=SEED) for prompt in chosen]
    order = generator.sample(range(len(chosen)), len(chosen))
    shuffled = improver.improve([chosen[place] for place in order], seed=SEED)
    differing = {"shuffled": sum(alone[p] != s for p, s in zip(order, shuffled, strict=True))}
    for size in (1, 7, 64):
        batched = improver.improve(chosen, seed=SEED, batch_size=size)
        differing[f"batches of {size}"] = sum(a != b for a, b in zip(alone, batched, strict=True))
    return {"prompts": len(chosen), **differing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--model")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--examples", type=Path)
    args = parser.parse_args()
    improver = Improver.load(args.model)
    report: dict[str, Any] = {"model": improver.model_id, "seed": SEED, "files": {}}
    every: list[Improvement] = []
    for path in args.files:
        prompts = [line for line in path.read_text("utf-8").split("\n") if line.strip()]
        results = [found for [found] in improver.improve(prompts, seed=SEED)]
        report["files"][path.name] = examine(results)
        print(path.name, json.dumps(report["files"][path.name]), flush=True)
        every += results
    report["all"] = examine(every)
    generator = random.Random(SEED)
    report["unsafe"] = unsafe_share(generator.sample(every, min(2000, len(every))))
    report["independence"] = independence(improver, [item.source for item in every])
    for name in ("all", "unsafe", "independence"):
        print(name, json.dumps(report[name]))
    if args.output:
        args.output.write_text(json.dumps(report, indent=2) + "\n")
    if args.examples:
        write_examples(args.examples, improver, generator.sample(every, 40))


def write_examples(path: Path, improver: Improver, results: list[Improvement]) -> None:
    """The forty as tags, and the short ones of them as paragraphs and rewritten."""
    lines = [
        "# Forty random examples",
        "",
        f"Drawn at random from the evaluation sets and not chosen; `{improver.model_id}`, seed "
        f"{SEED}. In tags; what was added is in bold.",
        "",
    ]
    sources = [" ".join(item.source.split()) for item in results]
    for source, item in zip(sources, results, strict=True):
        added = ", ".join(item.additions)
        lines.append(f"- {source} **{added}**" if added else f"- {source}")
    short = [source for source in sources if len(source.split()) < SHORT][:20]
    paragraphs = improver.improve(short, seed=SEED, form="paragraph")
    rewritten = improver.improve(short, seed=SEED, mode="rewrite", form="paragraph")
    lines += ["", "## The first twenty of fewer than 15 words, as paragraphs", ""]
    lines += [f"- {item.prompt}" for [item] in paragraphs]
    lines += ["", "## The same twenty, rewritten as paragraphs", ""]
    lines += [f"- {item.prompt}" for [item] in rewritten]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
