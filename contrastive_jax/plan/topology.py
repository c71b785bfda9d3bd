"""The names of topologies: `v5e:16x16`, `cpu:8`, `here`."""

import dataclasses
import importlib.util
import math
import os
import re

from contrastive_jax import errors
from contrastive_jax.plan.chips import CHIPS, Chip


@dataclasses.dataclass(frozen=True)
class Topology:
  """Devices to compile for: `size` is "4x4x4" of a TPU, a count of the CPU, "" of `here`."""

  family: str
  size: str = ""

  def __str__(self) -> str:
    return f"{self.family}:{self.size}" if self.size else self.family

  @property
  def num_devices(self) -> int | None:
    """How many, None if only the machine knows."""
    return math.prod(map(int, self.size.split("x"))) if self.size else None

  @property
  def chip(self) -> Chip | None:
    return CHIPS.get(self.family)


def parse(text: str) -> list[Topology]:
  """Reads "v5e:4x4,8x8,v4:4x4x4,cpu:8,here"; a size alone is of the family before it.

  Raises:
    UserError: an unknown family, or a size that it cannot have.
  """
  found: list[Topology] = []
  for part in text.split(","):
    family, _, size = part.rpartition(":")
    if part == "here":
      found.append(Topology("here"))
      continue
    family = family or (found[-1].family if found and re.fullmatch(r"[\dx]+", size) else size)
    if family not in (*CHIPS, "cpu"):
      known = ", ".join(f"{name}:{chip.example}" for name, chip in CHIPS.items())
      raise errors.UserError(
        f"--plan={part}: {family or part!r} is unknown; use e.g. {known}, cpu:8 or here (the "
        "devices of this machine)"
      )
    dims = CHIPS[family].dims if family in CHIPS else 1
    if not re.fullmatch(rf"[1-9]\d*(x[1-9]\d*){{{dims - 1}}}", size):
      example = CHIPS[family].example if family in CHIPS else "8"
      raise errors.UserError(
        f"--plan={part}: a size of {family} is written as in {family}:{example}"
      )
    found.append(Topology(family, size))
  return found


def check_installed(topology: Topology) -> None:
  """Raises `UserError` if the compiler for `topology` is missing; loads nothing."""
  if topology.chip and importlib.util.find_spec("libtpu") is None:
    raise errors.UserError(
      f"--plan={topology} needs libtpu, the compiler for TPUs, which runs without one; install the "
      "extra tpu: pip install -e '.[tpu]' (in an environment of its own, see docs/planning.md)"
    )


def environment(topology: Topology) -> dict[str, str]:
  """Returns the environment of the process that compiles for `topology`."""
  found = dict(os.environ)
  if topology.family == "here":
    return found
  found["JAX_PLATFORMS"] = "cpu"
  if topology.chip:
    # Do not look for a TPU or its network, nor for other processes that use this compiler.
    found |= {"TPU_SKIP_MDS_QUERY": "1", "TPU_WORKER_HOSTNAMES": "localhost"}
    found["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "true"
    found.pop("JAX_COMPILATION_CACHE_DIR", None)  # what comes out of it lacks the analyses
  else:
    flag = "--xla_force_host_platform_device_count"
    others = [f for f in found.get("XLA_FLAGS", "").split() if not f.startswith(flag)]
    found["XLA_FLAGS"] = " ".join([*others, f"{flag}={topology.size}"])
  return found


def devices(topology: Topology) -> list:
  """Returns the devices, in a process that has the environment of `topology`.

  Raises:
    UserError: the compiler refuses the size.
  """
  import jax
  from jax.experimental import topologies

  if not topology.chip:
    return jax.devices()
  try:
    found = topologies.get_topology_desc(
      topology_name=str(topology), platform="tpu", **dict(topology.chip.options)
    )
  except jax.errors.JaxRuntimeError as error:
    raise errors.UserError(
      f"--plan={topology} is refused by libtpu ({' '.join(str(error).split())}); sizes are on "
      f"{topology.chip.source}, e.g. {topology.family}:{topology.chip.example}"
    ) from error
  return list(found.devices)
