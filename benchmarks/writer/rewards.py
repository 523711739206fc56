"""Learn a reward head: how well a phrase belongs to its prompt, by what readers said.

    python -m benchmarks.writer.rewards --exported FOLDER --prompts FILE ... [--model MODEL]

`phrases.tsv.gz` has a letter for each of 49,245 phrases that an earlier writer added, g good, n
neutral, b bad, by a hash of the prompt; the prompts are looked for in the files (one a line, or
TABLE:COLUMN), and with `--data FOLDER` among the short prompts that `targets.py` cuts. `--letters
benchmarks/writer/phrases_strict.tsv.gz` takes 6,529 others in their place, by stricter readers, of
phrases that are more concrete and more often wrong. The exported model reads each phrase after its
prompt; half of the phrases follow another phrase, as they do in results. A ridge regression learns
from the hidden state of a phrase's last token and from the log-probabilities of its tokens what the
letter is worth, less a little for endings that many phrases have: "soft glow" suits almost any
picture.
`--letters benchmarks/writer/phrases_looked_up.tsv.gz` takes 32,168 others, of the bundled writer's
drafts and of phrases that were looked up for the prompt; what is given beside the head to those
that are looked up is learned with it, and written into the store of EXPORTED (`store.py`).
The head takes the place of the one in the graph; for the first, export with one of zeros,
`RewardHead(18, zeros, 0).write(MODEL)`. It is also written beside MODEL, the folder that was
exported, so that another export keeps it. Figures are those of five folds of prompts.
"""

import argparse
import csv
import gzip
import io
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from benchmarks.improving.expand import prompts_of
from benchmarks.writer.judged import WORTH, ridge
from benchmarks.writer.targets import HASH, key_of, prompts_by_key
from promptlift.files import atomic_path, sha256_of_file
from promptlift.improving.codec import Codec
from promptlift.improving.decoding.loop import token_log_probabilities
from promptlift.improving.engines.onnx_llama import (
    FLUENCY,
    REWARD,
    REWARD_BIAS,
    REWARD_WEIGHT,
    LlamaEngine,
)
from promptlift.improving.loading import load_model
from promptlift.improving.manifest import Manifest
from promptlift.improving.model import LoadedModel
from promptlift.improving.phrase_store import STORE_FILE, PhraseStore, content_words
from promptlift.improving.reward_head import Fluency, RewardHead
from promptlift.prompts.clauses import plain_words

PHRASES = Path(__file__).parent / "phrases.tsv.gz"
RARITY = 0.05  # of the worth, for each e-fold of the ending's share
FOLDS, BEST = 5, 2
_SOURCE_TOKENS = 60
_GRAPH = "decoder.onnx"
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A phrase with its letter, and whether it was looked up."""

    phrase: str
    letter: str
    looked_up: bool


def judged(
    files: Sequence[str], path: Path = PHRASES, data: Path | None = None
) -> dict[str, list[Judged]]:
    """Judged phrases by prompt, of those prompts that the files, or `data`, have."""
    known = prompts_by_key(data) if data else {}
    known |= {key_of(prompt): prompt for file in files for prompt in prompts_of(file)}
    found: dict[str, list[Judged]] = {}
    with gzip.open(path, "rb") as packed:
        rows = csv.DictReader(io.TextIOWrapper(packed, "utf-8"), delimiter="\t")
        for row in rows:
            prompt = known.get(row["prompt"]) if HASH.fullmatch(row["prompt"]) else row["prompt"]
            if prompt is not None:
                one = Judged(row["phrase"], row["label"], row.get("looked_up") == "y")
                found.setdefault(prompt, []).append(one)
    return found


def engine_of_states(folder: Path, copy: Path, threads: int | None) -> LlamaEngine:
    """An exported model that gives, as rewards, the states that its head reads [batch, width].

    It is loaded from a copy of the folder.
    """
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    model = onnx.load(str(copy / _GRAPH), load_external_data=False)
    graph = model.graph
    [weight] = [item for item in graph.initializer if item.name == REWARD_WEIGHT]
    [product] = [node for node in graph.node if REWARD_WEIGHT in node.input]
    [states] = [name for name in product.input if name != REWARD_WEIGHT]
    [last] = [node for node in graph.node if REWARD in node.output]
    last.output[:] = [f"{REWARD}_of_head"]
    graph.node.append(onnx.helper.make_node("Identity", [states], [REWARD]))
    [output] = [item for item in graph.output if item.name == REWARD]
    shape = ["batch", weight.dims[0]]
    output.CopyFrom(onnx.helper.make_tensor_value_info(REWARD, onnx.TensorProto.FLOAT, shape))
    (copy / _GRAPH).write_bytes(model.SerializeToString())
    return LlamaEngine(copy, threads=threads)


def read(
    engine: LlamaEngine,
    codec: Codec,
    source: str,
    phrases: Sequence[str],
    generator: random.Random,
) -> FloatArray:
    """What a head judges each phrase by: the state of its last token, then the mean and the least
    of its log-probabilities; [phrases, width + 2].
    """
    before = [f"{generator.choice(phrases)}, " * (generator.random() < 0.5) for _ in phrases]
    texts = [first + phrase for first, phrase in zip(before, phrases, strict=True)]
    rows = codec.encode(texts)
    starts = [len(row) for row in codec.encode([first.rstrip() for first in before])]
    starts = [start if first else 0 for start, first in zip(starts, before, strict=True)]
    padded, _ = codec.pad(rows)
    ids = np.array([codec.encode([source])[0][:_SOURCE_TOKENS]], dtype=np.int64)
    state = engine.start(ids, np.ones_like(ids))
    state.keep(np.zeros(len(rows), dtype=np.int64))
    fed = np.full(len(rows), codec.special.decoder_start)
    states, likely = [], []
    for column in [*padded.T, fed]:  # the last step is for the states of the longest
        step = state.step(fed)
        states.append(np.asarray(step.rewards))
        likely.append(token_log_probabilities(step.all(), column))
        fed = column
    found = []
    for row, (start, tokens) in enumerate(zip(starts, rows, strict=True)):
        own = [float(values[row]) for values in likely[start : len(tokens)]]
        found.append([*states[len(tokens)][row], np.mean(own), min(own)])
    return np.array(found, dtype=np.float64)


def worth_of(letters: Sequence[str], phrases: Sequence[str]) -> npt.NDArray[np.float64]:
    """What each letter is worth, less the share of phrases that end alike."""
    ends = [plain_words(phrase).split()[-1:] for phrase in phrases]
    counts = Counter(map(tuple, ends))
    shares = np.array([counts[tuple(end)] / len(ends) for end in ends])
    worth = np.array([WORTH[letter] for letter in letters])
    return np.asarray(worth - RARITY * np.log(1000 * shares))


def nearness(store: PhraseStore | None, prompt: str, own: Sequence[Judged]) -> FloatArray:
    """Whether each was looked up, and the square of how near its prompt is; [phrases, 2].

    The prompt itself is not one of the store: what readers found good stands there behind it.
    """
    near: dict[str, float] = {}
    if store:
        words = content_words(prompt)
        others = [row for row in store.prompts if list(row[0]) != words]
        near = replace(store, prompts=others).near(prompt, len(others), 0.0)
    return np.array([(one.looked_up, one.looked_up * near.get(one.phrase, 0) ** 2) for one in own])


def learned(values: FloatArray, worth: FloatArray) -> FloatArray:
    """Factors of these values that give this worth, and a constant behind them."""
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-3
    weights = ridge((values - mean) / spread, worth)
    factors = weights[:-1] / spread
    return np.append(factors, weights[-1] - mean @ factors)


def figures(
    values: FloatArray, worth: FloatArray, letters: npt.NDArray[Any], prompts: npt.NDArray[np.int64]
) -> dict[str, float]:
    """How well heads of five folds tell good from bad in the prompts they did not learn from."""
    fold = np.random.default_rng(0).permutation(prompts.max() + 1)[prompts] % FOLDS
    rewards = np.zeros(len(worth))
    for tested in range(FOLDS):
        *factors, constant = learned(values[fold != tested], worth[fold != tested])
        rewards[fold == tested] = values[fold == tested] @ factors + constant
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
        "median_reward": float(np.median(rewards)),
    }


def put_into(folder: Path, factors: FloatArray) -> None:
    """Replace the head of an exported folder, and what its store adds, by what `learned` gives."""
    *weight, mean, least, bonus, near, bias = factors
    model = onnx.load(str(folder / _GRAPH), load_external_data=False)
    new: Mapping[str, Any] = {
        REWARD_WEIGHT: np.array(weight, dtype=np.float32),
        REWARD_BIAS: np.float32(bias),
    }
    for item in model.graph.initializer:
        if item.name in new:
            item.CopyFrom(numpy_helper.from_array(np.asarray(new[item.name]), item.name))
    properties = {item.key: item.value for item in model.metadata_props}
    onnx.helper.set_model_props(model, {**properties, FLUENCY: json.dumps([mean, least])})
    with atomic_path(folder / _GRAPH) as beside:
        beside.write_bytes(model.SerializeToString())
    names = [_GRAPH]
    # Letters of drafts alone say nothing of the store.
    if (bonus or near) and (store := PhraseStore.read(folder)):
        replace(store, bonus=round(bonus, 4), nearness=round(near, 4)).write(folder)
        names.append(STORE_FILE)
    put_hashes(folder, names)


def put_hashes(folder: Path, names: Sequence[str]) -> None:
    """Note the hashes of files that were changed in an exported folder."""
    manifest = Manifest.read(folder)
    files = manifest.files | {name: sha256_of_file(folder / name) for name in names}
    replace(manifest, files=files).write(folder)


def put_beside(model: Path, factors: FloatArray) -> None:
    """Replace the head of a trained folder by what `learned` gives."""
    head = RewardHead.read(model)
    assert head is not None
    *weight, mean, least, _, _, bias = factors
    new = np.array(weight, dtype=np.float32)
    RewardHead(head.layer, new, float(bias), Fluency(mean, least)).write(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exported", type=Path, required=True)
    parser.add_argument("--prompts", nargs="*", default=[])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--letters", type=Path, default=PHRASES)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--limit", type=int, help="prompts to learn from")
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.model and Manifest.read(args.exported).precision == "int8":
        parser.error("int8 turns the hidden state: learn from an export in int4 or fp32")
    known, generator = judged(args.prompts, args.letters, args.data), random.Random(0)
    loaded = load_model(str(args.exported))
    assert isinstance(loaded, LoadedModel)
    prefix = loaded.card.prefix("extend", "tags")
    chosen = random.Random(0).sample(sorted(known), min(args.limit or len(known), len(known)))
    values, phrases, letters, prompts = [], list[str](), list[str](), list[int]()
    with tempfile.TemporaryDirectory() as copy:
        engine = engine_of_states(args.exported, Path(copy), args.threads)
        for place, prompt in enumerate(chosen):
            own = [one.phrase for one in known[prompt]]
            found = read(engine, loaded.codec, prefix + prompt, own, generator)
            values.append(np.hstack([found, nearness(loaded.store, prompt, known[prompt])]))
            phrases += own
            letters += [one.letter for one in known[prompt]]
            prompts += [place] * len(own)
            if place % 100 == 0:
                print(f"{place} of {len(chosen)} prompts", flush=True)
    every, worth = np.concatenate(values), worth_of(letters, phrases)
    for name, value in figures(every, worth, np.array(letters), np.array(prompts)).items():
        print(f"{name:>26} {value:.3f}")
    factors = learned(every, worth)
    put_into(args.exported, factors)
    if args.model:
        put_beside(args.model, factors)


if __name__ == "__main__":
    main()
