"""Features of a frozen encoder: every example of a source exactly once, on any number of devices.

The encoder runs in evaluation mode, with the statistics that its batch norms have stored. The last
batch is padded to the common size, so that there is one program; padded rows are dropped again, and
so are the stand-ins of unreadable images.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree

from contrastive_jax import augment, errors, parallel, plural
from contrastive_jax.augment import cells
from contrastive_jax.evaluation import pooling
from contrastive_jax.evaluation.own_rows import OwnRows
from contrastive_jax.evaluation.rows import Rows, not_finite
from contrastive_jax.methods import base

_ROWS_NAMED = 5  # in an error


class Features(NamedTuple):
  """What an encoder says about n examples, in the order of their index.

  Of the layers each process has its own rows, m of them; all else is equal on every process.
  """

  layers: dict[str, Float[np.ndarray, "m F"]]
  label: Int[np.ndarray, " n"]  # -1: none
  index: Int[np.ndarray, " n"]  # position in the source
  replaced: int  # unreadable images, which are not among the n
  owner: Int[np.ndarray, " n"] | None = None  # process that has the rows; None: one has all

  def rows(self, layer: str) -> OwnRows:
    """Returns the features of a layer."""
    return OwnRows(self.layers[layer], self.owner)


@dataclasses.dataclass(frozen=True)
class OfNet:
  """Maps (variables, views [B, H, W, C]) to the named endpoints of a network, each [B, F].

  With a `patch_grid` the network sees the standardised patches in the grid's cells one by one, and
  its features are their mean: how Kolesnikov et al. (CVPR 2019) score what has learnt from patches.
  """

  net: nn.Module
  layers: tuple[str, ...]
  max_features: int = pooling.MAX_FEATURES
  patch_grid: int = 0  # 0: the view as a whole
  patch_fraction: float = cells.PATCH_OF_CELL

  def __call__(self, variables: PyTree, x: Float[Array, "B H W C"]) -> dict[str, Array]:
    return self.forward(variables["params"], variables["stats"], x, train=False)[0]

  def forward(
    self, params: PyTree, stats: PyTree, x: Float[Array, "B H W C"], train: bool
  ) -> tuple[dict[str, Array], PyTree]:
    """Returns the layers' features and the batch-norm statistics, new ones if `train`.

    Whoever trains through the encoder calls this, so that it trains what is scored.
    """
    if self.patch_grid:
      views = cells.cut_centred(x, self.patch_grid, self.patch_fraction)
    else:
      views = x[:, None]
    ends, stats = base.forward(self.net, params, stats, views, train=train)

    def features(end):  # [B, views, ...]
      flat = pooling.pool(end.reshape(-1, *end.shape[2:]), self.max_features)
      return flat.reshape(*end.shape[:2], -1).mean(1)

    return {name: features(ends[name]) for name in self.layers}, stats


@dataclasses.dataclass(frozen=True)
class OfPixels:
  """Maps (nothing, views [B, H, W, C]) to {"pixels": [B, F]} of equal length: no net at all.

  The length is sqrt(F), which makes the numbers of order 1; what compares directions sees no
  difference to length 1.
  """

  max_features: int = pooling.MAX_FEATURES

  def __call__(self, variables: PyTree, x: Float[Array, "B H W C"]) -> dict[str, Array]:
    del variables
    x = pooling.pool(x, self.max_features)
    mean_square = jnp.mean(x * x, axis=-1, keepdims=True)
    return {"pixels": x * jax.lax.rsqrt(mean_square + 1e-12)}


Encoder = Callable[[PyTree, Float[Array, "B H W C"]], dict[str, Array]]  # hashable; traced
Batch = dict[str, Array]


def extract(
  net: nn.Module,
  params: PyTree,
  stats: PyTree,
  batches: Iterable[dict[str, np.ndarray]],
  *,
  view: augment.Recipe,
  layers: tuple[str, ...] = ("h",),
  mesh: Mesh,
  size: int | None = None,
) -> Features:
  """Runs a network in evaluation mode over all examples of `batches`.

  Args:
    net: its endpoints are the layers: "h", "z", "z.1" (hidden in the head), "stem", "block1", ...
    params, stats: weights and batch-norm statistics.
    batches: of `pipeline.eval_batches`: this process's part of each.
    view: whose test view the encoder sees.
    layers: which endpoints to keep.
    mesh: the devices; batches need not divide by them.
    size: how many examples come at most, so that memory is taken once; None: not known.

  Raises:
    UserError: a layer is unknown, or a feature is not finite.
  """
  layers = tuple(layers)
  check_layers(net, params, stats, layers, view.size_px, view.channels)
  encoder = OfNet(net, layers)
  variables = {"params": params, "stats": stats}
  return collect(encoder, variables, batches, view=view, mesh=mesh, size=size)


def collect(
  encoder: Encoder,
  variables: PyTree,
  batches: Iterable[dict[str, np.ndarray]],
  *,
  view: augment.Recipe,
  mesh: Mesh,
  size: int | None = None,
  change: Callable[[Batch], Batch] | None = None,
) -> Features:
  """Runs any encoder over all examples of `batches`; see `extract`.

  With `change` the encoder sees what that makes of "image" in a batch on the devices, in place of
  test views; it may give another "label", too.
  """
  local_devices = len(mesh.local_devices)
  # 1 also where one process of several looks at images by itself, on a mesh of its own devices.
  shares = len({device.process_index for device in mesh.devices.flat})
  per_process, pending, replaced = None, None, 0
  found, own = Rows(size), Rows(size)  # of all processes, and the layers of this one
  with parallel.use(mesh):
    variables = parallel.replicate(variables, mesh)
    for batch in batches:
      if per_process is None:
        per_process = -(-len(batch["image"]) // local_devices) * local_devices
      asked = parallel.put(_padded(batch, per_process), mesh)
      if change is None:
        running = _encode(encoder, view, variables, asked)
      else:  # in a program of its own, so that the encoder is compiled once for all changes
        running = _encode(encoder, None, variables, change(asked))
      if pending is not None:  # read one batch while the next is under way
        replaced += _keep(*pending, found, own, shares)
      pending = running
    if pending is None:
      raise errors.UserError("there are 0 images to extract features of; choose another split")
    replaced += _keep(*pending, found, own, shares)
  return _checked(found.finish(), own.finish(), replaced, shares)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _encode(encoder, view, variables, batch):
  x = batch["image"]
  if view is not None:
    x = augment.test_view(view, x, batch["extent"])
  layers = {k: v.astype(jnp.float32) for k, v in encoder(variables, x).items()}
  rest = {k: batch[k] for k in ("label", "index", "mask", "replaced")}
  return layers, jax.tree.map(parallel.gather, rest)


def _padded(batch, size):
  """Fills this process's part of a batch up to `size` rows that are masked out."""
  missing = size - len(batch["image"])
  rows = {k: batch[k] for k in ("image", "extent", "label", "index", "mask", "replaced")}
  rows["mask"] = rows["mask"].astype(bool)
  if not missing:
    return rows
  out = {k: np.pad(v, [(0, missing)] + [(0, 0)] * (v.ndim - 1)) for k, v in rows.items()}
  out["extent"][-missing:] = batch["image"].shape[1]
  return out


def _keep(layers, batch, found: Rows, own: Rows, shares: int) -> int:
  """Adds what is no padding and counts nothing twice; returns how many stand-ins were left out."""
  batch = parallel.fetch(batch)
  keep = batch["mask"] & (batch["replaced"] == 0)
  owner = np.repeat(np.arange(shares, dtype=np.int32), len(keep) // shares)
  found.add({"label": batch["label"][keep], "index": batch["index"][keep], "owner": owner[keep]})
  mine = owner == (jax.process_index() if shares > 1 else 0)
  kept = keep[mine]
  rows = {name: parallel.local_rows(x)[kept] for name, x in layers.items()}
  own.add({"index": batch["index"][mine][kept]} | {f"layers/{k}": x for k, x in rows.items()})
  return int((batch["mask"] & (batch["replaced"] != 0)).sum())


def _checked(
  found: dict[str, np.ndarray], own: dict[str, np.ndarray], replaced: int, shares: int
) -> Features:
  index, label, owner = found["index"], found["label"], found["owner"]
  twice = index[1:][index[1:] == index[:-1]]
  if len(twice):
    raise RuntimeError(f"{len(twice)} examples came twice, the first with index {twice[0]}")
  layers = {name.partition("/")[2]: x for name, x in own.items() if name != "index"}
  made = Features(layers, label, index, replaced, owner if shares > 1 else None)
  remedy = "evaluate an earlier step, or, of weights in a file, another file"
  for name in layers:
    check_finite(made.rows(name), f"layer {name}", rows=index, remedy=remedy)
  return made


def check_finite(
  x: Float[np.ndarray, "n F"] | OwnRows,
  name: str,
  *,
  rows: Int[np.ndarray, " n"] | None = None,
  remedy: str = "leave these rows out, or see what made them",
) -> None:
  """Raises `UserError` that says how many rows of features are not finite in float32, and which.

  A score of them would depend on how a comparison takes NaN, which differs between devices and
  between the two signs that NaN has.

  Args:
    name: of the features.
    rows: their numbers, if not 0..n - 1.
    remedy: what to do about it.
  """
  if isinstance(x, OwnRows):
    bad, count = x.not_finite(_ROWS_NAMED)
  else:
    bad = not_finite(np.asarray(x))
    count = len(bad)
  if count:
    first = [str(row if rows is None else rows[row]) for row in bad[:_ROWS_NAMED]]
    of_all = f"of {plural.of(len(x), 'row')}"
    more = ", ..." if count > len(first) else ""
    raise errors.UserError(
      f"{name}: {plural.of(count, f'{of_all} is', f'{of_all} are')} not finite, number "
      f"{', '.join(first)}{more} (counted from 0); {remedy}"
    )


def check_layers(
  net: nn.Module,
  params: PyTree,
  stats: PyTree,
  layers: tuple[str, ...],
  size_px: int,
  channels: int = 3,
) -> None:
  """Raises `UserError` that lists the endpoints if one of `layers` is none."""
  x = jax.ShapeDtypeStruct((1, 1, size_px, size_px, channels), jnp.float32)

  def abstract(tree):
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), tree)

  def ends(params, stats, x):
    return base.forward(net, params, stats, x, train=False)[0]

  known = jax.eval_shape(ends, abstract(params), abstract(stats), x)
  unknown = [name for name in layers if name not in known]
  if unknown or not layers:
    raise errors.UserError(
      f'layer "{", ".join(unknown)}" is unknown to this network; use one of {", ".join(known)}'
    )


def labelled(found: Features, what: str) -> Features:
  """Returns the examples that have a label; `what` names the split in the error.

  Raises:
    UserError: none has.
  """
  known = with_label(found)
  if not len(known.label):
    raise errors.UserError(
      f"{what} has no labels, which probes and neighbours need; choose another split or source"
    )
  return known


def with_label(found: Features) -> Features:
  """Returns the examples that have a label; there may be none."""
  known = found.label >= 0
  if known.all():
    return found
  owner = None if found.owner is None else found.owner[known]
  own = known if owner is None else known[found.owner == jax.process_index()]
  layers = {name: x[own] for name, x in found.layers.items()}
  return Features(layers, found.label[known], found.index[known], found.replaced, owner)
