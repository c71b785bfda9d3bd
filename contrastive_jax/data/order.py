"""The order of an epoch: which image stands at which place, of seed and epoch alone.

"feistel" computes the image of any place by itself, in constant time and memory: a Feistel network
over the pairs of two numbers, with addition in place of exclusive or (Black and Rogaway, "Ciphers
with arbitrary finite domains", CT-RSA 2002). There may be a few more pairs than images; a place
that falls on one of these goes through the network again ("cycle walking", ibid.).

"sort" is the order of runs that began before: random keys for all images, sorted, which takes 16
bytes an image in each process and worker, and the time of the sort at the head of each epoch.

Integers alone are computed with, and of NumPy's generators the raw stream of Philox, which is kept
stable: the order is the same on every machine and version.
"""

import functools
import math

import numpy as np

NAMES = ("feistel", "sort")
NEWEST = NAMES[0]
BEFORE = "sort"  # of a run whose config does not say

# Small sets need more rounds: of 9 images six rounds put two side by side 1.19 times as often as
# chance does, of 100 images 1.04 times, and of 1,000 as often (benchmarks/epoch_order.py).
_ROUNDS, _ROUNDS_OF_SMALL = 6, 24
_BLOCK = 2**14  # places computed at a time: their numbers stay in the cache of a core
_BLOCKS_KEPT = 8  # 128 KiB each; threads near the end of an epoch use blocks of two
_SPLITS_TRIED = 512
# Constants of a 32-bit mixer found by search: Wellons, "Prospecting for hash functions" (2018).
_FIRST, _SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_HALF = np.uint32(15)
_KEYS_OF_SORT, _KEYS_OF_ROUNDS = 3, 6  # Philox counters; 1, 2, 4 and 5 are of other draws


def at(start: int, stop: int, *, num_images: int, seed: int, epoch: int, name: str) -> np.ndarray:
  """Returns which images stand at the places start..stop of an epoch: int64 [stop - start].

  Over the places 0..num_images every image comes once.

  Args:
    start, stop: 0 <= start <= stop <= num_images.
    num_images: of the set.
    seed: of the run.
    epoch: from 0 on.
    name: one of `NAMES`.
  """
  if name == "sort":
    return _sorted(num_images, seed, epoch)[start:stop]
  blocks = range(start // _BLOCK, -(-stop // _BLOCK))
  parts = [_block(num_images, seed, epoch, block) for block in blocks]
  if not parts:
    return np.empty(0, np.int64)
  first = blocks[0] * _BLOCK
  whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
  return whole[start - first : stop - first]


@functools.lru_cache(maxsize=4)  # threads near the end of an epoch use two of them
def _sorted(n: int, seed: int, epoch: int) -> np.ndarray:
  keys = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, _KEYS_OF_SORT]).random_raw(n)
  order = np.argsort(keys, kind="stable")
  order.flags.writeable = False
  return order


@functools.lru_cache(maxsize=_BLOCKS_KEPT)
def _block(n: int, seed: int, epoch: int, number: int) -> np.ndarray:
  start = number * _BLOCK
  places = np.arange(start, min(start + _BLOCK, n), dtype=np.uint64)
  sizes = split(n)
  keys = round_keys(seed, epoch, _ROUNDS_OF_SMALL if n <= _BLOCK else _ROUNDS)
  images = feistel(places, sizes, keys)
  beyond = np.flatnonzero(images >= n)
  while len(beyond):
    images[beyond] = feistel(images[beyond], sizes, keys)
    beyond = beyond[images[beyond] >= n]
  found = images.view(np.int64)
  found.flags.writeable = False
  return found


@functools.lru_cache(maxsize=16)
def split(n: int) -> tuple[int, int]:
  """Returns numbers a and b near the root of n with n <= a b, as near to n as can be found.

  a is even: where both are odd no round is an odd permutation, and half of all orders never come.
  """
  least = max(2, math.isqrt(n) // 2 * 2)
  most = min(least + 2 * _SPLITS_TRIED, 2 * least)  # of a small set the halves stay alike
  a = min(range(least, most + 1, 2), key=lambda a: -n % a)
  return a, -(-n // a)


@functools.lru_cache(maxsize=16)
def round_keys(seed: int, epoch: int, rounds: int) -> np.ndarray:
  """Returns the keys of an epoch's rounds: uint32 [rounds]."""
  stream = np.random.Philox(key=[seed, epoch], counter=[0, 0, 0, _KEYS_OF_ROUNDS])
  return (stream.random_raw(rounds) >> np.uint64(32)).astype(np.uint32)


def feistel(x: np.ndarray, sizes: tuple[int, int], keys: np.ndarray) -> np.ndarray:
  """Maps numbers below a b one to one onto such numbers: uint64 [n] to uint64 [n].

  Args:
    x: the numbers.
    sizes: a and b, each below 2^31.
    keys: uint32, one a round.
  """
  a, b = sizes
  left = x // np.uint64(b)
  right = (x - left * np.uint64(b)).astype(np.uint32)
  halves = (left.astype(np.uint32), right)
  mixed, other = np.empty_like(right), np.empty_like(right)
  wide = np.empty_like(x)
  upper = wide.view(np.uint32)[1::2]  # of little-endian numbers, as on all that JAX runs on
  for number, key in enumerate(keys):
    half, of, size = halves[number % 2], halves[1 - number % 2], sizes[number % 2]
    np.bitwise_xor(of, key, out=mixed)
    np.multiply(mixed, _FIRST, out=mixed)
    np.right_shift(mixed, _HALF, out=other)
    np.bitwise_xor(mixed, other, out=mixed)
    np.multiply(mixed, _SECOND, out=mixed)
    np.multiply(mixed, np.uint64(size), out=wide, dtype=np.uint64)  # its upper half is below size
    np.add(half, upper, out=half)
    np.subtract(half, np.uint32(size), out=mixed)  # wraps round to a huge number if half < size
    np.minimum(half, mixed, out=half)
  return halves[0] * np.uint64(b) + halves[1]
