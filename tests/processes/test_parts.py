"""A state is saved in parts by its processes, and comes back on any others, bit for bit.

All pairs of topologies, with memory: benchmarks/parts.py.
"""

import shutil

import damage
import numpy as np
import parts
import pytest

from contrastive_jax.workdir import checkpoint, manifest

ROWS = 64
BLOCK_BYTES = 16384  # several blocks in a piece


def restored(workdir, in_parts, devices):
  checkpoints = checkpoint.Checkpoints(str(workdir))
  try:
    return checkpoints.restore(parts.forms(ROWS, in_parts, devices))
  finally:
    checkpoints.close()


def run(workdir, **settings):
  return parts.run(workdir, 2, 2, rows=ROWS, block_bytes=BLOCK_BYTES, **settings)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """Steps 1 and 2 of a state in parts, saved by two processes of two devices."""
  folder = tmp_path_factory.mktemp("saved")
  run(folder, save=[1, 2], in_parts=True)
  return folder


@pytest.fixture
def workdir(saved, tmp_path):
  shutil.copytree(saved / "checkpoints", tmp_path / "checkpoints")
  return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("in_parts, devices", [(True, 1), (True, 8), (False, 2)])
def test_what_two_processes_saved_is_exact_on_one(workdir, in_parts, devices):
  state = restored(workdir, in_parts, devices)
  assert int(state.step) == 2 and parts.differences(state) == []


@pytest.mark.slow
def test_each_process_wrote_its_half_once(workdir):
  folders = sorted((workdir / "checkpoints" / "2" / "parts").iterdir())
  sizes = [sum(file.stat().st_size for file in damage.files(folder)) for folder in folders]
  assert [folder.name for folder in folders] == ["0", "1"]
  headers = 8192
  assert sum(sizes) < 4 * 1024 * (3 * ROWS + 2 * 3 * ROWS // 4) + headers
  assert abs(sizes[0] - sizes[1]) < headers


@pytest.mark.slow
@pytest.mark.parametrize("in_parts", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_what_one_process_saved_is_exact_on_two(tmp_path, in_parts):
  damage.save(tmp_path, parts.filled(parts.forms(ROWS, in_parts, 4), 3))
  for told in run(tmp_path, in_parts=True):
    assert told["step"] == 3 and told["differences"] == []


@pytest.mark.slow
def test_a_damage_that_one_process_alone_reads_is_found_by_all(workdir):
  """Each reads its own part, as it wrote it: of process 1's numbers process 0 needs none."""
  path = workdir / "checkpoints" / "2" / "parts" / "1" / "training.safetensors"
  content = bytearray(path.read_bytes())
  content[-3000] ^= 1
  path.write_bytes(content)
  for told in run(workdir, in_parts=True):
    assert told["step"] == 1 and told["differences"] == []
    assert "checkpoint 2 is skipped: leaf " in told["said"]
    assert "in parts/1/training.safetensors does not match its digest" in told["said"]
  assert (workdir / "checkpoints" / "2.damaged").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["parts/0", "parts/1", "parts/1/model.safetensors"])
def test_a_lost_part_is_told_and_the_checkpoint_before_taken(workdir, capfd, lost):
  path = workdir / "checkpoints" / "2" / lost
  shutil.rmtree(path) if path.is_dir() else path.unlink()
  state = restored(workdir, True, 2)
  assert int(state.step) == 1 and parts.differences(state) == []
  assert f"checkpoint 2 is skipped: file {lost}" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("kind", damage.DAMAGES)
def test_no_damage_of_a_part_is_used_in_silence(workdir, tmp_path_factory, capfd, kind):
  rng = np.random.default_rng(damage.DAMAGES.index(kind))
  for _ in range(5):
    copy = tmp_path_factory.mktemp("copy") / "run"
    shutil.copytree(workdir, copy)
    done = damage.damage(rng.choice(damage.files(copy / "checkpoints" / "2")), kind, rng)
    state = restored(copy, True, 2)
    told = "checkpoint 2 is skipped" in capfd.readouterr().err
    assert (int(state.step), told) == (1, True) and parts.differences(state) == [], done


FULL = """
import errno
import jax
from contrastive_jax.workdir import part_files

def full(path, *_):
  raise OSError(errno.ENOSPC, "No space left on device")

if jax.process_index() == 1:
  part_files.write = full
"""


@pytest.mark.slow
@pytest.mark.thorough
def test_a_process_whose_disk_is_full_ends_the_save_of_all(workdir):
  for told in run(workdir, save=[3], in_parts=True, before=FULL):
    assert "process 1 on " in told["failed"] and "No space left on device" in told["failed"]
  assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == ["1", "2"]


def test_a_manifest_counts_every_number_of_every_leaf(tmp_path):
  """Parts that leave a gap are no checkpoint, whatever each of them says."""
  damage.save(tmp_path, parts.filled(parts.forms(8, False, 1), 1))
  listed = manifest.read(tmp_path / "checkpoints" / "1")
  [name, _] = listed["files"]
  rest = {key: listed[key] for key in ("step", "knn", "model", "leaves", "files")}
  for file, table in listed["files"].items():
    rest["files"][file] = parts.part_files.parsed(table, listed["leaves"])
  rest["files"][name]["pieces"].pop()
  with pytest.raises(ValueError, match="0 of 7 numbers of leaf params.scale were written"):
    manifest.compose(**rest)
