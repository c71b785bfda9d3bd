"""MoCo v1 and v2: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning".

A query of one view is told from a queue of keys of earlier images by the key of the other view. The
key network is a moving average of the query network. v2 (Chen et al., 2020, arXiv:2003.04297) is v1
with a head of two layers, temperature 0.2, blur and a cosine schedule.

Shuffled batch norm (section 3.3) counts when `model.bn_groups` > 1: the query's groups are blocks
of the batch and the key's are not, so statistics do not tell which key belongs to a query.

With `symmetric` each view also asks for the other, as in MoCo v2+ (Chen and He, CVPR 2021, Table
4), with a queue of its own and batch statistics of its own.
"""

import dataclasses
import math

import jax

from contrastive_jax import errors, losses, parallel
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option

_QUEUES = ("queue", "second_queue")  # of the keys of the second view; of the first


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of MoCo; the defaults are v2's for ImageNet."""

  temperature: float = option(0.2, "tau: divides the cosine similarities (v1: 0.07)")
  head: str = option("mlp", "projection head: mlp (v2) or linear (v1)")
  head_width: int | None = option(None, "width of the mlp head's hidden layer; unset: as h")
  embedding_size: int = option(128, "D: size of q and k")
  queue_size: int = option(
    65_536, "K: keys remembered, batch_size or more; 0: the batch's other keys (as v3)"
  )
  momentum: float = option(0.999, "m: of the key network")
  final_momentum: float | None = option(None, "m rises to it along a cosine; unset: constant")
  symmetric: bool = option(False, "both views ask for one another, and the losses are averaged")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  tables = _QUEUES

  def __post_init__(self):
    check_scale("method.temperature", self.temperature, "v2 uses 0.2, v1 0.07")
    if self.head not in ("mlp", "linear"):
      raise errors.UserError(f"method.head {self.head!r} is unknown; use one of mlp, linear")
    similarity.check("method.loss_impl", self.loss_impl)
    memory_lib.check_momentum(self.momentum)
    memory_lib.check_no_queue("method.queue_size", self.queue_size)
    if self.final_momentum is not None and not self.momentum <= self.final_momentum <= 1:
      raise errors.UserError(
        f"method.final_momentum {self.final_momentum} must be between method.momentum "
        f"{self.momentum} and 1"
      )

  @property
  def _sides(self) -> int:
    return 2 if self.symmetric else 1

  def network(self, backbone):
    backbone = backbone.clone(bn_views=self._sides)
    fc = heads.MLP(
      (self.head_width,) if self.head == "mlp" else (),
      self.embedding_size,
      hidden_bias=True,
      out_bias=True,
      hidden_bn=False,
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Network(backbone, (Head("z", fc),))

  def init_memory(self, net, variables, task, key):
    memory = {"target": variables["params"]}
    if self.queue_size:
      memory_lib.check_queue("method.queue_size", self.queue_size, task.batch_size)
      keys = jax.random.split(key) if self.symmetric else (key,)
      for name, key in zip(_QUEUES[: self._sides], keys, strict=True):
        memory[name] = memory_lib.queue(key, self.queue_size, self.embedding_size)
    return memory

  def chance(self, task, num_views):
    del num_views
    return math.log(1 + self.queue_size if self.queue_size else task.batch_size)

  def loss(self, net, params, stats, memory, batch, key):
    asking, asked = batch["views"][:, : self._sides], batch["views"][:, ::-1][:, : self._sides]
    f_q, f_k = net, net.clone(backbone=net.backbone.clone(bn_shuffled=True))
    ends, new_stats = base.forward(f_q, params, stats, asking)
    key_ends, _ = base.forward(f_k, memory["target"], stats, asked)
    q = losses.l2_normalize(ends["z"])
    k = jax.lax.stop_gradient(losses.l2_normalize(key_ends["z"]))
    image = base.image_ids(batch)
    sides = [
      self._one_way(q[:, s], k[:, s], memory.get(_QUEUES[s]), image) for s in range(self._sides)
    ]
    loss, metrics = jax.tree.map(lambda *sides: sum(sides) / len(sides), *sides)
    return loss, base.Aux(new_stats, metrics, {"h": ends["h"], "z": ends["z"]}, k)

  def _one_way(self, q, k, queue, image):
    if queue is None:
      columns = k
    else:
      columns, image = parallel.as_rows(jax.lax.stop_gradient(queue["keys"])), None
    return losses.infonce(
      q, k, columns, self.temperature, image, image, implementation=self.loss_impl
    )

  def update_memory(self, memory, params, carry, progress):
    momentum = self.momentum
    if self.final_momentum is not None:
      momentum = memory_lib.cosine_momentum(momentum, progress, self.final_momentum)
    new = {"target": memory_lib.follow(memory["target"], params, momentum)}
    for side, name in enumerate(_QUEUES[: self._sides] if self.queue_size else ()):
      new[name] = memory_lib.enqueue(memory[name], carry[:, side])
    return new
