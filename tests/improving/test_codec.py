"""Batches of one padded length, and sources that are cut."""

from hypothesis import given
from hypothesis import strategies as st

from promptlift.improving.codec import MAX_SOURCE_TOKENS, batches, padded_length
from promptlift.improving.improver import Improver

ROWS = st.lists(st.lists(st.just(5), min_size=1, max_size=40), max_size=30)


@given(sources=ROWS, size=st.integers(1, 5))
def test_a_batch_has_one_padded_length_and_each_source_is_in_one(
    sources: list[list[int]], size: int
) -> None:
    found = list(batches(sources, size))
    assert sorted(index for batch in found for index in batch) == list(range(len(sources)))
    for batch in found:
        assert 1 <= len(batch) <= size
        assert len({padded_length(sources[index]) for index in batch}) == 1


@given(sources=ROWS)
def test_targets_of_like_length_share_a_batch(sources: list[list[int]]) -> None:
    for batch in batches(sources, 3, targets=sources):
        lengths = [len(sources[index]) for index in batch]
        assert lengths == sorted(lengths)


def test_a_long_source_is_cut_and_still_ends(improver: Improver) -> None:
    codec = improver.here.codec
    text = "soft light, " * 600
    [whole], [cut] = codec.encode_targets([text]), codec.encode([text])
    assert len(whole) > MAX_SOURCE_TOKENS == len(cut)
    assert cut[:-1] == whole[: MAX_SOURCE_TOKENS - 1] and cut[-1] == codec.special.eos


def test_padding_is_masked(improver: Improver) -> None:
    codec = improver.here.codec
    rows = [[7, 8, 9], [5] * 11]
    input_ids, mask = codec.pad(rows)
    assert input_ids.shape == mask.shape == (2, 16)
    for row, ids, seen in zip(rows, input_ids, mask, strict=True):
        assert ids[seen == 1].tolist() == row
        assert set(ids[seen == 0].tolist()) == {codec.special.pad}
