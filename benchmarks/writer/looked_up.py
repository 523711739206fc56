"""Phrases that are looked up instead of written: those of prompts like this one, judged by a head.

    python -m benchmarks.writer.looked_up --data FOLDER --exported MODEL --prompts prompts.txt \
        -o results.jsonl

A trial. Of the tags in `targets.tsv.gz` whose prompts are nearest to a prompt (mean of the last
states of all-MiniLM-L6-v2, cosine), those that the checks let through are ranked by a reward head,
learned from the stricter letters as `rewards.py` has it, and by how near their prompt is; the best
three are added. FOLDER is as in `targets.py`. Results have columns source, prompt and additions,
so `benchmarks.improving.reading` can draw sheets of them.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.writer.rewards import engine_of_states, judged, learned, read, worth_of
from benchmarks.writer.targets import prompts_by_key, read_targets
from promptlift.improving.config import ControlConfig
from promptlift.improving.loading import load_model
from promptlift.improving.model import LoadedModel
from promptlift.improving.selection import select
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.clip_tokens import CLIP_BUDGET
from promptlift.prompts.reading import read as read_prompt
from promptlift.scoring.text.encoders import bundled_encoder

LETTERS = Path(__file__).parent / "phrases_strict.tsv.gz"
NEAREST, MOST, RANKED = 10, 3, 12  # prompts, phrases added, phrases looked at for that
NEARNESS = 2.0  # what a cosine of 1 is worth beside a reward


def embedded(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """A vector of length 1 for each text."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(bundled_encoder())
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    found = []
    for start in range(0, len(texts), 64):
        batch = tokenizer(
            list(texts[start : start + 64]), padding=True, truncation=True, return_tensors="pt"
        )
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][..., None].float()
        mean = (states * mask).sum(1) / mask.sum(1)
        found.append(torch.nn.functional.normalize(mean, dim=1).numpy())
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--exported", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    prompts = [line for line in args.prompts.read_text(encoding="utf-8").splitlines() if line]
    pairs, _ = read_targets(prompts_by_key(args.data))
    bank = [pair for pair in pairs if pair.mode == "extend" and pair.form == "tags"]
    near = embedded(prompts) @ embedded([pair.source for pair in bank]).T
    loaded, generator, control = load_model(str(args.exported)), random.Random(0), ControlConfig()
    assert isinstance(loaded, LoadedModel)
    prefix = loaded.card.prefix("extend", "tags")
    with tempfile.TemporaryDirectory() as copy, args.output.open("w", encoding="utf-8") as file:
        engine = engine_of_states(args.exported, Path(copy), args.threads)

        def states(prompt: str, phrases: Sequence[str]) -> npt.NDArray[np.float64]:
            return read(engine, loaded.codec, prefix + prompt, phrases, generator)

        letters = judged([], LETTERS, args.data)
        values = [states(prompt, [one for one, _ in own]) for prompt, own in letters.items()]
        both = [item for own in letters.values() for item in own]
        worth = worth_of([letter for _, letter in both], [phrase for phrase, _ in both])
        *factors, constant = learned(np.concatenate(values), worth)
        for row, prompt in enumerate(prompts):
            reading, cosine = read_prompt(prompt), dict[str, float]()
            for place in np.argsort(-near[row])[:NEAREST]:
                for phrase in split_clauses(bank[place].target):
                    cosine[phrase] = max(cosine.get(phrase, 0), float(near[row, place]))
            fit = [phrase for phrase in cosine if select([phrase], reading, control).kept]
            kept: list[str] = []
            if fit and not reading.reason_to_leave(limit=CLIP_BUDGET, force=False):
                rewards = states(prompt, fit) @ np.array(factors) + constant
                total = rewards + NEARNESS * np.array([cosine[phrase] for phrase in fit])
                ranked = [fit[place] for place in np.argsort(-total)[:RANKED]]
                kept = select(ranked, reading, control, most=MOST).kept
                while kept and reading.tokens_with(kept) > CLIP_BUDGET:
                    kept.pop()
            result = {"source": prompt, "prompt": reading.extended(kept), "additions": kept}
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
