"""Parameters that stand still during the first steps, as if they had no gradient at all.

PyTorch skips a parameter whose gradient is None: no moments, no count, no weight decay. A gradient
of zero is something else: weight decay still acts and enters the momentum, and Adam counts the
step. The correction of Adam's moments would then be over when the parameter thaws, its second
moment still near zero, and its first steps too long: 2.5 to 5 times after an epoch (DINO).

The state has the form that it has without; only what is written there differs.
"""

import re
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

Frozen = Sequence[tuple[str, int]]  # pattern of paths, and the steps for which they are frozen


def updates_missed(frozen: Frozen, steps_per_update: int) -> Callable[[PyTree], PyTree[int]]:
  """Returns the function from parameters to the number of first updates that each leaf misses."""

  def missed(tree):
    return jax.tree_util.tree_map_with_path(
      lambda path, _: -(-_steps(frozen, path) // steps_per_update), tree
    )

  return missed


def scale_by_adam(
  b1: float, b2: float, eps: float, missed: Callable[[PyTree], PyTree[int]]
) -> optax.GradientTransformation:
  """`optax.scale_by_adam` in which a leaf's count begins when it has `missed` its updates."""
  adam = optax.scale_by_adam(b1, b2, eps)

  def update(updates, state, params=None):
    scaled, new = adam.update(updates, state, params)

    def leaf(scaled, mu, nu, late):
      if not late:
        return scaled
      count = jnp.maximum(new.count - late, 1)
      mu, nu = mu / (1 - b1**count), nu / (1 - b2**count)
      return mu / (jnp.sqrt(nu) + eps)

    return jax.tree.map(leaf, scaled, new.mu, new.nu, missed(updates)), new

  return optax.GradientTransformation(adam.init, update)


def hold(
  optimizer: optax.GradientTransformation, frozen: Frozen, steps_per_update: int
) -> optax.GradientTransformation:
  """Lets an optimiser that counts its updates pass over the frozen leaves and their state."""

  def update(updates, state, params=None):
    count = optax.tree.get_all_with_path(state, "count")[0][1]  # all counts of a state are equal

    def choose(path, standing, moving):
      steps = _steps(frozen, path)
      return jnp.where(count * steps_per_update < steps, standing, moving) if steps else moving

    def unless_frozen(tree):
      return jax.tree_util.tree_map_with_path(lambda p, x: choose(p, jnp.zeros_like(x), x), tree)

    updates, new = optimizer.update(unless_frozen(updates), state, params)
    return unless_frozen(updates), jax.tree_util.tree_map_with_path(choose, state, new)

  return optax.GradientTransformation(optimizer.init, update)


def _steps(frozen, path) -> int:
  """Returns for how many steps a leaf of parameters, or of their moments in a state, is frozen."""
  name = jax.tree_util.keystr(path, simple=True, separator="/")
  return next((steps for pattern, steps in frozen if re.search(pattern, name)), 0)
