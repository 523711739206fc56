"""Learn a reward head: how well a phrase belongs to its prompt, by what readers said.

    python -m benchmarks.writer.rewards --model MODEL --prompts FILE ... [--exported FOLDER]

`phrases.tsv.gz` has a letter for each of 49,245 phrases that an earlier writer added, g good, n
neutral, b bad, by a hash of the prompt; the prompts are looked for in the files (one a line, or
TABLE:COLUMN). A ridge regression learns from the hidden state of a phrase's last token what the
letter is worth, less a little for endings that many phrases have: "soft
glow" suits almost any picture. Half of the phrases follow another phrase, as they do in results.
The head is written to MODEL, and into the graph of FOLDER, which was exported from it. Figures are
those of five folds of prompts.
"""

import argparse
import csv
import gzip
import hashlib
import io
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.improving.expand import prompts_of
from benchmarks.writer.judged import WORTH, ridge
from promptlift.files import atomic_path, sha256_of_file
from promptlift.improving.engines.onnx_llama import REWARD_BIAS, REWARD_WEIGHT
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.manifest import Manifest
from promptlift.improving.reward_head import RewardHead
from promptlift.prompts.clauses import plain_words

PHRASES = Path(__file__).parent / "phrases.tsv.gz"
LAYER = 18  # of 28; of 12, 18 and the last the one that tells most
RARITY = 0.1  # of the worth, for each e-fold of the ending's share
FOLDS, BEST = 5, 2
_SOURCE_TOKENS = 60


def judged(files: Sequence[str], path: Path = PHRASES) -> dict[str, list[tuple[str, str]]]:
    """Phrases with their letters by prompt, of those prompts that the files have."""
    known = {
        hashlib.sha256(prompt.encode()).hexdigest()[:16]: prompt
        for file in files
        for prompt in prompts_of(file)
    }
    found: dict[str, list[tuple[str, str]]] = {}
    with gzip.open(path, "rb") as packed:
        rows = csv.DictReader(io.TextIOWrapper(packed, "utf-8"), delimiter="\t")
        for row in rows:
            if row["prompt"] in known:
                own = found.setdefault(known[row["prompt"]], [])
                own.append((row["phrase"], row["label"]))
    return found


def states(
    loaded: Any, source: str, phrases: Sequence[str], layer: int, generator: random.Random
) -> npt.NDArray[np.float32]:
    """Hidden states of each phrase's last token behind its prompt, float32 [phrases, width].

    All phrases are read at once, each seeing the prompt and itself alone.
    """
    import torch

    codec = loaded.codec
    prefix = loaded.card.prefix("extend", "tags")
    ids = [*codec.encode([prefix + source])[0][:_SOURCE_TOKENS], codec.special.decoder_start]
    shared = len(ids)
    places, spans = [*range(shared)], []
    for phrase in phrases:
        before = f"{generator.choice(phrases)}, " if generator.random() < 0.5 else ""
        [own] = codec.encode([before + phrase])
        spans.append((len(ids), len(ids) + len(own)))
        places += range(shared, shared + len(own))
        ids += own
    seen = torch.full((len(ids), len(ids)), -torch.inf)
    earlier = torch.full_like(seen, -torch.inf).triu(1)
    seen[:, :shared] = earlier[:, :shared]
    for start, end in spans:
        seen[start:end, start:end] = earlier[start:end, start:end]
    with torch.inference_mode():
        hidden = loaded.engine.model.model(
            torch.tensor([ids]),
            attention_mask=seen[None, None],
            position_ids=torch.tensor([places]),
            output_hidden_states=True,
        ).hidden_states[layer][0]
    return np.asarray(hidden[[end - 1 for _, end in spans]].numpy())


def worth_of(letters: Sequence[str], phrases: Sequence[str]) -> npt.NDArray[np.float64]:
    """What each letter is worth, less the share of phrases that end alike."""
    ends = [plain_words(phrase).split()[-1:] for phrase in phrases]
    counts = Counter(map(tuple, ends))
    shares = np.array([counts[tuple(end)] / len(ends) for end in ends])
    worth = np.array([WORTH[letter] for letter in letters])
    return np.asarray(worth - RARITY * np.log(1000 * shares))


def learned(
    values: npt.NDArray[np.float32], worth: npt.NDArray[np.float64], layer: int
) -> RewardHead:
    """The head that expects this worth of these states."""
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-3
    weights = ridge((values - mean) / spread, worth)
    weight = weights[:-1] / spread
    return RewardHead(layer, weight.astype(np.float32), float(weights[-1] - mean @ weight))


def figures(
    values: npt.NDArray[np.float32],
    worth: npt.NDArray[np.float64],
    letters: npt.NDArray[Any],
    prompts: npt.NDArray[np.int64],
) -> dict[str, float]:
    """How well heads of five folds tell good from bad in the prompts they did not learn from."""
    fold = np.random.default_rng(0).permutation(prompts.max() + 1)[prompts] % FOLDS
    rewards = np.zeros(len(worth))
    for tested in range(FOLDS):
        head = learned(values[fold != tested], worth[fold != tested], LAYER)
        rewards[fold == tested] = values[fold == tested] @ head.weight + head.bias
    good, bad = rewards[letters == "g"], np.sort(rewards[letters == "b"])
    best = np.concatenate(
        [
            own[np.argsort(-rewards[own])[:BEST]]
            for prompt in range(prompts.max() + 1)
            for own in (np.flatnonzero(prompts == prompt),)
        ]
    )
    return {
        "phrases": len(letters),
        "good": float((letters == "g").mean()),
        "bad": float((letters == "b").mean()),
        "area_under_curve_good_bad": float(np.searchsorted(bad, good).mean() / len(bad)),
        "good_of_best": float((letters[best] == "g").mean()),
        "bad_of_best": float((letters[best] == "b").mean()),
    }


def put_into(folder: Path, head: RewardHead) -> None:
    """Replace the head of an exported folder."""
    import onnx
    from onnx import numpy_helper

    manifest, path = Manifest.read(folder), folder / "decoder.onnx"
    graph = onnx.load(str(path), load_external_data=False)
    new: Mapping[str, Any] = {REWARD_WEIGHT: head.weight, REWARD_BIAS: np.float32(head.bias)}
    for item in graph.graph.initializer:
        if item.name in new:
            item.CopyFrom(numpy_helper.from_array(np.asarray(new[item.name]), item.name))
    with atomic_path(path) as beside:
        beside.write_bytes(graph.SerializeToString())
    files = {**manifest.files, path.name: sha256_of_file(path)}
    replace(manifest, files=files).write(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--prompts", nargs="+", required=True)
    parser.add_argument("--limit", type=int, help="prompts to learn from")
    parser.add_argument("--exported", type=Path)
    args = parser.parse_args()
    known, generator = judged(args.prompts), random.Random(0)
    loaded = load_torch(str(args.model))
    chosen = random.Random(0).sample(sorted(known), min(args.limit or len(known), len(known)))
    values, phrases, letters, prompts = [], [], [], []
    for place, prompt in enumerate(chosen):
        own = [phrase for phrase, _ in known[prompt]]
        values.append(states(loaded, prompt, own, LAYER, generator))
        phrases += own
        letters += [letter for _, letter in known[prompt]]
        prompts += [place] * len(own)
        if place % 100 == 0:
            print(f"{place} of {len(chosen)} prompts", flush=True)
    read, worth = np.concatenate(values), worth_of(letters, phrases)
    for name, value in figures(read, worth, np.array(letters), np.array(prompts)).items():
        print(f"{name:>26} {value:.3f}")
    head = learned(read, worth, LAYER)
    head.write(args.model)
    if args.exported:
        put_into(args.exported, head)


if __name__ == "__main__":
    main()
