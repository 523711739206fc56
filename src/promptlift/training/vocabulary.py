"""A smaller vocabulary: the pieces that given texts need, and those that spell all others.

A text is cut into pieces by merging neighbours, in the order of a list. Kept are all pieces that
the texts are cut into and all that those are merged from, so the same merges happen in the same
order: the texts are cut as before. Other texts may be cut into more pieces, down to bytes.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, pre_tokenizers

from promptlift.errors import ModelError
from promptlift.improving.manifest import CARD_FILE, ModelCard

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_AT_ONCE = 4096  # texts


def prune_vocabulary(model: str, texts: Iterable[str], folder: Path) -> tuple[int, int]:
    """Write a decoder-only model with a smaller vocabulary.

    Args:
        model: folder or Hub name of a Llama.
        texts: what the model will read and write, prefixes included.
        folder: takes model and tokenizer, and the card where the model has one.

    Returns:
        How many pieces there were, and how many are left.

    Raises:
        ModelError: the model cannot be loaded, or does not cut texts by merging pieces (BPE).
    """
    from transformers import AutoTokenizer

    from promptlift.improving.engines.torch import gguf_file, load_torch

    network = load_torch(model).engine.model
    tokenizer = AutoTokenizer.from_pretrained(model, **gguf_file(model))
    before = network.config.vocab_size
    smaller, smaller_tokenizer = prune(network, tokenizer, texts)
    smaller.save_pretrained(str(folder))
    smaller_tokenizer.save_pretrained(str(folder))
    if (Path(model) / CARD_FILE).exists():
        ModelCard.read(Path(model)).write(folder)
    return before, smaller.config.vocab_size


def prune(model: Any, tokenizer: Any, texts: Iterable[str]) -> tuple[Any, Any]:
    """A model and its tokenizer of transformers, with the pieces that texts need.

    The model is changed: only rows of its embedding and its head are left, in their order. The
    tokenizer is a new one.

    Raises:
        ModelError: the tokenizer does not merge pieces (BPE), or the model is no decoder alone.
    """
    backend: Tokenizer = tokenizer.backend_tokenizer
    kind = json.loads(backend.to_str())["model"]["type"]
    if kind != "BPE" or model.config.is_encoder_decoder:
        raise ModelError(
            f"the vocabulary of a {model.config.model_type!r} model with a {kind} tokenizer cannot "
            "be pruned; only that of a Llama with a BPE tokenizer can."
        )
    kept = sorted({*kept_pieces(backend, texts), *tokenizer.all_special_ids})
    new_ids = {old: new for new, old in enumerate(kept)}
    _keep_rows(model, kept, new_ids)
    return model, _smaller_tokenizer(tokenizer, new_ids)


def kept_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> list[int]:
    """Ids of the pieces that the texts, all special pieces and single bytes need, ascending."""
    state = json.loads(tokenizer.to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    parts = defaultdict[str, set[str]](set)  # of a piece, by all ways to merge it
    for left, right in _merges(state["model"]):
        parts[left + right] |= {left, right}
    alphabet = {*pre_tokenizers.ByteLevel.alphabet()}
    kept = {item["id"] for item in state["added_tokens"]}
    waiting = [piece for piece in vocabulary if piece in alphabet or _BYTE.fullmatch(piece)]
    waiting += [piece for piece in (state["model"]["unk_token"],) if piece is not None]
    for ids in _in_batches(tokenizer, texts):
        waiting += [piece for id in ids if (piece := tokenizer.id_to_token(id)) in vocabulary]
    while waiting:
        piece = waiting.pop()
        if vocabulary[piece] not in kept:
            kept.add(vocabulary[piece])
            waiting += parts[piece]
    return sorted(kept)


def _in_batches(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterable[set[int]]:
    """Ids that occur in the texts."""
    every = list(texts)
    for start in range(0, len(every), _AT_ONCE):
        rows = tokenizer.encode_batch(every[start : start + _AT_ONCE])
        yield {id for row in rows for id in row.ids}


def _merges(state: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of pieces that are merged, in order; older files have them in one text."""
    split = (m.split(" ") if isinstance(m, str) else m for m in state["merges"])
    return [(left, right) for left, right in split]


def _keep_rows(model: Any, kept: list[int], new_ids: dict[int, int]) -> None:
    """Leave the rows of the kept pieces in embedding and head."""
    import torch

    rows = torch.tensor(kept, device=model.device)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    tied = head.weight is embedding.weight
    embedding.weight = torch.nn.Parameter(embedding.weight.detach()[rows].clone())
    head.weight = (
        embedding.weight if tied else torch.nn.Parameter(head.weight.detach()[rows].clone())
    )
    embedding.num_embeddings = head.out_features = len(kept)
    model.vocab_size = model.model.vocab_size = len(kept)
    embedding.padding_idx = model.model.padding_idx = new_ids.get(embedding.padding_idx)
    for config in (model.config, model.generation_config):
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "unk_token_id"):
            found = getattr(config, name, None)
            if isinstance(found, int):
                setattr(config, name, new_ids.get(found))
            elif isinstance(found, list):
                setattr(config, name, [new_ids[id] for id in found if id in new_ids])
    model.config.vocab_size = len(kept)


def _smaller_tokenizer(tokenizer: Any, new_ids: dict[int, int]) -> Any:
    """A tokenizer with the kept pieces under their new ids, and the merges between them."""
    from transformers import PreTrainedTokenizerFast

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    model = state["model"]
    merges = _merges(model)
    model["vocab"] = {p: new_ids[id] for p, id in model["vocab"].items() if id in new_ids}
    there = model["vocab"]
    model["merges"] = [
        [left, right]
        for left, right in merges
        if left in there and right in there and left + right in there
    ]
    for item in state["added_tokens"]:
        item["id"] = new_ids[item["id"]]
    _renumber(state["post_processor"], new_ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        chat_template=getattr(tokenizer, "chat_template", None),
        model_max_length=tokenizer.model_max_length,
        **tokenizer.special_tokens_map,
    )


def _renumber(part: Any, new_ids: dict[int, int]) -> None:
    """New ids in what puts special pieces around a text, in place."""
    if not isinstance(part, dict):
        return
    for item in part.get("processors", []):
        _renumber(item, new_ids)
    if part.get("type") == "TemplateProcessing":
        for item in part["special_tokens"].values():
            item["ids"] = [new_ids[id] for id in item["ids"]]
