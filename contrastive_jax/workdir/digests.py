"""The digest by which a block of a checkpoint is known: XXH3 of 128 bits.

It is several times as quick as a disk, so that saving and restoring do not wait for it. Damage that
nobody aimed at it gets past with a chance of 2^-128 a block. It is no proof against somebody who
changes a file on purpose: another content with the same digest can be constructed, as a new digest
could be written; see SECURITY.md.
"""

import xxhash

NAME = "xxh3_128"


def of(block: bytes | memoryview) -> str:
  """Returns the digest of bytes, as hexadecimal text."""
  return xxhash.xxh3_128_hexdigest(block)
