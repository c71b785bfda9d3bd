"""A step that fits into the memory of the devices, without another result.

Two changes of a config save memory and leave the step what it is: recomputing the network's blocks
(`model.remat`) and passing the batch through it in parts that are whole batch-norm groups
(`micro_batches`). They are tried in the order of their cost in time, by compiling the step, which
may take minutes: what cannot be enough is passed over. Smaller groups change the step: where they
alone would help, the error says which.
"""

import math
from collections.abc import Callable, Iterator

import jax
from ml_collections import ConfigDict

from contrastive_jax import build, errors
from contrastive_jax import config as config_lib
from contrastive_jax.plan import program
from contrastive_jax.plan.images import Images
from contrastive_jax.processes import agree

GIB = 2**30
_SHARE = 0.95  # of what a device says that it has: allocations leave gaps
_SHRINK = 0.9  # compilers lay out parts a little better than in proportion
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
  """Yields the config as it is, then what saves memory in the order of the time that it costs.

  To recompute blocks costs a forward pass, parts cost one, however many they are, and both two.
  """
  ways = [config]
  if not config.model.get("remat", True):
    recomputed = config.copy_and_resolve_references()
    recomputed.model.remat = True
    ways.append(recomputed)
  yield from ways
  most = _most_parts(config, num_devices)
  for way in ways:
    for parts in range(config.micro_batches + 1, most + 1):
      if most % parts == 0:
        divided = way.copy_and_resolve_references()
        divided.micro_batches = parts
        yield divided


def _most_parts(config, num_devices):
  """Returns into how many equal parts of whole batch-norm groups a step can be divided."""
  if not build.has_batch_norm(config):
    return config.batch_size // num_devices
  groups = config.model.bn_groups
  equal = config.batch_size % (groups * num_devices) == 0 and groups % num_devices == 0
  return groups // num_devices if equal else 1


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
    changes = config_lib.changes(*map(config_lib.flatten, (config, candidate)))
    doing(f"compiling the step with {', '.join(changes) or 'the config as it is'}")
    return _compile(candidate, images, devices)

  tries = list(candidates(config, len(devices)))
  found: dict[bool, tuple[int, dict]] = {}  # with recomputed blocks or not: parts and their memory
  least = None
  for candidate in tries:
    recomputes = candidate.model.get("remat", False)
    seen = found.get(recomputes)
    if seen and candidate is not tries[-1] and _at_least(*seen, candidate.micro_batches) > limit:
      continue
    compiled, memory = try_step(candidate)
    if compiled and memory["total"] <= limit:
      return candidate, compiled
    found[recomputes] = candidate.micro_batches, memory
    least = min(filter(None, (least, memory["total"])), default=None)
  amount = f"{least / GIB:.2f} GiB" if least else "more than there is"
  remedy = "more --config.model.bn_groups"
  for candidate in with_smaller_groups(config, len(devices)):
    compiled, memory = try_step(candidate)
    if compiled and memory["total"] <= limit:
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


def _at_least(parts: int, memory: dict, more_parts: int) -> float:
  """Returns the bytes that a step needs at least in more parts: its temporaries alone shrink."""
  return memory["total"] - memory["temporaries"] * (1 - _SHRINK * parts / more_parts)


def _compile(config, images, devices):
  """Returns the compiled step, None if the compiler refuses it, and the memory that it needs."""
  try:
    compiled = program.make(config, images, devices).compile()
  except program.TooLarge as error:
    needed = error.needed_bytes or 0.0  # of what, is not told
    return None, {"total": needed, "temporaries": needed}
  return compiled, program.memory(compiled)
