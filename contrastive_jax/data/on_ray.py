"""Makes the shards of a prepared set on a Ray cluster: a task a shard, the same as in one process.

Ray hands shards to whoever is free and gives those of a machine that is lost to another; what a
shard is, and which are there already, is the business of `one_shard`. Every machine sees the same
folders and has this package.
"""

import functools
import itertools
import logging
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from contrastive_jax import data, errors
from contrastive_jax.data import kept, preparing
from contrastive_jax.data.one_shard import THEN, Kept, Shards

_ASKED = 1000  # shards that Ray is asked for at a time
_NOT_INSTALLED = "failed to import on the worker"  # words of Ray 2.60, in a RuntimeError


class _Job(NamedTuple):
  source: str
  options: tuple[tuple[str, Any], ...]
  split: str
  folder: str
  how: Kept


def prepare(
  source: str,
  options: Mapping[str, Any],
  split: str,
  folder: pathlib.Path,
  how: Kept,
  *,
  num_threads: int = 1,
  check: bool = False,
) -> bool:
  """Makes all shards of a split that are not there yet, on the cluster of RAY_ADDRESS or here.

  Args:
    source, options: of the images, see `data.build`; each process opens them once.
    split, folder, how, check: see `preparing.prepare`.
    num_threads: of each task, and the CPUs that it asks Ray for.

  Returns:
    True: the whole split is there.

  Raises:
    UserError: Ray is absent or does not answer; or as `preparing.prepare`.
    PeerLost: machines or processes were lost more often than Ray tries.
    SaveFailed, ReadFailed: as `preparing.prepare`.
  """
  ray = _started()
  job = _Job(source, tuple(sorted(options.items())), split, os.path.abspath(folder), how)
  shards = _shards(job)
  progress = preparing.Progress(split, len(shards.source))
  make = ray.remote(num_cpus=num_threads)(_make)
  asked = (make.remote(job, number, num_threads, check) for number in range(shards.count))
  waiting = list(itertools.islice(asked, _ASKED))
  try:
    while waiting:
      (done,), waiting = ray.wait(waiting)
      progress.add(*ray.get(done))
      waiting += itertools.islice(asked, 1)
  except ray.exceptions.RayTaskError as error:
    if _NOT_INSTALLED in str(error.cause):
      reason = str(error.cause).strip().splitlines()[-1]
      raise errors.UserError(
        f"a machine of the Ray cluster cannot import contrastive_jax ({reason}); install it there, "
        "in the same version"
      ) from error
    raise error.cause from error
  except ray.exceptions.RayError as error:
    reason = " ".join(str(error).split())[:300]
    raise errors.PeerLost(f"Ray: {type(error).__name__}: {reason}; {THEN}") from error
  finally:
    for left in waiting:
      ray.cancel(left)
  return preparing.finish(shards)


def _started():
  try:
    import ray
  except ImportError as error:
    raise errors.UserError(
      "--engine=ray needs Ray; pip install '.[ray]', or give --shard=I/N to N machines"
    ) from error
  os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
  try:
    ray.init(logging_level=logging.WARNING, ignore_reinit_error=True)
  except ConnectionError as error:
    address, reason = os.environ.get("RAY_ADDRESS"), " ".join(str(error).split())[:200]
    raise errors.UserError(
      f"no Ray cluster answers at RAY_ADDRESS={address} ({reason}); start it, or unset "
      "RAY_ADDRESS to use this machine"
    ) from error
  return ray


def _make(job: _Job, number: int, num_threads: int, check: bool) -> tuple[int, int]:
  """Makes a shard in a process of Ray; returns how many images it has, and how many unreadable."""
  shards = _shards(job)
  shards.make(number, num_threads, check)
  head, _ = kept.load(shards.note(number), 1)
  return head["images"], head["unreadable"]


@functools.lru_cache(1)
def _shards(job: _Job) -> Shards:
  """Opens the images once in a process. They must be those that the folder is for, see `begin`."""
  source = data.build(job.source, split=job.split, **dict(job.options))
  return preparing.begin(source, job.split, pathlib.Path(job.folder), job.how)
