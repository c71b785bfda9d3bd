"""What of a state in parts is gathered at the head of a step, and what where it is used."""

import jax
from jaxtyping import Array, PyTree

from contrastive_jax import parallel
from contrastive_jax.models import blocks


def at_head(tree: PyTree[Array], tables: tuple[str, ...] = ()) -> PyTree[Array]:
  """Gathers weights outside of blocks, which methods may look at, and most of what they remember.

  Args:
    tree: parameters, or the memory of a method.
    tables: names in the memory whose tables the method reads row by row, see `Method.tables`.
  """

  def one(path, leaf):
    names = tuple(str(getattr(entry, "key", getattr(entry, "idx", ""))) for entry in path)
    is_table = bool({*names[:1]} & {*tables}) and parallel.is_cut_by_columns(leaf)
    return leaf if is_table or blocks.gathers(names) else parallel.gather(leaf)

  return jax.tree_util.tree_map_with_path(one, tree)
