"""What a method is: a network, a loss, and what it remembers between steps."""

import dataclasses
import functools

import flax
import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int, PyTree

from contrastive_jax import augment, losses, parallel
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network

ViewParams = dict[str, dict[str, Array]]  # of one view: operation -> its parameters, see augment


@flax.struct.dataclass
class Aux:
  """What a loss returns beside its value.

  Attributes:
    stats: batch-norm statistics after this step.
    metrics: scalars to log.
    features: arrays [B, V, .] that the monitors read: "h" (what probes see) and "z" (what the loss
      sees; left out if the targets come from the data, so that nothing can collapse). Their
      gradient is stopped by the reader.
    carry: whatever `update_memory` needs of this step (keys to enqueue, batch indices).
  """

  stats: PyTree
  metrics: dict[str, Array]
  features: dict[str, Array]
  carry: PyTree = None


@dataclasses.dataclass(frozen=True)
class Task:
  """What a method may know of the run it is for.

  Attributes:
    num_images: of the training set; `index` of an example is below it.
    num_classes: of the training set; 0 without labels.
    batch_size: images in a global batch.
    image_size_px: side of a view.
    channels: of a pixel.
  """

  num_images: int
  num_classes: int
  batch_size: int
  image_size_px: int
  channels: int = 3

  @property
  def steps_per_epoch(self) -> int:
    return max(1, self.num_images // self.batch_size)


@dataclasses.dataclass(frozen=True)
class Method:
  """Base of the methods; its fields are the section `method` of a config.

  A method is written for global arrays: it knows no device, file, flag or loop.

  Attributes:
    any_views: whether more than `num_views` views of an image may be asked for.
    tables: what of the memory the loss may be given cut by columns over the devices, since it
      reads it through `losses.memory` alone: banks and queues.
  """

  any_views = False
  tables = ()

  @property
  def num_views(self) -> int:
    """V, the views of each image that the loss needs."""
    return 2

  @property
  def num_local_views(self) -> int:
    """L, the further small views of each image that the loss needs (multi-crop)."""
    return 0

  def network(self, backbone: nn.Module) -> Network:
    """Returns the backbone with this method's heads."""
    raise TypeError(f"{type(self).__module__} defines no network")

  def link_views(self, params: tuple[ViewParams, ...]) -> tuple[ViewParams, ...]:
    """Returns the drawn parameters of an image's V views, some made equal between views (LooC)."""
    return params

  def init_memory(self, net: Network, variables: PyTree, task: Task, key: Array) -> PyTree:
    """Returns the state that no gradient trains: target network, queue, bank. None: {}.

    Args:
      net: whose `variables` ("params", "batch_stats") have just been initialised.
      task: for sizes; raise `UserError` here if the run cannot work.
      key: for whatever is drawn.
    """
    del net, variables, task, key
    return {}

  def resume(self, memory: PyTree, fresh: PyTree) -> PyTree:
    """Returns the memory with which a run goes on whose sizes may have changed.

    Args:
      memory: of the checkpoint.
      fresh: of `init_memory` for the run as it is now; what follows from its `task` alone, such as
        the steps of an epoch, is to be taken from here.
    """
    del fresh
    return memory

  def frozen(self, task: Task) -> tuple[tuple[str, int], ...]:
    """Returns (pattern of paths, steps) of the parameters that stand still at first, if any do."""
    del task
    return ()

  def chance(self, task: Task, num_views: int) -> float | None:
    """Returns the loss where all embeddings are alike, so that nothing tells right from wrong.

    A run that stays above it is worse than one that has learnt nothing. None: the loss has no such
    number, since it also depends on margins, scales or what was remembered.
    """
    del task, num_views
    return None

  def idle_steps(self, task: Task) -> int:
    """Returns the steps at the start in which nothing is trained, as it is meant."""
    del task
    return 0

  def loss(
    self,
    net: Network,
    params: PyTree,
    stats: PyTree,
    memory: PyTree,
    batch: dict[str, Array | augment.LateViews],
    key: Array,
  ) -> tuple[Float[Array, ""], Aux]:
    """Returns the loss of a batch {"views" [B, V, H, W, C], "label" [B], "index" [B]}.

    A method with local views finds them under "local_views" [B, L, h, w, C]. Views may not be made
    yet: `forward` takes them so, and `augment.made` gives the pixels to who looks at them itself.
    """
    raise TypeError(f"{type(self).__module__} defines no loss")

  def update_memory(
    self, memory: PyTree, params: PyTree, carry: PyTree, progress: Float[Array, ""]
  ) -> PyTree:
    """Returns the memory after the optimiser's step; `progress` runs from 0 to 1 over training."""
    del params, carry, progress
    return memory

  def constrain(self, params: PyTree) -> PyTree:
    """Returns the parameters after the optimiser's step, put back where they belong (SwAV)."""
    return params


def image_ids(batch: dict[str, Array]) -> Int[Array, " B"]:
  """Returns which image each example is of; those of a batch without "index" are all different.

  Two stand-ins of unreadable images may be the same image, which is no negative of itself.
  """
  return losses.images(batch["views"], batch.get("index"))


def with_simclr_head(
  backbone: nn.Module,
  layers: int,
  out: int,
  width: int | None,
  *,
  kind: str = "mlp",
  bn: bool = True,
) -> Network:
  """Returns the backbone with SimCLR's projection head "z" (`heads.simclr`) and nothing else."""
  options = {"weight_init": backbone.weight_init, **norm.options(backbone)}
  return Network(backbone, (Head("z", heads.simclr(kind, layers, out, width, bn, **options)),))


def forward(
  net: Network,
  params: PyTree,
  stats: PyTree,
  views: Float[Array, "B V H W C"] | augment.LateViews,
  train: bool = True,
) -> tuple[dict[str, Array], PyTree]:
  """Runs the network on all views at once: the one place where methods touch Flax.

  Returns:
    Every endpoint as [B, V, ...], and the new batch-norm statistics (unchanged if not `train`).
  """
  if train and net.micro_batches > 1:
    return _forward_in_parts(net, params, stats, views)
  views = augment.made(views)
  num_images, num_views = views.shape[:2]
  folded = views.reshape(num_images * num_views, *views.shape[2:])
  variables = {"params": params, "batch_stats": stats}
  if train:
    ends, new = net.apply(variables, folded, train=True, mutable=["batch_stats"])
    stats = new.get("batch_stats", stats)
  else:
    ends = net.apply(variables, folded, train=False)
  return jax.tree.map(lambda x: x.reshape(num_images, num_views, *x.shape[1:]), ends), stats


def _forward_in_parts(net, params, stats, views):
  """Runs one micro-batch after the other and keeps its embeddings alone.

  The backward pass runs each forward pass again with the gradient that the loss, which saw all the
  embeddings, has for it: the gradient cache of Gao et al. (RepL4NLP 2021), written as a scan over a
  checkpointed function. Micro-batches are whole groups of batch norm, so that nothing differs from
  the undivided step. Of the backbone's feature maps only those that a head returns are kept. Late
  views are made inside, in both passes.
  """
  strided = getattr(net.backbone, "bn_shuffled", False)  # then a group is every G-th example
  part, names = net.of_part(), {head.name for head in net.heads}

  @functools.partial(jax.checkpoint, prevent_cse=False)
  def one(params, views):
    ends, new = forward(part, params, stats, views)
    return {k: x for k, x in ends.items() if x.ndim == 3 or k in names}, new

  def scanned(total, views):
    ends, new = one(params, views)
    return jax.tree.map(jnp.add, total, new), ends

  zero = jax.tree.map(jnp.zeros_like, stats)
  parts = jax.tree.map(lambda x: parallel.split_rows(x, net.micro_batches, strided), views)
  total, ends = jax.lax.scan(scanned, zero, parts)
  stats = jax.tree.map(lambda x: x / net.micro_batches, total)
  return jax.tree.map(lambda x: parallel.join_rows(x, strided), ends), stats


def apply_head(
  net: Network, name: str, params: PyTree, stats: PyTree, x: Float[Array, "N ... F"]
) -> tuple[Array, PyTree]:
  """Runs one head alone in training mode, e.g. on the joined features of several patches.

  Returns:
    Its output, and `stats` with the head's own batch-norm statistics replaced by the new ones.
  """
  module = next(head.module for head in net.heads if head.name == name)
  variables = {"params": params.get(name, {}), "batch_stats": stats.get(name, {})}
  (out, _), new = module.apply(variables, x, train=True, mutable=["batch_stats"])
  return out, stats | ({name: new["batch_stats"]} if new.get("batch_stats") else {})


def forward_crops(
  net: Network, params: PyTree, stats: PyTree, batch: dict[str, Array]
) -> tuple[Float[Array, "B N F"], Float[Array, "B N D"], PyTree]:
  """Runs the backbone once for each size of view, and head "z" on all N = V + L views together.

  This is how multi-crop is trained (SwAV, DINO): the head's batch norm sees views of both sizes.

  Returns:
    h and z, the V large views first, and the new batch-norm statistics.
  """
  ends, new = forward(net, params, stats, batch["views"])
  h = ends["h"]
  if "local_views" in batch:
    small = net.of_local_views(batch["views"].shape[2])
    ends, new = forward(small, params, new, batch["local_views"])
    h = jnp.concatenate([h, ends["h"]], axis=1)
  own = {"z": stats["z"]} if "z" in stats else {}  # not what the head made of each size alone
  z, new = apply_head(net, "z", params, new | own, h)
  return h, z, new
