"""Expansions of prompts by a general instruction model, behind any OpenAI-compatible endpoint.

    python -m benchmarks.improving.expand --url http://127.0.0.1:8033/v1 --model NAME \
        -o expanded.jsonl prompts.txt heldout_pairs.parquet:source:500

The instruction is the usual one of prompt expanders: a prompt engineer's role, keep the subject,
add detail, answer with the prompt alone. A line a prompt; what is there already is not asked again.
"""

import argparse
import json
import random
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from promptlift.tables import Fault, read_rows

INSTRUCTION = (
    "You are a prompt engineer for text-to-image models. Expand the user's short prompt into one "
    "detailed prompt: keep the subject, add details of style, lighting, composition and mood. "
    "Answer with the prompt only, on one line, at most 60 words."
)


def prompts_of(given: str) -> list[str]:
    """Prompts of FILE, those of a column, FILE:COLUMN, or N random ones: FILE:COLUMN:N."""
    name, *rest = given.split(":")
    column = rest[0] if rest else None
    count = int(rest[1]) if len(rest) > 1 else None
    found = []
    for row in read_rows(Path(name)):
        assert not isinstance(row, Fault)
        found.append(row.value if isinstance(row.value, str) else row.value[column or "prompt"])
    unique = list(dict.fromkeys(prompt.strip() for prompt in found if prompt.strip()))
    return unique if count is None else random.Random(0).sample(unique, count)


def expand(url: str, model: str, prompt: str) -> str:
    """One answer, greedy."""
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": INSTRUCTION},
            {"role": "user", "content": prompt},
        ],
        "temperature": 0,
        "max_tokens": 120,
    }
    request = urllib.request.Request(
        f"{url.rstrip('/')}/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        text = json.load(answer)["choices"][0]["message"]["content"]
    return " ".join(str(text).split()).strip('"')


def read_expanded(path: Path) -> dict[str, dict[str, object]]:
    """Answers by prompt: `prompt`, `seconds`."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {row["source"]: row for row in map(json.loads, lines)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prompts", nargs="+", help="FILE, or FILE:COLUMN:N for N random ones")
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    done = read_expanded(args.output)
    waiting = [p for given in args.prompts for p in prompts_of(given) if p not in done]
    with args.output.open("a", encoding="utf-8") as file:
        for row in _answers(args.url, args.model, waiting):
            file.write(json.dumps(row) + "\n")
            file.flush()


def _answers(url: str, model: str, prompts: list[str]) -> Iterator[dict[str, object]]:
    for number, prompt in enumerate(prompts, 1):
        started = time.perf_counter()
        text = expand(url, model, prompt)
        seconds = round(time.perf_counter() - started, 3)
        yield {"source": prompt, "prompt": text, "seconds": seconds}
        if number % 50 == 0:
            print(f"{number} of {len(prompts)}", flush=True)


if __name__ == "__main__":
    main()
