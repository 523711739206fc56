"""What a training step reads: token ids of pairs, their order, and batches of them."""

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from promptlift.records import Pair
from promptlift.training.config import TrainingConfig

if TYPE_CHECKING:
    import torch

    from promptlift.training.models import Start

IGNORED = -100  # label that the loss leaves out, as in transformers
# input_ids and labels; of a pair with a worse target also rejected_ids and rejected_labels, and
# reference, by how much the reference finds the better one likelier.
Row = dict[str, Any]
Collate = Callable[[list[Row]], "dict[str, torch.Tensor | int]"]


def tokenized(
    pairs: list[Pair], start: "Start", prefix: Callable[[str, str], str], config: TrainingConfig
) -> list[Row]:
    """Token ids of sources and targets (end included), by pair.

    Both are cut to the longest that the settings allow. To a decoder-only model they are one text,
    and what it learns is only the target.

    Args:
        pairs: source and target of each.
        start: whose tokenizer to use.
        prefix: the text before a source, of mode and form.
        config: settings of the run.
    """
    sources = start.encode([prefix(pair.mode, pair.form) + pair.source for pair in pairs])
    targets = start.encode_targets([pair.target for pair in pairs])
    rejected = iter(
        start.encode_targets([one.rejected for one in pairs if one.rejected is not None])
    )
    most = config.max_source_tokens

    def texts(source: list[int], target: list[int]) -> tuple[list[int], list[int]]:
        """Token ids and labels."""
        # A cut target has no end token: the model must not learn to stop there.
        target = target[: config.max_target_tokens]
        if not start.decoder_only:
            return source, target
        source = [*source, start.tokens["decoder_start"]]
        return source + target, [IGNORED] * len(source) + target

    rows: list[Row] = []
    for pair, source, target in zip(pairs, sources, targets, strict=True):
        if len(source) > most:
            source = source[: most - 1] + source[-1:]
        row = dict(zip(("input_ids", "labels"), texts(source, target), strict=True))
        if pair.rejected is not None:
            worse = texts(source, next(rejected))
            row |= zip(("rejected_ids", "rejected_labels"), worse, strict=True)
        rows.append(row)
    return rows


def source_of(row: Row) -> list[int]:
    """The source in a row, as the model reads it before it writes."""
    unlearned = row["labels"].count(IGNORED)
    found: list[int] = row["input_ids"][: unlearned - 1] if unlearned else row["input_ids"]
    return found


def learned_tokens(row: Row) -> int:
    """How many tokens of a row's target are learned."""
    return sum(label != IGNORED for label in row["labels"])


def sample_of(rows: list[Row], count: int, seed: int) -> list[Row]:
    """So many of the rows, the same for the same seed."""
    drawn = random.Random(seed).sample(range(len(rows)), min(count, len(rows)))
    return [rows[index] for index in sorted(drawn)]


class EpochSampler:
    """Indices of an epoch, in an order that only seed and epoch decide.

    The order of transformers' own sampler depends on the global random state, so that a run
    which was stopped within an epoch went on with other batches.

    Args:
        lengths: of the examples; batches hold like ones where `grouped`.
        batch_size: of all processes together.
        seed: of the order.
        grouped: otherwise the order is random throughout.
    """

    def __init__(
        self, lengths: list[int], batch_size: int, seed: int, *, grouped: bool = True
    ) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0
        self.grouped = grouped

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        import torch

        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        if not self.grouped:
            yield from order
            return
        size = self.batch_size
        pool = size * 64  # sorted within pools: like lengths, yet other neighbours each epoch
        batches = []
        for start in range(0, len(order), pool):
            part = sorted(order[start : start + pool], key=lambda index: self.lengths[index])
            batches += [part[first : first + size] for first in range(0, len(part), size)]
        # A short batch comes last, else every later batch would straddle two length groups.
        short = [batch for batch in batches if len(batch) < size]
        full = [batch for batch in batches if len(batch) == size]
        for place in torch.randperm(len(full), generator=generator).tolist():
            yield from full[place]
        for batch in short:
            yield from batch


def order_of(rows: list[Row], batch_size: int, config: TrainingConfig) -> EpochSampler:
    """The order that a run with these settings learns examples in."""
    lengths = [len(row["labels"]) * 64 + min(len(row["input_ids"]), 63) for row in rows]
    return EpochSampler(lengths, batch_size, config.seed, grouped=config.group_by_length)


def collate(pad: int, longest_of: Callable[[int], int] = int) -> Collate:
    """Pads a batch: input_ids, attention_mask and labels, int64 [batch, longest].

    Worse targets follow behind all others, with their sources; `paired` has the row of the better
    one of each, and `reference` what `preference.add_reference` noted.

    Where no label of a decoder-only model is learned at the first tokens, it computes no logits
    there: `logits_to_keep` counts those that it does, and labels are as many.

    Args:
        pad: token that fills input_ids.
        longest_of: length to pad to, of the longest length in a batch.
    """
    import torch

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        longest = longest_of(max(map(len, rows)))
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    def join(rows: list[Row]) -> "dict[str, torch.Tensor | int]":
        paired = [place for place, row in enumerate(rows) if "rejected_ids" in row]
        reference = [rows[place].get("reference", 0.0) for place in paired]
        rows = rows + [
            {"input_ids": rows[place]["rejected_ids"], "labels": rows[place]["rejected_labels"]}
            for place in paired
        ]
        texts = [row["input_ids"] for row in rows]
        batch: dict[str, torch.Tensor | int] = {
            "input_ids": padded(texts, pad),
            "attention_mask": padded([[1] * len(text) for text in texts], 0),
        }
        labels = padded([row["labels"] for row in rows], IGNORED)
        # The logits of a token foretell the next one, so the last token not learned counts.
        unused = min(row["labels"].count(IGNORED) for row in rows) - 1
        if unused >= 0:
            longest = labels.shape[1]
            kept = min(longest, longest_of(longest - unused))
            labels = labels[:, longest - kept :]
            batch["logits_to_keep"] = kept
        if paired:
            batch["paired"], batch["reference"] = torch.tensor(paired), torch.tensor(reference)
        return {**batch, "labels": labels}

    return join


def bucket(length: int) -> int:
    """The next power of two from 16: a compiled step is compiled once for each length."""
    return max(16, 1 << (length - 1).bit_length())
