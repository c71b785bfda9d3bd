"""A step that is not finite leaves every bit of the state but its number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from contrastive_jax import parallel
from contrastive_jax.step import guard
from contrastive_jax.step.state import TrainState


def state(seed):
  rng = np.random.default_rng(seed)
  names = ("params", "stats", "opt_state", "memory", "probe")
  trees = {k: {"x": jnp.asarray(rng.normal(size=5), jnp.float32)} for k in names}
  trees["memory"]["pointer"] = jnp.asarray(seed, jnp.int32)
  return TrainState(step=jnp.asarray(seed, jnp.int32), **trees)


@pytest.mark.parametrize("loss", (1.0, np.nan, np.inf))
@pytest.mark.parametrize("norm", (1.0, np.nan, np.inf))
def test_what_is_not_finite_changes_the_number_of_steps_alone(loss, norm):
  mesh = parallel.make_mesh()
  old, new = (parallel.replicate(state(seed), mesh) for seed in (1, 2))
  bad = jax.tree.map(lambda x: x * jnp.nan if x.dtype == jnp.float32 else x, new)
  good = np.isfinite(loss) and np.isfinite(norm)
  with parallel.use(mesh):
    kept, skipped = jax.jit(guard.keep_if_not_finite)(
      old, new if good else bad, jnp.float32(loss), jnp.float32(norm)
    )
  expected = new if good else old.replace(step=new.step)
  assert skipped == (not good)
  for path, leaf in jax.tree_util.tree_leaves_with_path(kept):
    twin = dict(jax.tree_util.tree_leaves_with_path(expected))[path]
    for shard in leaf.addressable_shards:  # on every device alike
      assert np.asarray(shard.data).tobytes() == np.asarray(twin).tobytes(), path


@pytest.mark.parametrize("part", ["params", "stats", "opt_state", "memory"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_update_that_overflows_is_none_though_loss_and_gradient_are_finite(part, value):
  old, new = state(1), state(2)
  broken = getattr(new, part) | {"x": getattr(new, part)["x"].at[3].set(value)}
  kept, skipped = jax.jit(guard.keep_if_not_finite)(
    old, new.replace(**{part: broken}), jnp.float32(1), jnp.float32(1)
  )
  assert skipped == 1 and kept.step == 2
  for a, b in zip(jax.tree.leaves(kept.replace(step=old.step)), jax.tree.leaves(old), strict=True):
    assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def test_a_probe_that_is_not_finite_is_kept_and_decides_over_nothing_else():
  old, new = state(1), state(2)
  broken = {"x": new.probe["x"].at[3].set(jnp.nan)}
  kept, skipped = jax.jit(guard.keep_if_not_finite)(
    old, new.replace(probe=broken), jnp.float32(1), jnp.float32(1)
  )
  assert skipped == 0
  np.testing.assert_array_equal(kept.params["x"], new.params["x"])
  probe, metrics = jax.jit(guard.keep_probe_if_not_finite)(old.probe, broken)
  np.testing.assert_array_equal(probe["x"], old.probe["x"])
  assert metrics == {"online_skipped": 1}
  probe, metrics = jax.jit(guard.keep_probe_if_not_finite)(old.probe, new.probe)
  np.testing.assert_array_equal(probe["x"], new.probe["x"])
  assert metrics == {"online_skipped": 0}
  assert guard.keep_probe_if_not_finite({}, {}) == ({}, {})


def test_the_compiled_step_grows_with_the_leaves_and_not_with_their_square():
  def compiled_size(leaves):
    def step(params, grads):
      new = {name: x - 0.1 * grads[name] * (1 + jnp.sin(x)) for name, x in params.items()}
      old = state(1).replace(params=params)
      return guard.keep_if_not_finite(old, old.replace(params=new), jnp.ones(()), jnp.ones(()))[
        0
      ].params

    params = {f"x{i}": jax.ShapeDtypeStruct((64, 64), jnp.float32) for i in range(leaves)}
    return len(jax.jit(step).lower(params, params).compile().as_text())

  assert compiled_size(64) < 2.5 * compiled_size(32)
