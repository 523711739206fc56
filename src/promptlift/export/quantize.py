"""Weights in few bits: whole numbers and the scales that make them floats again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Weights of a row that share a scale, by their bits. At 8 bits 64 read a tenth less memory than 32
# and cost little; at 4 bits every one counts (docs/decisions/0020).
BLOCK_SIZES = {8: 64, 4: 32}
RANKS = (16, 32, 64)  # of products that add what was learned since; blocks have such sizes
BITS = {"int8": 8, "int4": 4}  # of the weights of a Llama's layers
TABLE_BITS = 8  # of the embedding and the head: 4 cost 0.032 bits a character, 8 nothing


def by_vector(matrix: Array, axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 with a scale a column (axis 0) or a row (axis 1)."""
    largest = np.abs(matrix).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(matrix / scales).astype(np.int8), scales


@dataclass(frozen=True)
class Blocks:
    """A matrix [rows, columns] in blocks of a row's weights, as `MatMulNBits` takes it.

    Attributes:
        values: uint8 [rows, blocks, bytes of a block], around the middle of the range; of 4 bits
            two in a byte, the first in the lower half. The last block is filled up with zeros.
        scales: float16 [rows, blocks].
        bits: 4 or 8.
        columns: of the matrix, without what fills the last block.
    """

    values: npt.NDArray[np.uint8]
    scales: npt.NDArray[np.float16]
    bits: int
    columns: int

    def matrix(self) -> npt.NDArray[np.float32]:
        """What stands for the matrix, [rows, columns]."""
        values = self.values
        if self.bits == 4:
            values = np.stack([values & 15, values >> 4], axis=3).reshape(*values.shape[:2], -1)
        centred = values.astype(np.float32) - (1 << (self.bits - 1))
        found = (centred * self.scales[:, :, None].astype(np.float32)).reshape(len(values), -1)
        return found[:, : self.columns]


def by_block(matrix: Array, bits: int, size: int | None = None) -> Blocks:
    """Symmetric 4 or 8 bits with a scale for each block of a row, of the usual size where None.

    Each block's largest weight is kept as it is, whatever its sign: the range has one step more
    below its middle, and a smaller scale, which rounds the others better, cost more bits. What
    was rounded so once is rounded to itself. `training.rounding` does the same with tensors.
    """
    rows, columns = matrix.shape
    size = size or BLOCK_SIZES[bits]
    padded = np.pad(matrix.astype(np.float32), ((0, 0), (0, -columns % size)))
    groups = padded.reshape(rows, -1, size)
    lowest, highest = (ends(axis=2, keepdims=True) for ends in (groups.min, groups.max))
    middle = 1 << (bits - 1)
    scales = (np.where(highest > -lowest, highest, lowest) / -middle).astype(np.float16)
    scales[scales == 0] = 1  # a block of zeros, or of less than half precision can hold
    whole = np.rint(groups / scales.astype(np.float32)) + middle
    values = np.clip(whole, 0, 2 * middle - 1).astype(np.uint8)
    if bits == 4:
        values = values[:, :, 0::2] | (values[:, :, 1::2] << 4)
    return Blocks(values, scales[:, :, 0], bits, columns)


def low_rank(matrix: Array, ranks: Sequence[int] = RANKS) -> tuple[Blocks, Blocks]:
    """Two matrices in 4 bits, [rank, columns] and [rows, rank], whose product is nearest to
    `matrix`.

    By its singular values (Eckart and Young, 1936), with the first of the ranks that leaves out
    at most a hundredth of their squares; the second matrix is fitted to the first as rounded.
    """
    _, sizes, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    left_out = [np.sum(sizes[rank:] ** 2) <= 0.01 * np.sum(sizes**2) for rank in ranks]
    rank = ranks[left_out.index(True)] if any(left_out) else ranks[-1]
    sizes[sizes < 1e-4 * sizes[0]] = 0  # nothing but errors of rounding
    right = np.pad(right, ((0, max(0, rank - len(right))), (0, 0)))[:rank]
    scales = np.pad(np.sqrt(sizes), (0, max(0, rank - len(sizes))))[:rank]
    inner = by_block((scales[:, None] * right).astype(np.float32), 4)
    outer = matrix @ np.linalg.pinv(inner.matrix().astype(np.float64))
    return inner, by_block(outer.astype(np.float32), 4, rank)
