"""A step that fits into the memory of the devices, without another result.

Two changes of a config save memory and leave the step what it is: recomputing the network's blocks
(`model.remat`) and passing the batch through it in parts that are whole batch-norm groups
(`micro_batches`). They are tried in the order of what they cost in time, by compiling the step.
Smaller groups change the step: where they alone would help, the error says which.
"""

import math
from collections.abc import Callable, Iterator

import jax
from ml_collections import ConfigDict

from contrastive_jax import agree, build, errors
from contrastive_jax import config as config_lib
from contrastive_jax.plan import program
from contrastive_jax.plan.images import Images

GIB = 2**30
_SHARE = 0.95  # of what a device says that it has: allocations leave gaps
_LEAST_GROUP = 32  # images that share batch statistics; as in MoCo, 256 on 8 GPUs


def limit_bytes(config: ConfigDict) -> float | None:
  """Returns what a step may use of a device: as asked, else what all have; None if unknown.

  Every process must call: all must come to the same step.
  """
  if config.memory_limit_gib:
    return config.memory_limit_gib * GIB
  has = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", math.inf)
  least = agree.least(has)
  return None if math.isinf(least) else _SHARE * least


def candidates(config: ConfigDict, num_devices: int) -> Iterator[ConfigDict]:
  """Yields the config as it is, then with recomputed blocks, then also in more and more parts."""
  yield config
  smaller = config.copy_and_resolve_references()
  if not smaller.model.get("remat", True):
    smaller.model.remat = True
    yield smaller.copy_and_resolve_references()
  if not build.has_batch_norm(config):
    yield from _in_parts(smaller, smaller.batch_size // num_devices)
    return
  groups = smaller.model.bn_groups
  if smaller.batch_size % (groups * num_devices):
    return  # its parts would not be equal
  if groups % num_devices == 0:
    yield from _in_parts(smaller, groups // num_devices)


def _in_parts(config, most):
  """Yields the config in more and more parts, as many as divide `most`."""
  for parts in range(config.micro_batches + 1, most + 1):
    if most % parts == 0:
      config.micro_batches = parts
      yield config.copy_and_resolve_references()


def with_smaller_groups(config: ConfigDict, num_devices: int) -> Iterator[ConfigDict]:
  """Yields the config with recomputed blocks, in 2, 4, 8 .. parts with statistics of their own.

  Groups have 32 images or more. Yields nothing where there is no batch norm.
  """
  parts = 2
  while build.has_batch_norm(config):
    groups = parts * num_devices
    per_group, rest = divmod(config.batch_size, groups)
    if rest or per_group % num_devices or per_group < _LEAST_GROUP:
      return
    if groups > config.model.bn_groups:
      smaller = config.copy_and_resolve_references()
      smaller.model.remat = True
      smaller.micro_batches, smaller.model.bn_groups = parts, groups
      yield smaller
    parts *= 2


def choose(
  config: ConfigDict,
  images: Images,
  devices: list[jax.Device],
  limit: float,
  doing: Callable[[str], None] = lambda what: None,
) -> tuple[ConfigDict, jax.stages.Compiled]:
  """Returns the first candidate whose compiled step needs at most `limit` bytes of a device.

  Args:
    config: of the run.
    images: of the training set.
    devices: of the run.
    limit: bytes.
    doing: is told of each compilation, which may take minutes.

  Raises:
    UserError: none does.
  """

  def try_step(candidate):
    changes = config_lib.differences(config, candidate)
    doing(f"compiling the step with {', '.join(changes) or 'the config as it is'}")
    return _compile(candidate, images, devices)

  least = None
  for candidate in candidates(config, len(devices)):
    compiled, needed = try_step(candidate)
    if compiled and needed <= limit:
      return candidate, compiled
    least = min(filter(None, (least, needed)), default=None)
  amount = f"{least / GIB:.2f} GiB" if least else "more than there is"
  remedy = "more --config.model.bn_groups"
  for candidate in with_smaller_groups(config, len(devices)):
    compiled, needed = try_step(candidate)
    if compiled and needed <= limit:
      groups = candidate.model.bn_groups
      remedy = (
        f"--config.micro_batches={candidate.micro_batches} --config.model.bn_groups={groups}, "
        f"which fits (batch statistics are then of {config.batch_size // groups} images)"
      )
      break
  raise errors.UserError(
    f"batch_size {config.batch_size} needs {amount} on a device, with blocks recomputed and in as "
    f"many parts as model.bn_groups {config.model.bn_groups} allows; {limit / GIB:.2f} GiB may be "
    f"used: take {remedy}, a smaller --config.batch_size, more devices, or set "
    "--config.memory_limit_gib"
  )


def _compile(config, images, devices):
  """Returns the compiled step, None if the compiler refuses it, and the bytes that it needs."""
  try:
    compiled = program.make(config, images, devices).compile()
  except program.TooLarge as error:
    return None, error.needed_bytes
  return compiled, program.memory(compiled)["total"]
