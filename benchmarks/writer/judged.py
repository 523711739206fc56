"""Leave out of tags what does not belong to its prompt, by what readers said of a sample.

    python -m benchmarks.writer.judged --pairs pairs.jsonl --model MODEL --output kept.jsonl

Of the phrases that rules cut out of descriptions, about half belong to the prompt they stand
after, and one in five does not ("dark jacket" for a landscape). Eight readers, runs of a language
model, judged 3,598 of them, each by one: `labels.tsv` has a letter for each, g good, n neutral, b
bad, by a hash of prompt and phrase. A ridge regression learns these from the hidden states of a
writer that read both, and from how likely it found the phrase; each phrase then gets a score, and
the best share of them stays.
Figures of the regression are those of five folds.
"""

import argparse
import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.improving.engines.torch import load_torch
from promptlift.pairs.load import load_pairs, write_pairs
from promptlift.prompts.clauses import split_clauses
from promptlift.records import Pair

FloatArray = npt.NDArray[np.float32]

LABELS = Path(__file__).parent / "labels.tsv"
WORTH = {"g": 1.0, "n": 0.2, "b": -1.0}
# Layers whose states are read, of the 28 of the writer, as shares: the middle, later, the last.
DEPTHS = (12 / 28, 18 / 28, 1.0)
STRENGTH = 3000.0  # of the ridge; from 1,000 to 10,000 the folds hardly differ
FEWEST = 2  # phrases of a target
# Shares of all phrases that are the same, or end with the same word.
MOST_PHRASE, MOST_HEAD = 0.0025, 0.02
_BATCH = 64
_SOURCE_TOKENS, _PHRASE_TOKENS = 60, 24  # at most


def key_of(source: str, phrase: str) -> str:
    """By what `labels.tsv` knows a phrase after a prompt."""
    return hashlib.sha256(f"{source}\t{phrase}".encode()).hexdigest()[:16]


def read_labels(path: Path) -> dict[str, str]:
    """Letters by key."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return dict(line.split("\t") for line in lines)


def phrases_of(pairs: Sequence[Pair]) -> Iterator[tuple[int, int, str]]:
    """Pair, place and phrase of all that tags add; the head of a rewriting is no addition."""
    for row, pair in enumerate(pairs):
        if pair.form == "tags":
            found = split_clauses(pair.target)
            first = int(pair.mode == "rewrite")
            yield from ((row, place, found[place]) for place in range(first, len(found)))


def features(model: str, items: Sequence[tuple[str, str]]) -> FloatArray:
    """What a writer makes of each prompt and phrase, float32 [items, features].

    Mean and last hidden states over the phrase, and the mean, least and first log-probability of
    its tokens with their number.
    """
    import torch

    loaded = load_torch(model)
    network, codec = loaded.engine.model.to(torch.bfloat16), loaded.codec
    prefix, start = loaded.card.prefix("extend", "tags"), codec.special.decoder_start
    sources = codec.encode([prefix + source for source, _ in items])
    targets = codec.encode([f"{phrase}, " for _, phrase in items])
    rows = [
        ([*source[:_SOURCE_TOKENS], start], target[:_PHRASE_TOKENS])
        for source, target in zip(sources, targets, strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda row: sum(map(len, rows[row])))
    layers = [round(depth * network.config.num_hidden_layers) for depth in DEPTHS]
    found = np.zeros((len(rows), len(DEPTHS) * network.config.hidden_size + 4), dtype=np.float32)
    for begin in range(0, len(order), _BATCH):
        batch = order[begin : begin + _BATCH]
        longest = max(sum(map(len, rows[row])) for row in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        for place, row in enumerate(batch):
            ids[place, : sum(map(len, rows[row]))] = torch.tensor([*rows[row][0], *rows[row][1]])
        with torch.no_grad():
            output = network.model(ids, output_hidden_states=True)
        for place, row in enumerate(batch):
            source, target = rows[row]
            span = slice(len(source), len(source) + len(target))
            early, late, last = (output.hidden_states[layer][place, span] for layer in layers)
            states = torch.cat([early.float().mean(0), late[-1].float(), last.float().mean(0)])
            before = output.last_hidden_state[place, len(source) - 1 : span.stop - 1]
            with torch.no_grad():
                logs = network.lm_head(before).float().log_softmax(-1)
            own = logs[torch.arange(len(target)), torch.tensor(target)]
            numbers = torch.tensor([own.mean(), own.min(), own[0], float(len(target))])
            found[row] = torch.cat([states, numbers]).numpy()
    return found


def standardized(values: FloatArray, known: npt.NDArray[np.int64]) -> FloatArray:
    """Features by the mean and spread of the judged ones; the last four count six times."""
    mean, spread = values[known].mean(axis=0), values[known].std(axis=0) + 1e-3
    result = np.clip((values - mean) / spread, -5, 5)
    result[:, -4:] *= 6
    return np.asarray(result, dtype=np.float32)


def ridge(values: FloatArray, worth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Weights of a ridge regression, the constant last."""
    matrix = np.concatenate([values, np.ones((len(values), 1))], axis=1).astype(np.float64)
    product = matrix.T @ matrix + STRENGTH * np.eye(matrix.shape[1])
    return np.asarray(np.linalg.solve(product, matrix.T @ worth))


def scores_of(values: FloatArray, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The worth that the regression expects."""
    return np.asarray(values @ weights[:-1] + weights[-1])


def figures(values: FloatArray, letters: npt.NDArray[Any], share: float) -> dict[str, float]:
    """How well cross-validated scores separate good from bad, and what the kept share contains."""
    worth = np.array([WORTH[letter] for letter in letters])
    order, expected = np.random.default_rng(0).permutation(len(worth)), np.zeros(len(worth))
    for fold in range(5):
        tested = order[fold::5]
        learned = np.setdiff1d(order, tested)
        expected[tested] = scores_of(values[tested], ridge(values[learned], worth[learned]))
    good, bad = expected[letters == "g"], expected[letters == "b"]
    kept = letters[expected >= np.quantile(expected, 1 - share)]
    return {
        "judged": len(letters),
        "good": float((letters == "g").mean()),
        "bad": float((letters == "b").mean()),
        "area_under_curve_good_bad": float((good[:, None] > bad[None, :]).mean()),
        "good_of_kept": float((kept == "g").mean()),
        "bad_of_kept": float((kept == "b").mean()),
    }


def kept_pairs(
    pairs: Sequence[Pair],
    phrases: Sequence[tuple[int, int, str]],
    good: npt.NDArray[np.bool_],
    generator: random.Random,
) -> list[Pair]:
    """Pairs with the good phrases alone, those that are too common left out at random."""
    left = [item for item, is_good in zip(phrases, good, strict=True) if is_good]
    whole = Counter(phrase for *_, phrase in left)
    ends = Counter(phrase.split()[-1] for *_, phrase in left)
    chosen: dict[int, list[str]] = {}
    for row, _, phrase in left:
        chance = min(1, MOST_PHRASE * len(left) / whole[phrase])
        chance *= min(1, MOST_HEAD * len(left) / ends[phrase.split()[-1]])
        if generator.random() < chance:
            chosen.setdefault(row, []).append(phrase)
    result = []
    for row, pair in enumerate(pairs):
        if pair.form != "tags":
            result.append(pair)
        elif len(chosen.get(row, ())) >= FEWEST:
            head = split_clauses(pair.target)[:1] if pair.mode == "rewrite" else []
            result.append(replace(pair, target=", ".join([*head, *chosen[row]])))
    return result


def labelled(
    items: Sequence[tuple[str, str]], labels: Mapping[str, str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Places of the judged items, and their letters."""
    found = [(place, labels.get(key_of(*item))) for place, item in enumerate(items)]
    places = np.array([place for place, letter in found if letter], dtype=np.int64)
    return places, np.array([letter for _, letter in found if letter])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--share", type=float, default=0.45)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    pairs = [pair for pair in load_pairs(args.pairs) if isinstance(pair, Pair)]
    phrases = [*phrases_of(pairs)]
    items = [(pairs[row].source, phrase) for row, _, phrase in phrases]
    known, letters = labelled(items, read_labels(args.labels))
    values = standardized(features(args.model, items), known)
    for name, value in figures(values[known], letters, args.share).items():
        print(f"{name:>26} {value:.3f}")
    worth = np.array([WORTH[letter] for letter in letters])
    scores = scores_of(values, ridge(values[known], worth))
    good = scores >= np.quantile(scores, 1 - args.share)
    found = kept_pairs(pairs, phrases, good, random.Random(args.seed))
    write_pairs(args.output, found)
    print(f"{len(found)} of {len(pairs)} pairs, {int(good.sum())} of {len(good)} phrases")


if __name__ == "__main__":
    main()
