"""A step that fits into the memory of the devices, without another result.

Two changes of a config save memory and leave the step what it is: recomputing the network's blocks
(`model.remat`) and passing the batch through it in parts that are whole batch-norm groups
(`micro_batches`). They are tried in the order of what they cost in time, by compiling the step.
"""

import math
from collections.abc import Callable, Iterator

import jax
from ml_collections import ConfigDict

from contrastive_jax import agree, errors
from contrastive_jax import config as config_lib
from contrastive_jax.plan import program
from contrastive_jax.plan.images import Images

GIB = 2**30
_SHARE = 0.95  # of what a device says that it has: allocations leave gaps


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
  groups = smaller.model.bn_groups
  if smaller.batch_size % (groups * num_devices):
    return  # its parts would not be equal
  for parts in range(config.micro_batches + 1, groups // num_devices + 1):
    if groups % (parts * num_devices) == 0:
      smaller.micro_batches = parts
      yield smaller.copy_and_resolve_references()


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
  least = None
  for candidate in candidates(config, len(devices)):
    changes = config_lib.differences(config, candidate)
    doing(f"compiling the step with {', '.join(changes) or 'the config as it is'}")
    try:
      compiled = program.make(candidate, images, devices).compile()
    except program.TooLarge as error:
      needed = error.needed_bytes
    else:
      needed = program.memory(compiled)["total"]
      if needed <= limit:
        return candidate, compiled
    least = min(filter(None, (least, needed)), default=None)
  amount = f"{least / GIB:.2f} GiB" if least else "more than there is"
  raise errors.UserError(
    f"batch_size {config.batch_size} needs {amount} on a device, with blocks recomputed and in as "
    f"many parts as model.bn_groups {config.model.bn_groups} allows; {limit / GIB:.2f} GiB may be "
    "used: take a smaller --config.batch_size, more devices, more --config.model.bn_groups, or set "
    "--config.memory_limit_gib"
  )
