"""The prefix cache gives back what was put in, to the token, and holds no more than it may."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from toolverifier.models.prefix_cache import PrefixCache  # noqa: E402

BYTES_PER_TOKEN = 1 * 2 * 1 * 4 * 4
TOKENS = st.lists(st.integers(0, 2), max_size=12).map(tuple)


def kv_of(tokens: tuple[int, ...]) -> torch.Tensor:
    """Keys and values ``[1, 2, 1, tokens, 4]`` that tell each token's whole history."""
    codes = [hash(tokens[: end + 1]) % 10007 for end in range(len(tokens))]
    return torch.tensor(codes, dtype=torch.float32).repeat(1, 2, 1, 4, 1).transpose(-1, -2)


def found(cache: PrefixCache, tokens: tuple[int, ...]) -> tuple[int, torch.Tensor]:
    prefix = cache.lookup(tokens)
    empty = kv_of(())
    return prefix.length, torch.cat([empty, *prefix.spans], dim=-2)


def test_an_empty_cache_finds_nothing():
    cache = PrefixCache(max_bytes=1000)
    assert cache.lookup((1, 2)) == (0, ())
    assert (len(cache), cache.bytes) == (0, 0)


def test_what_two_sequences_share_is_held_once():
    cache = PrefixCache(max_bytes=10_000)
    for tokens in [(1, 2, 3, 4), (1, 2, 5), (1, 2)]:
        cache.insert(tokens, kv_of(tokens))
    assert len(cache) == 5
    assert cache.bytes == 5 * BYTES_PER_TOKEN


def test_the_last_tokens_alone_are_inserted_after_what_is_held():
    cache = PrefixCache(max_bytes=10_000)
    cache.insert((1, 2), kv_of((1, 2)))
    cache.insert((1, 2, 3, 4), kv_of((1, 2, 3, 4))[..., 2:, :])
    length, kv = found(cache, (1, 2, 3, 4, 5))
    assert length == 4
    assert torch.equal(kv, kv_of((1, 2, 3, 4)))


def test_nothing_is_inserted_after_tokens_that_are_not_held():
    cache = PrefixCache(max_bytes=10_000)
    cache.insert((1, 2, 3), kv_of((1, 2, 3))[..., 2:, :])
    assert len(cache) == 0


def test_the_least_recently_used_sequence_goes_first():
    cache = PrefixCache(max_bytes=6 * BYTES_PER_TOKEN)
    for tokens in [(1, 1, 1), (2, 2, 2)]:
        cache.insert(tokens, kv_of(tokens))
    cache.lookup((1, 1, 1))
    cache.insert((3, 3, 3), kv_of((3, 3, 3)))
    assert [cache.lookup((n, n, n)).length for n in (1, 2, 3)] == [3, 0, 3]


def test_what_others_hang_on_outlives_them():
    cache = PrefixCache(max_bytes=5 * BYTES_PER_TOKEN)
    for tokens in [(1, 1, 2), (1, 1, 3), (1, 1, 4), (1, 1, 5)]:
        cache.insert(tokens, kv_of(tokens))
    assert [cache.lookup((1, 1, last)).length for last in (2, 3, 4, 5)] == [2, 3, 3, 3]


def test_what_was_found_stays_valid_after_its_eviction():
    cache = PrefixCache(max_bytes=3 * BYTES_PER_TOKEN)
    cache.insert((1, 2, 3), kv_of((1, 2, 3)))
    prefix = cache.lookup((1, 2, 3))
    cache.insert((4, 5, 6), kv_of((4, 5, 6)))
    assert cache.lookup((1, 2, 3)).length == 0
    assert torch.equal(torch.cat(prefix.spans, dim=-2), kv_of((1, 2, 3)))


def test_a_sequence_that_is_larger_than_the_bound_is_not_held():
    cache = PrefixCache(max_bytes=2 * BYTES_PER_TOKEN)
    cache.insert((1, 2, 3), kv_of((1, 2, 3)))
    assert (len(cache), cache.bytes) == (0, 0)


@given(inserted=st.lists(TOKENS, max_size=12), wanted=TOKENS)
def test_a_lookup_gives_the_longest_prefix_that_was_ever_inserted(inserted, wanted):
    cache = PrefixCache(max_bytes=1 << 20)
    for tokens in inserted:
        cache.insert(tokens, kv_of(tokens))
    prefixes = {tokens[:end] for tokens in inserted for end in range(len(tokens) + 1)} | {()}
    longest = max(end for end in range(len(wanted) + 1) if wanted[:end] in prefixes)
    length, kv = found(cache, wanted)
    assert length == longest
    assert torch.equal(kv, kv_of(wanted[:longest]))
    assert len(cache) == len(prefixes) - 1


@given(inserted=st.lists(TOKENS, max_size=20), bound=st.integers(0, 10))
def test_a_bound_holds_and_what_is_left_is_right(inserted, bound):
    cache = PrefixCache(max_bytes=bound * BYTES_PER_TOKEN)
    for tokens in inserted:
        cache.insert(tokens, kv_of(tokens))
        assert cache.bytes == len(cache) * BYTES_PER_TOKEN <= cache.max_bytes
    for tokens in inserted:
        length, kv = found(cache, tokens)
        assert torch.equal(kv, kv_of(tokens[:length]))
