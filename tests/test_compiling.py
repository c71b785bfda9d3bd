"""What is compiled with less work on a CPU gives what it gives by default, but for rounding."""

import jax
import numpy as np
import pytest

from contrastive_jax import build, compiling, parallel
from contrastive_jax.step import state as state_lib
from tests import tiny_config


@pytest.mark.parametrize("form", (compiling.once, compiling.often))
def test_less_is_optimised_on_a_cpu_alone(form, level_of_runs, monkeypatch):
  asked = []
  monkeypatch.setattr(jax, "jit", lambda function, **options: asked.append(options))
  for backend in ("cpu", "gpu", "tpu"):
    monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
    form(abs, donate_argnums=0)
  on_cpu, *others = [options.pop("compiler_options") for options in asked]
  assert on_cpu["xla_backend_optimization_level"] < 2
  assert others == [None, None] and asked == 3 * [{"donate_argnums": 0}]


def test_what_the_flags_of_xla_set_holds(monkeypatch):
  jax.devices()
  monkeypatch.setenv("XLA_FLAGS", "--xla_a=1 --xla_backend_optimization_level=3")
  monkeypatch.setattr(jax, "jit", lambda function, **options: options["compiler_options"])
  assert compiling.often(abs) == {"xla_cpu_enable_concurrency_optimized_scheduler": False}
  assert compiling.once(abs).keys() == {
    "xla_llvm_disable_expensive_passes",
    "xla_cpu_enable_concurrency_optimized_scheduler",
  }


@pytest.mark.parametrize(("devices", "concurrent"), [(1, None), (2, False)])
def test_several_devices_of_a_cpu_begin_collectives_in_one_order(
  devices, concurrent, level_of_runs, monkeypatch
):
  monkeypatch.setattr(jax, "jit", lambda function, **options: options["compiler_options"])
  monkeypatch.setattr(jax, "device_count", lambda: devices)
  options = compiling.often(abs)
  assert options.get("xla_cpu_enable_concurrency_optimized_scheduler") is concurrent


@pytest.mark.slow
def test_a_step_has_the_same_numbers(level_of_runs):
  config = tiny_config.tiny(augment__recipe="simclr", model__dtype="float32")
  mesh = parallel.make_mesh(jax.devices()[:1])
  run = build.run(config, 64, 10, mesh.size)
  state = state_lib.create(run.init, seed=0, mesh=mesh)
  rng = np.random.default_rng(0)
  batch = {
    "image": rng.integers(0, 256, (16, 16, 16, 3), dtype=np.uint8),
    "extent": np.full((16, 2), 16, np.int32),
    "mask": np.ones(16, bool),
    "label": rng.integers(0, 10, 16, dtype=np.int32),
    "index": np.arange(16, dtype=np.int32),
    "replaced": np.zeros(16, np.int32),
  }
  with parallel.use(mesh):
    batch = parallel.put(batch, mesh)
    ours, default = (jit(run.step)(state, batch) for jit in (compiling.often, jax.jit))
  for path, one in jax.tree_util.tree_leaves_with_path(jax.device_get(ours)):
    other = dict(jax.tree_util.tree_leaves_with_path(jax.device_get(default)))[path]
    scale = np.max(np.abs(other), initial=0.0)
    name = jax.tree_util.keystr(path)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * scale, err_msg=name)
