"""Which sources are decoded together."""

from collections.abc import Iterator

# Sources are padded to a multiple of this. The padded length then depends on a source alone,
# never on its neighbours, which would change the last bits of its attention sums.
LENGTH_STEP = 8


def padded(tokens: list[int]) -> int:
    """Length to which a source is padded."""
    return -(-len(tokens) // LENGTH_STEP) * LENGTH_STEP


def batches(order: list[int], encoded: list[list[int]], size: int) -> Iterator[list[int]]:
    """Runs of `order` with one padded length each, at most `size` long."""
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) == size or padded(encoded[index]) != padded(encoded[batch[0]])):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
