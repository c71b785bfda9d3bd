"""Checkpoints that are saved, damaged and restored, and the comparison of states by their bits."""

import hashlib
import pathlib

import jax
import numpy as np

from contrastive_jax.workdir import checkpoint, manifest, state_files

DAMAGES = ("bit", "delete", "truncate")


def damage(path, kind, rng):
  """Flips one bit of a file, cuts it off somewhere, or deletes it; returns what was done."""
  content = bytearray(path.read_bytes())
  if kind == "delete" or not content:
    path.unlink()
    return f"{path.name} deleted"
  place = int(rng.integers(len(content)))
  if kind == "truncate":
    path.write_bytes(content[:place])
    return f"{path.name} cut to {place} bytes"
  content[place] ^= 1 << int(rng.integers(8))
  path.write_bytes(content)
  return f"{path.name} bit flipped in byte {place}"


def files(directory):
  return sorted(p for p in pathlib.Path(directory).rglob("*") if p.is_file())


def same(tree, other):
  leaves, others = jax.tree.leaves(tree), jax.tree.leaves(other)
  return jax.tree.structure(tree) == jax.tree.structure(other) and all(
    a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()
    for a, b in zip(leaves, others, strict=True)
  )


def save(workdir, *states, **options):
  checkpoints = checkpoint.Checkpoints(str(workdir), **options)
  for each in states:
    checkpoints.save(int(each.step), each)
  checkpoints.wait()
  checkpoints.close()


def restore(workdir, like, **options):
  checkpoints = checkpoint.Checkpoints(str(workdir), **options)
  try:
    return checkpoints.restore(like)
  finally:
    checkpoints.close()


def digests(workdir, step):
  """Returns {leaf: SHA-256 of its bytes} of a checkpoint, whoever wrote which part of it."""
  directory = pathlib.Path(workdir) / "checkpoints" / str(step)
  listed = manifest.read(directory)
  with state_files.reader(directory, listed) as reader:
    return {k: hashlib.sha256(reader.read(k).tobytes()).hexdigest() for k in listed["leaves"]}
