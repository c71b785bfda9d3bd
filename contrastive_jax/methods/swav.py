"""SwAV: Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments"
(NeurIPS 2020).

Each image is assigned softly to prototypes C, the assignments of a batch being spread evenly over
them (Sinkhorn-Knopp); the code q of one large crop must be predicted from every other crop of the
image, small ones included.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from contrastive_jax import errors, losses, parallel
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option


class Prototypes(nn.Module):
  """K unit vectors c_k, the columns of C; returns the scores u . c_k of the unit vectors u of z."""

  count: int

  @nn.compact
  def __call__(self, z: Float[Array, "N ... D"], train: bool) -> tuple[Array, tuple[()]]:
    def init(key, shape):
      return unit_columns(jax.random.normal(key, shape))

    c = self.param("kernel", init, (z.shape[-1], self.count))
    return jnp.matmul(losses.l2_normalize(z), c, precision="highest"), ()


def unit_columns(c: Float[Array, "D K"]) -> Float[Array, "D K"]:
  """Scales each prototype to length 1."""
  return losses.l2_normalize(c.T).T


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of SwAV; the defaults are the paper's for ImageNet and batches of 4096."""

  local_views: int = option(6, "small crops of each image beside the two large ones")
  prototypes: int = option(3000, "K")
  temperature: float = option(0.1, "tau: divides the scores in the prediction p")
  epsilon: float = option(0.05, "of the codes' entropy in Sinkhorn-Knopp")
  sinkhorn_iterations: int = option(3, "of Sinkhorn-Knopp")
  freeze_steps: int = option(313, "first steps in which the prototypes stand still")
  queue_size: int = option(0, "earlier embeddings used for the codes (batch 256: 3840; 0: none)")
  queue_from_epoch: int = option(15, "when the queue begins to be used")
  head_width: int = option(2048, "width of the head's hidden layer")
  embedding_size: int = option(128, "D: size of z and of a prototype")

  def __post_init__(self):
    for name, limit in (("local_views", 0), ("prototypes", 2), ("sinkhorn_iterations", 1)):
      if getattr(self, name) < limit:
        raise errors.UserError(
          f"method.{name} {getattr(self, name)} is below {limit}; use {limit} or more"
        )
    for name, paper in (("temperature", 0.1), ("epsilon", 0.05)):
      check_scale(f"method.{name}", getattr(self, name), f"the paper uses {paper}")

  @property
  def num_local_views(self):
    return self.local_views

  def network(self, backbone):
    # The published hidden layer has a bias too, which its batch norm takes out again.
    g = heads.MLP(
      (self.head_width,),
      self.embedding_size,
      out_bias=True,
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Network(backbone, (Head("z", g), Head("prototypes", Prototypes(self.prototypes), "z")))

  def init_memory(self, net, variables, task, key):
    memory = {"step": jnp.zeros((), jnp.int32)}
    if self.queue_size:
      memory_lib.check_queue("method.queue_size", self.queue_size, task.batch_size)
      queue_from = self.queue_from_epoch * task.steps_per_epoch
      memory["queue_from"] = jnp.asarray(queue_from, jnp.int32)
      memory["queues"] = [
        memory_lib.queue(k, self.queue_size, self.embedding_size)
        for k in jax.random.split(key, self.num_views)
      ]
    return memory

  def resume(self, memory, fresh):
    return memory | {k: fresh[k] for k in ("queue_from",) if k in fresh}

  def frozen(self, task):
    return (("(^|/)prototypes/", self.freeze_steps),)

  def chance(self, task, num_views):
    del task, num_views
    return math.log(self.prototypes)

  def loss(self, net, params, stats, memory, batch, key):
    del key
    memory = jax.lax.stop_gradient(memory)
    h, z, stats = base.forward_crops(net, params, stats, batch)
    c = params["prototypes"]["kernel"]
    c = jnp.where(memory["step"] < self.freeze_steps, jax.lax.stop_gradient(c), c)
    scores, _ = base.apply_head(net, "prototypes", {"prototypes": {"kernel": c}}, {}, z)
    earlier = [self._queue_scores(memory, view, c) for view in range(self.num_views)]
    codes = [
      sinkhorn(scores[:, view], self.epsilon, self.sinkhorn_iterations, more)
      for view, more in enumerate(earlier)
    ]
    q = jax.lax.stop_gradient(jnp.stack(codes, axis=1))
    loss, metrics = losses.swapped_prediction(scores / self.temperature, q)
    large = z[:, : self.num_views]
    features = {"h": h[:, : self.num_views], "z": large}
    return loss, base.Aux(stats, metrics, features, losses.l2_normalize(large))

  def _queue_scores(self, memory, view, c):
    """Scores of the earlier embeddings, -inf before the queue is used: they then weigh nothing."""
    if "queues" not in memory:
      return None
    u = memory["queues"][view]["keys"]
    if len(u) % parallel.num_devices() == 0:  # else each device takes all of it
      u = parallel.scatter(u)
    scores = jnp.matmul(u, jax.lax.stop_gradient(c), precision="highest")
    return jnp.where(memory["step"] >= memory["queue_from"], scores, -jnp.inf)

  def update_memory(self, memory, params, carry, progress):
    new = memory | {"step": memory["step"] + 1}
    if "queues" in memory:
      new["queues"] = [
        memory_lib.enqueue(queue, carry[:, view]) for view, queue in enumerate(memory["queues"])
      ]
    return new

  def constrain(self, params):
    kernel = unit_columns(params["prototypes"]["kernel"])
    return params | {"prototypes": {"kernel": kernel}}


def sinkhorn(
  scores: Float[Array, "B K"],
  epsilon: float,
  iterations: int,
  earlier: Float[Array, "Q K"] | None = None,
) -> Float[Array, "B K"]:
  """Returns the codes of a batch: each row a distribution, the rows spread evenly over columns.

  Section 3.1, eq. 3: exp(scores / epsilon) with its columns and rows scaled in turn, in logarithms,
  so that no exponential overflows. (A factor common to all entries, such as 1/K or 1/B, is undone
  by the next scaling; what is left is rows that sum to 1.)

  Args:
    scores: of the global batch.
    epsilon: of the entropy; smaller is harder.
    iterations: of a scaling of columns, then of rows.
    earlier: scores of a queue, which takes part but whose codes nobody needs; rows of -inf do not.
  """
  log_q = jax.lax.stop_gradient(scores) / epsilon
  log_e = None if earlier is None else jax.lax.stop_gradient(earlier) / epsilon
  for _ in range(iterations):
    column = jax.nn.logsumexp(log_q, axis=0)
    if log_e is not None:
      column = jnp.logaddexp(column, jax.nn.logsumexp(log_e, axis=0))
      log_e = jax.nn.log_softmax(log_e - column, axis=1)
      log_e = jnp.where(jnp.isnan(log_e), -jnp.inf, log_e)  # of a row that takes no part
    log_q = jax.nn.log_softmax(log_q - column, axis=1)
  return jnp.exp(log_q)
