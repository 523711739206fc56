"""A FLAN-T5 small enough for a laptop, and real pairs for it, to run the whole of `paper` on.

    python -m benchmarks.tiny_paper --prompts prompts.parquet -o tiny
    promptlift train --preset paper --model tiny/flan --pairs tiny/train.jsonl \
        --validation tiny/test.jsonl --evaluation-pairs 60 --output runs/tiny

T5 1.1's architecture, as FLAN-T5 has it, with random weights and a tokenizer of 2,000 pieces that
is trained on the pairs. A pair is a prompt's first clause and the whole prompt; 3,000 to learn, 300
to measure on. What it shows is that the run works, not that it learns: a model of that size does
not.
"""

import argparse
import random
from pathlib import Path

import torch
from transformers import T5Config, T5ForConditionalGeneration

from promptlift.improving.manifest import PAPER_PREFIX
from promptlift.pairs.load import load_prompts, write_pairs
from promptlift.records import Pair
from promptlift.tables import Row
from promptlift.training.tokenizer import save_tokenizer, train_tokenizer

LEARNED, MEASURED = 3000, 300


def real_pairs(prompts: Path) -> list[Pair]:
    """First clauses of two words or more, with their prompts, in random order."""
    texts = [str(row.value) for row in load_prompts(prompts) if isinstance(row, Row)]
    random.Random(0).shuffle(texts)
    heads = [(text.split(",")[0].strip(), text) for text in texts]
    return [
        Pair(source=head, target=text)
        for head, text in heads
        if len(head.split()) >= 2 and len(text) > len(head) + 20
    ][: LEARNED + MEASURED]


def make_model(pairs: list[Pair], folder: Path) -> None:
    """The tiny FLAN-T5, saved as `transformers` saves one."""
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    tokenizer = train_tokenizer([*texts, PAPER_PREFIX], 2000)
    save_tokenizer(tokenizer, folder)
    torch.manual_seed(0)
    model = T5ForConditionalGeneration(
        T5Config(
            vocab_size=-(-tokenizer.get_vocab_size() // 8) * 8,
            d_model=64,
            d_kv=16,
            d_ff=128,
            num_layers=2,
            num_decoder_layers=2,
            num_heads=4,
            dropout_rate=0.1,
            feed_forward_proj="gated-gelu",
            tie_word_embeddings=False,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    )
    # A head of its own, as FLAN-T5 has it.
    model.lm_head.weight = torch.nn.Parameter(0.125 * torch.randn_like(model.shared.weight))
    model.save_pretrained(str(folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    pairs = real_pairs(args.prompts)
    make_model(pairs, args.output / "flan")
    write_pairs(args.output / "train.jsonl", pairs[:LEARNED])
    write_pairs(args.output / "test.jsonl", pairs[LEARNED:])


if __name__ == "__main__":
    main()
