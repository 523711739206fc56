"""Put the phrases of `targets.tsv.gz` into an exported folder, to be looked up.

    python -m benchmarks.writer.store --data FOLDER --exported MODEL

Taken are the tags that were written for short prompts and single words, without what the checks of
a result drop, and what readers found to belong (`letters.tsv.gz`). Of each prompt the stems of its
content words are kept. FOLDER is as in `targets.py`.

Each word gets a vector, so that prompts which share none can be near. A ridge regression learns
them: the sum of a prompt's word vectors, each weighed by its inverse document frequency, is to be
what all-MiniLM-L6-v2 (mean of the last states) makes of the prompt, in its 64 main directions. It
learns from the store's prompts and 10,000 short cuts of public ones.
"""

import argparse
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from benchmarks.writer.reranker import put_hashes, read_letters
from benchmarks.writer.targets import checked, prompts_by_key, read_targets
from promptlift.improving.phrase_store import STORE_FILE, PhraseStore, content_words
from promptlift.prompts.clauses import split_clauses
from promptlift.scoring.text.encoders import bundled_encoder

MORE, WIDTH, STRENGTH = 10_000, 64, 0.3
FEWEST = 6  # prompts with a word that is in none of the store
FloatArray = npt.NDArray[np.float32]


def embedded(texts: Sequence[str]) -> FloatArray:
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


def word_vectors(
    prompts: Sequence[Sequence[str]], meanings: FloatArray, kept: set[str]
) -> tuple[list[str], FloatArray]:
    """Words, and a vector of each by which prompts of such words mean this; [words, WIDTH].

    Args:
        prompts: the words of each.
        meanings: [prompts, any width].
        kept: words that get a vector however rare they are.
    """
    counts = Counter(word for words in prompts for word in words)
    known = sorted(word for word in counts if word in kept or counts[word] >= FEWEST)
    place = {word: at for at, word in enumerate(known)}
    weight = np.array([math.log((len(prompts) + 1) / (counts[word] + 1)) for word in known])
    rows = [[place[word] for word in words if word in place] for words in prompts]
    parts = [weight[row] / (np.linalg.norm(weight[row]) or 1.0) for row in rows]
    starts = np.cumsum([0, *map(len, rows)])
    shape = (len(rows), len(known))
    matrix = sparse.csr_matrix((np.concatenate(parts), np.concatenate(rows), starts), shape=shape)
    centred = meanings - meanings.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    gram = (matrix.T @ matrix).toarray() + STRENGTH * np.eye(len(known))
    found = cho_solve(cho_factor(gram), matrix.T @ (centred @ directions[:WIDTH].T))
    return known, np.asarray(weight[:, None] * found, dtype=np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--exported", type=Path, required=True)
    args = parser.parse_args()
    known = prompts_by_key(args.data)
    written, _ = read_targets(known)
    tags = [pair for pair in written if pair.mode == "extend" and pair.form == "tags"]
    belonging = [(pair.source, split_clauses(pair.target)) for pair in map(checked, tags) if pair]
    for row in read_letters(known):
        good = [phrase for phrase, one in zip(row.phrases, row.letters, strict=True) if one == "g"]
        belonging.append((row.prompt, good))
    phrases: dict[tuple[str, ...], list[str]] = {}
    for prompt, own in belonging:
        if own and (words := tuple(content_words(prompt))):
            phrases.setdefault(words, []).extend(own)
    short = [text for text in known.values() if 2 <= len(text.split()) <= 16]
    more = random.Random(1).sample(short, MORE)
    texts = list(dict.fromkeys([*(prompt for prompt, _ in belonging), *more]))
    kept = {word for words in phrases for word in words}
    vocabulary, vectors = word_vectors(list(map(content_words, texts)), embedded(texts), kept)
    scales = np.abs(vectors).max(axis=1) / 127 + 1e-12
    store = PhraseStore.of(
        vocabulary,
        np.rint(vectors / scales[:, None]).astype(np.int8),
        scales.astype(np.float32),
        [(own, list(dict.fromkeys(told))) for own, told in phrases.items()],
    )
    store.write(args.exported)
    put_hashes(args.exported, [STORE_FILE])
    print(f"{len(store.prompts)} prompts, {len(store.phrases)} phrases, {len(vocabulary)} words")


if __name__ == "__main__":
    main()
