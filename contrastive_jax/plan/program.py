"""The training step of a config, lowered and compiled from shapes alone."""

import contextlib
import logging
import math
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import PyTree
from ml_collections import ConfigDict

from contrastive_jax import build, keys, parallel, run_images
from contrastive_jax.data.pixels import RGB, Form
from contrastive_jax.plan import arithmetic, hlo, traffic
from contrastive_jax.plan.images import Images
from contrastive_jax.step import state as state_lib


class Program(NamedTuple):
  """A step that is ready to be lowered, and the shapes that it takes."""

  step: jax.stages.Wrapped
  state: PyTree  # of ShapeDtypeStruct with shardings
  batch: PyTree
  mesh: Mesh

  def compile(self) -> jax.stages.Compiled:
    """Compiles the step. Raises `TooLarge` if the compiler finds that it does not fit."""
    try:
      with parallel.use(self.mesh):
        return self.step.lower(self.state, self.batch).compile()
    except jax.errors.JaxRuntimeError as error:
      text = " ".join(str(error).split())
      if "RESOURCE_EXHAUSTED" not in text:
        raise
      raise TooLarge(text[:300], _needed(text)) from error


class TooLarge(Exception):
  """The compiler refused a step for its size."""

  def __init__(self, reason: str, needed_bytes: float | None):
    super().__init__(reason)
    self.needed_bytes = needed_bytes


def make(config: ConfigDict, images: Images, devices: list[jax.Device]) -> Program:
  """Builds the step as `trainer.train` does, with shapes in place of arrays.

  Raises:
    UserError: whatever training would refuse.
  """
  mesh = parallel.make_mesh(devices)
  run = build.run(config, images.count, images.classes, mesh.size)
  mesh = state_lib.divided(run.init, mesh) if config.fsdp else mesh
  with parallel.use(mesh):
    state = jax.eval_shape(lambda: run.init(keys.stream(config.seed, "init")))
  return Program(
    jax.jit(run.step, donate_argnums=0),
    _struct(state, state_lib.shardings(state, mesh, config.fsdp)),
    host_batch(config.batch_size, images.size_px, mesh, run_images.form(config)),
    mesh,
  )


def in_one_go(config: ConfigDict) -> ConfigDict:
  """Returns the config whose step has no loops, in which a round alone would be counted."""
  plain = config.copy_and_resolve_references()
  plain.micro_batches = 1
  if "loss_impl" in plain.method:
    products = plain.method.loss_impl.partition(":")[1:]
    plain.method.loss_impl = "dense" + "".join(products)
  return plain


def count_flops(program: Program) -> float:
  """Counts the arithmetic of the undivided step, before any optimisation; compiles nothing."""
  with parallel.use(program.mesh):
    return program.step.lower(program.state, program.batch).cost_analysis()["flops"]


def compile_and_read(program: Program, config: ConfigDict) -> dict:
  """Compiles the step and returns what can be read off it, per chip.

  Returns:
    {"parameters", "choices", "memory", "flops", "hbm_bytes", "collectives", "longest_loop",
    "compile_seconds"}; only the first three, with "memory" {"refused"}, if the compiler finds that
    it does not fit. "choices" are the lines in which parts of the step, such as the loss, tell
    which of their forms they take.
  """
  found = {"parameters": sum(math.prod(x.shape) for x in jax.tree.leaves(program.state.params))}
  start = time.perf_counter()
  try:
    with held_back() as found["choices"]:
      compiled = program.compile()
  except TooLarge as error:
    return found | {"memory": {"refused": str(error), "needed_bytes": error.needed_bytes}}
  text, cost = compiled.as_text(), compiled.cost_analysis()
  return found | {
    "memory": memory(compiled),
    "flops": cost["flops"] + arithmetic.missed(text),
    "hbm_bytes": cost["bytes accessed"],
    "collectives": _collectives(text, program, config),
    "longest_loop": hlo.longest_loop(text),
    "compile_seconds": time.perf_counter() - start,
  }


@contextlib.contextmanager
def held_back() -> Iterator[list[str]]:
  """Gives a list in which is, once each, what the package logs inside; it is shown nowhere else."""
  lines: list[str] = []
  handler = logging.Handler()
  handler.emit = lambda record: lines.append(record.getMessage())
  log = logging.getLogger("contrastive_jax")
  handlers, level, propagate = log.handlers, log.level, log.propagate
  log.handlers, log.propagate = [handler], False
  log.setLevel(logging.INFO)
  try:
    yield lines
  finally:
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)
    lines[:] = dict.fromkeys(lines)


def _struct(tree: PyTree, shardings: PyTree[jax.sharding.Sharding]) -> PyTree:
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, shardings
  )


def host_batch(
  batch_size: int, size_px: int, mesh: Mesh, form: Form = RGB
) -> dict[str, jax.ShapeDtypeStruct]:
  """Returns the form, on the devices, of what `pipeline.train_batches` yields."""
  ints = jax.ShapeDtypeStruct((batch_size,), jnp.int32)
  form = {
    "image": jax.ShapeDtypeStruct((batch_size, size_px, size_px, form.channels), form.dtype),
    "extent": jax.ShapeDtypeStruct((batch_size, 2), jnp.int32),
    "mask": jax.ShapeDtypeStruct((batch_size,), jnp.bool_),
    **{name: ints for name in ("label", "index", "replaced")},
  }
  return _struct(form, jax.tree.map(lambda _: parallel.sharded(mesh), form))


def memory(compiled: jax.stages.Compiled) -> dict[str, int]:
  """Returns the bytes of a device that a step occupies; what is donated counts as an argument."""
  stats = compiled.memory_analysis()
  found = {
    "arguments": stats.argument_size_in_bytes,
    "outputs": stats.output_size_in_bytes - stats.alias_size_in_bytes,
    "temporaries": stats.temp_size_in_bytes,
    "code": stats.generated_code_size_in_bytes,
  }
  return found | {"total": sum(found.values())}


def _needed(text: str) -> float | None:
  """Returns the bytes that the compiler says it would need."""
  number = re.search(r"\(?([\d.]+)([KMGT])\)? exceeds|Used ([\d.]+)([KMGT]) of", text)
  if not number:
    return None
  value, unit = [group for group in number.groups() if group]
  return float(value) * 1024 ** ("KMGT".index(unit) + 1)


def _collectives(text: str, program: Program, config: ConfigDict) -> list[dict]:
  """Lists what travels: one entry for each collective and kind of content."""
  recipe = build.recipe(config)
  views, local = len(recipe.views), len(recipe.local.views) if recipe.local else 0
  counts = {config.batch_size * n for n in (1, views, local, views + local) if n}
  weights = jax.tree.leaves((program.state.params, program.state.probe))
  whole, parts = [x.shape for x in weights], [x.sharding.shard_shape(x.shape) for x in weights]
  shapes = traffic.Shapes(
    rows=frozenset(counts | {n // program.mesh.size for n in counts}),
    parameters=frozenset(traffic.in_any_order(s) for s in whole + parts if s),
  )
  entries = []
  for collective in hlo.collectives(text, program.mesh.size):
    for carried in traffic.ALL:
      items = [i for i in collective.items if traffic.carries(collective, i, shapes) == carried]
      if items:
        entries.append(
          {
            "kind": collective.kind,
            "carries": carried,
            "arrays": len(items),
            "largest": str(max(items, key=lambda i: i.bytes)),
            "bytes": sum(i.bytes for i in items) * collective.times,
            "wire_bytes": sum(collective.wire_bytes(i) for i in items),
            "group": collective.group,
            "times": collective.times,
            "op": collective.op,
          }
        )
  return entries
