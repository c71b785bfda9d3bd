"""A state stored in parts: the same step, a fraction of the memory, one checkpoint for all."""

import jax
import numpy as np
import pytest
import test_methods
import test_trainer
import tiny_config

from contrastive_jax import checkpoint, parallel, trainer


@pytest.fixture(autouse=True)
def small_leaves_count(monkeypatch):
  monkeypatch.setattr(parallel, "_CUT_FROM", 64)


@pytest.mark.parametrize("name", ["simclr", "moco", "byol"])
def test_parts_give_the_step_of_the_whole_state(name):
  one, eight = test_methods.Trial(name, 1), test_methods.Trial(name, 8, fsdp=True)
  test_methods.assert_close((one.after, one.metrics), (eight.after, eight.metrics))
  assert eight.argument_bytes < one.argument_bytes / 4
  assert 8 * eight.flops <= 1.15 * one.flops


def test_big_leaves_are_cut_along_the_longest_axis_that_divides():
  mesh = parallel.make_mesh()  # 8 devices
  shapes = {"kernel": (3, 3, 16, 64), "odd": (7, 30), "bias": (8,), "table": (80, 64)}
  placed = parallel.cut({k: jax.ShapeDtypeStruct(v, np.float32) for k, v in shapes.items()}, mesh)
  local = {k: placed[k].shard_shape(v) for k, v in shapes.items()}
  assert local == {"kernel": (3, 3, 16, 8), "odd": (7, 30), "bias": (8,), "table": (10, 64)}


@pytest.mark.slow
def test_a_run_in_parts_goes_on_with_the_whole_state(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    test_trainer.interrupt_after_save(patch, 1)
    with pytest.raises(KeyboardInterrupt):
      trainer.train(tiny_config.tiny(fsdp=True), str(tmp_path / "a"), jax.devices()[:2])
  saved = checkpoint.load_run(str(tmp_path / "a"))
  assert saved.step == 4
  mixed = trainer.train(tiny_config.tiny(), str(tmp_path / "a"), jax.devices()[:2])
  whole = trainer.train(tiny_config.tiny(), str(tmp_path / "b"), jax.devices()[:2])
  pairs = zip(
    jax.tree.leaves(parallel.fetch(mixed.state.params)),
    jax.tree.leaves(parallel.fetch(whole.state.params)),
    strict=True,
  )
  for a, b in pairs:  # sums over devices in another order, which twelve steps enlarge
    np.testing.assert_allclose(a, b, atol=1e-2 * np.abs(b).max())
