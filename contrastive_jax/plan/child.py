"""The process that compiles one plan: `python -m contrastive_jax.plan.child RESULT < request`.

Its environment is that of `topology.environment`. The result, or the one line of a `UserError`, is
written to the file RESULT as JSON: compilers print what they like.
"""

import functools
import json
import math
import os
import pathlib
import sys

import jax

from contrastive_jax import config as config_lib
from contrastive_jax import errors, orphan
from contrastive_jax.losses import similarity
from contrastive_jax.models import convolution
from contrastive_jax.plan import chips, fit, program
from contrastive_jax.plan.images import Images
from contrastive_jax.plan.topology import Topology, devices


def plan(topology: Topology, config_json: str, images: Images) -> dict:
  """Returns what `compile_and_read` finds, the devices, and the arithmetic undivided.

  "memory_limit" is what training would keep to on the devices that are here; None: not known.
  """
  config = config_lib.from_json(config_json)
  found = devices(topology)
  made = program.make(config, images, found)
  read = program.compile_and_read(made, config)
  # From here on, in this process: nothing is run, and loops would be counted as one round.
  similarity._DENSE_SHARE, convolution._OWN_GRADIENTS_ON = math.inf, ()
  alone = program.make(program.in_one_go(config), images, jax.local_devices(backend="cpu")[:1])
  known = topology.chip or chips.of_device(found[0].device_kind)
  return {
    "device_kind": found[0].device_kind,
    "devices": len(found),
    "chip": next((name for name, chip in chips.PEAKS.items() if chip is known), None),
    "memory_limit": None if topology.chip else fit.limit_bytes(config),
    "flops_undivided": program.count_flops(alone),
    **read,
  }


def main() -> None:
  orphan.when_orphaned(os.getppid(), functools.partial(os._exit, 1))  # it may take many minutes
  request = json.loads(sys.stdin.read())
  try:
    result = plan(Topology(*request["topology"]), request["config"], Images(*request["images"]))
  except errors.UserError as error:
    result = {"error": str(error)}
  pathlib.Path(sys.argv[1]).write_text(json.dumps(result))


if __name__ == "__main__":
  main()
