"""MoCo v3: Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers".

No queue: a predicted query of one view is told from the keys of the whole batch by the key of the
other view, both ways round (Algorithm 1). The key network is a moving average without predictor.
Each view has its own batch statistics.
"""

import dataclasses
import math

import jax

from contrastive_jax import errors, losses
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of MoCo v3; the defaults are those of the released code for ResNet-50."""

  temperature: float = option(1.0, "tau: divides the cosine similarities (ViT: 0.2)")
  head_layers: int = option(2, "linear layers of the projector (ViT: 3)")
  head_width: int = option(4096, "width of the projector's hidden layers")
  embedding_size: int = option(256, "D: size of q and k")
  predictor_width: int = option(4096, "hidden width of the predictor")
  predictor_bn: bool = option(False, "batch norm without parameters after the predictor (ViT: yes)")
  momentum: float = option(0.99, "m: of the key network, rises to 1 along a cosine")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  def __post_init__(self):
    check_scale("method.temperature", self.temperature, "ResNets use 1.0, ViTs 0.2")
    if self.head_layers < 1:
      raise errors.UserError(f"method.head_layers {self.head_layers} is below 1; use 2 or 3")
    similarity.check("method.loss_impl", self.loss_impl)
    memory_lib.check_momentum(self.momentum)

  def network(self, backbone):
    backbone = backbone.clone(bn_views=2)
    options = {"weight_init": backbone.weight_init, **norm.options(backbone)}
    projector = heads.MLP(
      (self.head_width,) * (self.head_layers - 1), self.embedding_size, last_bn="plain", **options
    )
    predictor = heads.MLP(
      (self.predictor_width,),
      self.embedding_size,
      last_bn="plain" if self.predictor_bn else "none",
      **options,
    )
    return Network(backbone, (Head("z", projector), Head("q", predictor, "z")))

  def init_memory(self, net, variables, task, key):
    return {"target": {k: v for k, v in variables["params"].items() if k != "q"}}

  def chance(self, task, num_views):
    del num_views
    return 2 * 2 * self.temperature * math.log(task.batch_size)  # of both directions, times 2 tau

  def loss(self, net, params, stats, memory, batch, key):
    views, image = batch["views"], base.image_ids(batch)
    f_k = net.clone(heads=net.heads[:1])  # without the predictor
    ends, new_stats = base.forward(net, params, stats, views)
    key_ends, _ = base.forward(f_k, memory["target"], stats, views)
    q = losses.l2_normalize(ends["q"])
    k = jax.lax.stop_gradient(losses.l2_normalize(key_ends["z"]))

    def ctr(q, k):
      loss, metrics = losses.infonce(
        q, k, k, self.temperature, image, image, implementation=self.loss_impl
      )
      return 2 * self.temperature * loss, metrics

    (loss1, metrics1), (loss2, metrics2) = ctr(q[:, 0], k[:, 1]), ctr(q[:, 1], k[:, 0])
    metrics = jax.tree.map(lambda a, b: (a + b) / 2, metrics1, metrics2)
    aux = base.Aux(new_stats, metrics, {"h": ends["h"], "z": ends["z"]})
    return loss1 + loss2, aux

  def update_memory(self, memory, params, carry, progress):
    momentum = memory_lib.cosine_momentum(self.momentum, progress)
    return {"target": memory_lib.follow(memory["target"], params, momentum)}
