"""Of a checkpoint in a bucket a process reads what its devices hold, and compares every block."""

import jax
import numpy as np
import parts
import pytest
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401

from contrastive_jax import paths
from contrastive_jax.buckets import fetched, objects
from contrastive_jax.buckets.fetched import Block
from contrastive_jax.workdir import (
  boxes,
  bucket,
  checkpoint,
  digests,
  manifest,
  part_files,
  state_files,
)

ROWS = 64  # of 4 KiB


@pytest.fixture
def saved(server, monkeypatch, tmp_path):
  """A machine that has the manifest of a state in parts, and nothing else of it."""
  monkeypatch.setattr(part_files, "BLOCK_BYTES", 2**14)
  monkeypatch.setattr("contrastive_jax.buckets.fetched._MOST_BETWEEN", 64)
  monkeypatch.setenv(paths.CACHE, str(tmp_path / "first"))
  state = parts.filled(parts.forms(ROWS, True), 3)
  with bucket.here(server.address("run")) as (folder, found):
    checkpoints = checkpoint.Checkpoints(folder, mirror=found)
    checkpoints.save(3, state)
    checkpoints.wait()
    checkpoints.close()
  monkeypatch.setenv(paths.CACHE, str(tmp_path / "second"))
  with bucket.here(server.address("run")) as (folder, found):
    yield found, found.folder / "checkpoints" / "3"


@pytest.fixture
def asked(monkeypatch):
  """The parts of objects that are asked for, and what is to be changed in what comes."""
  seen, part = [], objects.Objects.part

  def watched(self, name, start, end):
    seen.append((name, end - start))
    content = part(self, name, start, end)
    return b"?" * len(content) if seen.wrong(len(seen)) else content

  class Seen(list):
    wrong = staticmethod(lambda count: False)

  seen = Seen()
  monkeypatch.setattr(objects.Objects, "part", watched)
  return seen


def quarter(found, directory):
  """Fetches and reads the second quarter of the rows of the bank; returns what was read."""
  with state_files.reader(directory, manifest.read(directory)) as reader:
    box = boxes.cut(boxes.whole((ROWS, 1024)), 0, ROWS // 4, ROWS // 2)
    found.fetch_blocks(3, reader.needed({"memory.bank": [box]}), digests.of)
    return reader.read("memory.bank", box)


def expected():
  index = (slice(ROWS // 4, ROWS // 2), slice(None))
  name = "bank"
  tree = parts.forms(ROWS, False, 1)
  [path] = [p for p, _ in jax.tree_util.tree_flatten_with_path(tree)[0] if name in str(p)]
  return parts.numbers(3, jax.tree_util.keystr(path), (ROWS, 1024), index, np.float32)


def test_a_process_reads_what_it_needs_and_nothing_twice(saved, asked):
  np.testing.assert_array_equal(quarter(*saved), expected())
  own = expected().nbytes
  assert own <= sum(size for _, size in asked) <= own + 8_192, "and the header of the file"
  total = sum(table["bytes"] for table in manifest.read(saved[1])["files"].values())
  assert own < total / 16
  del asked[:]
  np.testing.assert_array_equal(quarter(*saved), expected())
  assert asked == []
  [path] = saved[1].rglob("training.safetensors")  # a bit of what is here, that must be right
  content = bytearray(path.read_bytes())
  place = content.index(expected().tobytes()[:64])
  content[place] ^= 1
  path.write_bytes(content)
  np.testing.assert_array_equal(quarter(*saved), expected())
  assert [size for _, size in asked] == [2**14]


def test_what_the_network_damages_is_asked_for_again_and_what_stays_wrong_is_damage(saved, asked):
  asked.wrong = lambda count: count == 2
  np.testing.assert_array_equal(quarter(*saved), expected())
  for path in saved[1].rglob("*.safetensors"):
    path.unlink()
  asked.wrong = lambda count: True
  with pytest.raises(manifest.Damaged, match="training.safetensors does not match its digest"):
    quarter(*saved)


def test_a_restore_reads_holes_nowhere(saved, asked):
  found, _ = saved
  like = parts.forms(ROWS, True, 2)
  state = checkpoint.Checkpoints(str(found.folder), mirror=found)
  try:
    assert parts.differences(state.restore(like)) == []
  finally:
    state.close()
  assert {name.rpartition("/")[2] for name, _ in asked} == {
    "model.safetensors", "training.safetensors"
  }  # fmt: skip


def test_blocks_that_are_near_are_asked_for_at_once():
  blocks = [Block(0, 10, ""), Block(10, 5, ""), Block(15 + 2**18, 5, ""), Block(2**20, 2**24, "")]
  assert [len(run) for run in fetched._runs(blocks)] == [3, 1]
