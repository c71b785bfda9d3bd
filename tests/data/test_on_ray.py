"""Shards that Ray has made are those of one process; without Ray a line names the extra."""

import os
import subprocess
import sys
import types

import picture_sets
import pytest

from contrastive_jax import data, errors
from contrastive_jax.data import on_ray, one_shard, preparing

SMALL = preparing.Kept(size_px=6, kind="png", images_per_shard=5)


class _Lost(Exception):
  """As `ray.exceptions.RayError`: a process or a machine is gone."""


class _Failed(_Lost):
  """As `ray.exceptions.RayTaskError`: what a task raised is its cause."""

  def __init__(self, cause):
    self.cause = cause


@pytest.fixture
def ray(monkeypatch):
  """What is used of Ray, where tasks run when they are waited for, the last one first."""

  def got(reference):
    call, *given = reference
    try:
      return call(*given)
    except _Lost:
      raise
    except Exception as error:
      raise _Failed(error) from error

  fake = types.SimpleNamespace(
    init=lambda **options: None,
    remote=lambda num_cpus: lambda call: types.SimpleNamespace(remote=lambda *g: (call, *g)),
    wait=lambda references: (references[-1:], references[:-1]),
    get=got,
    cancelled=[],
    exceptions=types.SimpleNamespace(RayError=_Lost, RayTaskError=_Failed),
  )
  fake.cancel = fake.cancelled.append
  monkeypatch.setitem(sys.modules, "ray", fake)
  on_ray._shards.cache_clear()
  yield fake
  on_ray._shards.cache_clear()


def asked(root, out, **given):
  return on_ray.prepare("folder", {"path": str(root / "pictures")}, "train", out, SMALL, **given)


def whole(root):
  """Returns what one process makes."""
  _, options = picture_sets.write("folder", root / "pictures")
  source = data.build("folder", split="train", **options)
  preparing.prepare(source, "train", root / "one", SMALL)
  return files(root / "one")


def files(out):
  return {path.name: path.read_bytes() for path in sorted(out.iterdir()) if path.is_file()}


def test_tasks_make_the_files_that_one_process_makes(tmp_path, ray, monkeypatch):
  monkeypatch.setattr(on_ray, "_ASKED", 2)  # of three shards
  wanted = whole(tmp_path)
  assert asked(tmp_path, tmp_path / "out") and files(tmp_path / "out") == wanted


def test_shards_that_are_there_are_not_made_again(tmp_path, ray, monkeypatch):
  wanted, out = whole(tmp_path), tmp_path / "one"
  next(out.glob("*.arrayrecord")).unlink()
  made, true = [], one_shard.Shards._make
  monkeypatch.setattr(
    one_shard.Shards, "_make", lambda self, n, *given: (made.append(n), true(self, n, *given))
  )
  assert asked(tmp_path, out) and len(made) == 1 and files(out) == wanted


def test_what_a_task_raises_is_raised_by_name_and_the_rest_is_called_off(
  tmp_path, ray, monkeypatch
):
  whole(tmp_path)
  for raised, wanted in (
    (errors.SaveFailed("full"), errors.SaveFailed),
    (_Lost("a worker\ndied"), errors.PeerLost),
    (RuntimeError("It failed to import on the worker:\nNo full module"), errors.UserError),
  ):

    def fails(*given, raised=raised):
      raise raised

    monkeypatch.setattr(one_shard.Shards, "make", fails)
    ray.cancelled.clear()
    with pytest.raises(wanted, match="full|_Lost: a worker died; give the same") as error:
      asked(tmp_path, tmp_path / "out")
    assert "\n" not in str(error.value) and len(ray.cancelled) == 2


def test_without_ray_a_line_names_the_extra(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "ray", None)
  with pytest.raises(errors.UserError, match=r"pip install '.\[ray\]', or give --shard=I/N"):
    asked(tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_a_cluster_on_this_machine_makes_the_files_that_one_process_makes(tmp_path):
  pytest.importorskip("ray", reason="the extra ray is not installed")
  wanted = whole(tmp_path)
  words = ["--config.data.source=folder", f"--config.data.folder.path={tmp_path}/pictures"]
  words += ["--config.data.split=train", "--size_px=6", "--format=png", "--images_per_shard=5"]
  subprocess.run(
    [sys.executable, "-m", "contrastive_jax", "prepare", *words, "--engine=ray"]
    + [f"--out={tmp_path}/out"],
    check=True,
    env={key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"},
    timeout=300,
  )
  assert files(tmp_path / "out") == wanted
