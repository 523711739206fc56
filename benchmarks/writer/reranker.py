"""Learn a reranker from what readers said of phrases, and put it into an exported folder.

    python -m benchmarks.writer.reranker --data FOLDER --exported MODEL [--checkpoint FILE]

`letters.tsv.gz` has a letter for each phrase that was proposed for a prompt, g good, n neutral, b
bad (instructions: `phrases.md`), by a hash of the prompt, which is looked for among the short
prompts that `targets.py` cuts from FOLDER; a prompt that this project made up stands as it is.

all-MiniLM-L6-v2 is fine-tuned: it reads a prompt and its phrases packed as in
`promptlift.improving.reranker`, and a linear layer tells the three letters by the mean of a
phrase's last states. It learns in one pass from the phrases of MODEL's store (`store.py`), those of
a prompt itself, of prompts like it and of any others, and then from the letters. A share of the
prompts is measured on and not learned from.

Its vocabulary is cut to the pieces that FOLDER's prompts and the phrases need, and its matrices are
stored in blocks of 4 bits. With `--checkpoint` training goes on where it stopped.
"""

import argparse
import csv
import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto
from tokenizers import Tokenizer

from benchmarks.writer.targets import HASH, prompts_by_key, public_prompts, read_targets
from promptlift.export.builder import CONTRIB, GraphBuilder, Weights
from promptlift.export.quantize import by_block
from promptlift.files import atomic_path, sha256_of_file
from promptlift.improving.manifest import Manifest
from promptlift.improving.phrase_store import PhraseStore, content_words
from promptlift.improving.reranker import (
    MAX_PHRASE_TOKENS,
    MAX_PROMPT_TOKENS,
    RERANKER_FILES,
    RERANKER_GRAPH,
    RERANKER_TOKENIZER,
    Packed,
    Reranker,
)
from promptlift.progress import progress
from promptlift.scoring.text.encoders import bundled_encoder

LETTERS = Path(__file__).parent / "letters.tsv.gz"
CLASSES = ("b", "n", "g")
HELD = 0.05  # share of the prompts to measure on
MOST = 16  # phrases of a prompt that are read at once
EPOCHS, BATCH, RATE, HEAD_RATE, WARM_UP = 3, 8, 1e-4, 1e-3, 100
SORTED_TOGETHER = 32  # batches whose rows are sorted by length
SAVED_EVERY = 500  # batches
BITS = 4
LIKE = 60  # prompts of the store that are looked at
FEWEST = 6  # times that a piece is needed to be kept
PLACES = MAX_PROMPT_TOKENS + MAX_PHRASE_TOKENS + 1


@dataclass(frozen=True)
class Judged:
    """A prompt and phrases that were proposed for it, each with its letter."""

    prompt: str
    phrases: Sequence[str]
    letters: Sequence[str]


def read_letters(known: Mapping[str, str], path: Path = LETTERS) -> list[Judged]:
    """Those of known prompts, sorted by prompt."""
    found: dict[str, dict[str, str]] = {}
    with gzip.open(path, "rb") as packed:
        for row in csv.DictReader(io.TextIOWrapper(packed, "utf-8"), delimiter="\t"):
            prompt = known.get(row["prompt"]) if HASH.fullmatch(row["prompt"]) else row["prompt"]
            if prompt is not None:
                found.setdefault(prompt, {})[row["phrase"]] = row["letter"]
    rows = []
    for prompt, own in sorted(found.items()):
        items = list(own.items())
        for start in range(0, len(items), MOST):
            phrases, letters = zip(*items[start : start + MOST], strict=True)
            rows.append(Judged(prompt, phrases, letters))
    return rows


def supposed(store: PhraseStore, prompts: Sequence[str]) -> list[Judged]:
    """For each prompt some phrases of the store, with the letters that they may be supposed to get.

    Its own were written for it or found good; those of prompts that are rather like it are taken
    for neutral, and those of any others for bad. What was written for a part of it is left out.
    """
    own = {tuple(words): phrases for words, phrases in store.prompts}
    draw, rows = random.Random(0), []
    for prompt in prompts:
        good = own.get(tuple(content_words(prompt)), ())
        parts = store.of_parts(prompt)
        like = store.near(prompt, LIKE, 0.0).items()
        near = [one for one, how in like if 0.35 < how < 0.6 and one not in parts]
        others = [some[0] for _, some in draw.sample(store.prompts, 3)]
        found = {phrase: "b" for phrase in others if phrase not in parts}
        found |= dict.fromkeys(draw.sample(near, min(2, len(near))), "n")
        found |= dict.fromkeys(draw.sample(list(good), min(4, len(good))), "g")
        if good:
            items = draw.sample(list(found.items()), len(found))
            rows.append(Judged(prompt, *zip(*items, strict=True)))
    return rows


class Network(torch.nn.Module):
    """A BERT that reads packed prompts and phrases, and a layer that tells the letters."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body
        self.head = torch.nn.Linear(self.body.config.hidden_size, len(CLASSES))
        self.dropout = torch.nn.Dropout(0.1)

    def forward(self, rows: Sequence[Packed]) -> torch.Tensor:
        """Logits of the letters of all phrases, one row after another, [phrases, 3]."""
        longest = max(len(row.tokens) for row in rows)
        tokens, places, owners = (
            torch.tensor(np.stack([_filled(getattr(row, name), longest, empty) for row in rows]))
            for name, empty in (("tokens", 0), ("places", 0), ("owners", -2))
        )
        sees = (owners[:, None, :] == -1) | (owners[:, None, :] == owners[:, :, None])
        states = self.body(
            input_ids=tokens,
            position_ids=places,
            token_type_ids=(owners >= 0).long(),
            attention_mask=sees[:, None],
        ).last_hidden_state
        means = [
            torch.stack([own[owner == phrase].mean(dim=0) for phrase in range(owner.max() + 1)])
            for own, owner in zip(states, owners, strict=True)
        ]
        logits: torch.Tensor = self.head(self.dropout(torch.cat(means)))
        return logits


def _filled(values: npt.NDArray[np.int64], length: int, empty: int) -> npt.NDArray[np.int64]:
    return np.pad(values, (0, length - len(values)), constant_values=empty)


def learn(
    network: Network,
    tokenizer: Tokenizer,
    rows: Sequence[Judged],
    epochs: int = EPOCHS,
    checkpoint: Path | None = None,
    rate: float = RATE,
) -> None:
    """Fine-tune a network on these rows."""
    torch.manual_seed(0)
    network.train()
    packed = [Packed.of(tokenizer, row.prompt, row.phrases) for row in rows]
    labels = [torch.tensor([CLASSES.index(one) for one in row.letters]) for row in rows]
    groups = [
        {"params": network.body.parameters(), "lr": rate},
        {"params": network.head.parameters(), "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    order = batches(np.array([len(row.tokens) for row in packed]), epochs)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP, 1) * max(0.0, 1 - step / len(order))
    )
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "schedule": schedule}
    done = 0
    if checkpoint and checkpoint.exists():
        saved = torch.load(checkpoint)
        done = saved.pop("done")
        torch.set_rng_state(saved.pop("random"))  # of dropout
        for name, state in saved.items():
            parts[name].load_state_dict(state)
    with progress("batches") as show:
        for step, batch in enumerate(order[done:], start=done):
            with torch.autocast("cpu", torch.bfloat16):
                logits = network([packed[at] for at in batch])
            wanted = torch.cat([labels[at] for at in batch])
            loss = torch.nn.functional.cross_entropy(logits.float(), wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            show(step + 1, len(order))
            if checkpoint and step % SAVED_EVERY == SAVED_EVERY - 1:
                states = {name: part.state_dict() for name, part in parts.items()}
                with atomic_path(checkpoint) as path:
                    torch.save({"done": step + 1, "random": torch.get_rng_state(), **states}, path)
    network.eval()


def batches(lengths: npt.NDArray[np.int64], epochs: int) -> list[npt.NDArray[np.int64]]:
    """Places of the rows of each batch, epoch after epoch; rows of like length lie together."""
    found = []
    for epoch in range(epochs):
        generator = np.random.default_rng(epoch)
        order = generator.permutation(len(lengths))
        for start in range(0, len(order), BATCH * SORTED_TOGETHER):
            part = order[start : start + BATCH * SORTED_TOGETHER]
            part = part[np.argsort(lengths[part], kind="stable")]
            own = [part[at : at + BATCH] for at in range(0, len(part), BATCH)]
            found += [own[at] for at in generator.permutation(len(own))]
    return found


def smaller_tokenizer(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tokenizer, list[int]]:
    """With the pieces alone that the texts need, and those that spell all others; their old ids."""
    state = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    counts = Counter(token for item in tokenizer.encode_batch(list(texts)) for token in item.tokens)
    kept = [
        piece
        for piece in vocabulary
        if counts[piece] >= FEWEST
        or (piece.isascii() and len(piece.removeprefix("##")) == 1)
        or piece in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    ]
    places = {piece: place for place, piece in enumerate(kept)}
    state["model"]["vocab"] = places
    known = [one for one in state["added_tokens"] if one["content"] in places]
    state["added_tokens"] = [{**one, "id": places[one["content"]]} for one in known]
    for piece, special in state["post_processor"]["special_tokens"].items():
        special["ids"] = [places[piece]]
    state["truncation"] = state["padding"] = None
    return Tokenizer.from_str(json.dumps(state)), [vocabulary[piece] for piece in kept]


def weights_of(network: Network, kept: Sequence[int]) -> Weights:
    """What `graph` takes, with the rows of these pieces and of the places that are used."""
    body = network.body.state_dict()
    weights = {name: value.float().numpy() for name, value in body.items()}
    for name, rows in (("word", list(kept)), ("position", slice(PLACES))):
        key = f"embeddings.{name}_embeddings.weight"
        weights[key] = np.ascontiguousarray(weights[key][rows])
    head = network.head.state_dict().items()
    return weights | {f"head.{name}": value.float().numpy() for name, value in head}


def graph(weights: Weights, config: Any) -> onnx.ModelProto:
    """A BERT with its head for packed prompts and phrases.

    Inputs: `tokens`, `places` and `kinds` (0 for a token of the prompt, 1 for others) int64
    [1, tokens]; `bias` float32 [1, 1, tokens, tokens], 0 where a token sees another; `means`
    float32 [phrases, tokens], how much each token counts in a phrase.
    Output: `scores` float32 [phrases], the probability of good less that of bad.
    """
    graph = GraphBuilder(epsilon=config.layer_norm_eps)
    for name in ("tokens", "places", "kinds"):
        graph.input(name, TensorProto.INT64, [1, "tokens"])
    graph.input("bias", TensorProto.FLOAT, [1, 1, "tokens", "tokens"])
    graph.input("means", TensorProto.FLOAT, ["phrases", "tokens"])

    def linear(hidden: str, *names: str) -> str:
        matrix, bias = (
            np.concatenate([weights[f"{name}.{part}"] for name in names])
            for part in ("weight", "bias")
        )
        product = graph.block_linear(hidden, by_block(matrix, BITS))
        return graph.op("Add", product, graph.constant(bias))

    def normalize(hidden: str, name: str) -> str:
        gain, bias = (graph.constant(weights[f"{name}.{part}"]) for part in ("weight", "bias"))
        epsilon = config.layer_norm_eps
        return graph.op("LayerNormalization", hidden, gain, bias, axis=-1, epsilon=epsilon)

    words = by_block(weights["embeddings.word_embeddings.weight"], BITS)
    hidden = graph.block_embed("tokens", words)
    for name, ids in (("position", "places"), ("token_type", "kinds")):
        table = graph.constant(weights[f"embeddings.{name}_embeddings.weight"])
        hidden = graph.op("Add", hidden, graph.op("Gather", table, ids))
    hidden = normalize(hidden, "embeddings.LayerNorm")
    for index in range(config.num_hidden_layers):
        layer, mixed = f"encoder.layer.{index}", f"mixed_{index}"
        own = (f"{layer}.attention.self.{part}" for part in ("query", "key", "value"))
        parts = graph.split(linear(hidden, *own), 3)
        heads = config.num_attention_heads
        graph.add("MultiHeadAttention", [*parts, "", "", "bias"], [mixed], CONTRIB, num_heads=heads)
        attended = graph.op("Add", linear(mixed, f"{layer}.attention.output.dense"), hidden)
        hidden = normalize(attended, f"{layer}.attention.output.LayerNorm")
        inner = graph.op("Gelu", linear(hidden, f"{layer}.intermediate.dense"))
        added = graph.op("Add", linear(inner, f"{layer}.output.dense"), hidden)
        hidden = normalize(added, f"{layer}.output.LayerNorm")
    states = graph.op("Squeeze", hidden, graph.constant(np.array([0])))
    logits = graph.op(
        "Add",
        graph.op("MatMul", graph.op("MatMul", "means", states),
                 graph.constant(weights["head.weight"].T)),
        graph.constant(weights["head.bias"]),
    )  # fmt: skip
    worth = graph.constant(np.array([[-1], [0], [1]], dtype=np.float32))  # of CLASSES
    scores = graph.op("MatMul", graph.op("Softmax", logits, axis=-1), worth)
    graph.op("Squeeze", scores, graph.constant(np.array([1])), output="scores")
    graph.output("scores", ["phrases"])
    return graph.model("reranker")


def figures(reranker: Reranker, rows: Sequence[Judged]) -> dict[str, float]:
    """How well a reranker tells good from bad, and what the best two phrases of a prompt are."""
    own: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        scores = reranker.scores(row.prompt, row.phrases)
        own.setdefault(row.prompt, []).extend(zip(scores, row.letters, strict=True))
    every = [item for items in own.values() for item in items]
    good, bad = (np.sort([score for score, one in every if one == letter]) for letter in "gb")
    best = [one for items in own.values() for _, one in sorted(items, reverse=True)[:2]]
    return {
        "phrases": len(every),
        "good": float(np.mean([one == "g" for _, one in every])),
        "bad": float(np.mean([one == "b" for _, one in every])),
        "area_under_curve_good_bad": float(np.searchsorted(bad, good).mean() / len(bad)),
        "good_of_best": float(np.mean([one == "g" for one in best])),
        "bad_of_best": float(np.mean([one == "b" for one in best])),
    }


def put_into(
    folder: Path, network: Network, tokenizer: Tokenizer, kept: Sequence[int] | None = None
) -> None:
    """Write the reranker of an exported folder.

    Args:
        folder: of the model that it will choose for.
        network: what was learned.
        tokenizer: its own, or one of fewer pieces.
        kept: of these their old ids.
    """
    config = network.body.config
    model = graph(weights_of(network, kept or range(config.vocab_size)), config)
    with atomic_path(folder / RERANKER_GRAPH) as path:
        path.write_bytes(model.SerializeToString())
    tokenizer.save(str(folder / RERANKER_TOKENIZER), pretty=False)
    put_hashes(folder, RERANKER_FILES)


def put_hashes(folder: Path, names: Sequence[str]) -> None:
    """Note the hashes of files that were put into an exported folder."""
    manifest = Manifest.read(folder)
    files = manifest.files | {name: sha256_of_file(folder / name) for name in names}
    replace(manifest, files=files).write(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--exported", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path)
    args = parser.parse_args()
    from transformers import AutoModel

    known = prompts_by_key(args.data)
    rows = read_letters(known)
    # Prompts of the same words are one: in the store they share their phrases.
    prompts = sorted({tuple(content_words(row.prompt)) for row in rows})
    held = set(random.Random(0).sample(prompts, round(HELD * len(prompts))))
    apart = [row for row in rows if tuple(content_words(row.prompt)) in held]
    learned = [row for row in rows if tuple(content_words(row.prompt)) not in held]
    tokenizer = Tokenizer.from_file(str(bundled_encoder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    body = AutoModel.from_pretrained(str(bundled_encoder()))
    network, store = Network(body), PhraseStore.read(args.exported)
    if store:
        written = {pair.source for pair in read_targets(known)[0]}
        written = {prompt for prompt in written if tuple(content_words(prompt)) not in held}
        before = args.checkpoint and args.checkpoint.with_suffix(".before")
        learn(network, tokenizer, supposed(store, sorted(written)), 1, before)
    learn(network, tokenizer, learned, checkpoint=args.checkpoint)
    texts = [*public_prompts(args.data), *(phrase for row in rows for phrase in row.phrases)]
    put_into(args.exported, network, *smaller_tokenizer(tokenizer, texts))
    reranker = Reranker.read(args.exported)
    for name, value in figures(reranker, apart).items():
        print(f"{name:>26} {value:.3f}")


if __name__ == "__main__":
    main()
