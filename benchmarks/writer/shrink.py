"""A smaller model to begin with: fewer pieces in its vocabulary, fewer layers.

    python -m benchmarks.writer.shrink --model MODEL --output FOLDER --texts FILE... --drop 5 12

Texts are pairs (JSON Lines) or plain lines; without them the vocabulary stays whole. With `--least
3` it keeps the pieces of words that occur three times or more; rarer ones are cut into more pieces.
Layers are counted from 0. What was dropped is to be learned again: `promptlift train --preset
writer`.
"""

import argparse
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from promptlift.improving.engines.torch import load_torch
from promptlift.training.config import DEFAULT_FORMS, POCKET_MODES
from promptlift.training.vocabulary import prune_vocabulary


def texts_of(files: Sequence[Path]) -> Iterator[str]:
    """What the model will read and write; prefixes first."""
    for form in DEFAULT_FORMS.values():
        yield from (form + mode for mode in POCKET_MODES.values())
    for file in files:
        for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n"):
            if file.suffix == ".jsonl":
                row = json.loads(line)
                yield from (row["source"], row["target"])
            else:
                yield line


def common(texts: Iterator[str], least: int) -> list[str]:
    """Words and signs that occur so often, with the blank before them where there is one."""
    counts = Counter(word for text in texts for word in re.findall(r" ?\w+|\W", text))
    return [word for word, count in counts.items() if count >= least]


def drop_layers(folder: Path, dropped: Sequence[int]) -> None:
    """Leave layers out of a saved Llama, in place."""
    from torch.nn import ModuleList

    network = load_torch(str(folder)).engine.model
    kept = [layer for place, layer in enumerate(network.model.layers) if place not in dropped]
    for place, layer in enumerate(kept):
        layer.self_attn.layer_idx = place
    network.model.layers = ModuleList(kept)
    network.config.num_hidden_layers = len(kept)
    if getattr(network.config, "layer_types", None):
        network.config.layer_types = network.config.layer_types[: len(kept)]
    network.save_pretrained(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--least", type=int, default=1)
    parser.add_argument("--drop", type=int, nargs="*", default=[])
    args = parser.parse_args()
    if args.texts:
        texts = texts_of(args.texts)
        needed = [*texts_of([]), *common(texts, args.least)] if args.least > 1 else texts
        before, after = prune_vocabulary(args.model, needed, args.output)
        print(f"{after:,} of {before:,} pieces kept")
    else:
        shutil.copytree(args.model, args.output)
    if args.drop:
        drop_layers(args.output, args.drop)
        print(f"{len(args.drop)} layers left out")


if __name__ == "__main__":
    main()
