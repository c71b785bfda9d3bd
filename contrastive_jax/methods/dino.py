"""DINO: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (ICCV 2021).

A student predicts, from every crop of an image, the distribution that its own moving average, the
teacher, gives to the large crops. Centring keeps any one output from winning everywhere, a low
temperature of the teacher keeps the outputs from becoming uniform; together they prevent collapse.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, losses
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option


class LastLayer(nn.Module):
  """Unit vectors of z times K unit vectors: a linear layer with weight norm whose gain stays 1."""

  count: int

  @nn.compact
  def __call__(self, z: Float[Array, "N ... D"], train: bool) -> tuple[Array, tuple[()]]:
    init, _ = heads.DENSE_INITS["torch"]
    w = self.param("kernel", init, (z.shape[-1], self.count))
    directions = losses.l2_normalize(w.T).T
    return jnp.matmul(losses.l2_normalize(z), directions, precision="highest"), ()


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of DINO; the defaults are the paper's for ViT-S."""

  local_views: int = option(8, "small crops of each image beside the two large ones")
  outputs: int = option(65_536, "K: size of the distributions")
  student_temperature: float = option(0.1, "tau_s")
  teacher_temperature: float = option(0.07, "tau_t after its warm-up")
  teacher_start: float = option(0.04, "tau_t at the beginning")
  teacher_warmup_epochs: float = option(30.0, "of tau_t, linear, a step an epoch")
  center_momentum: float = option(0.9, "of the mean of the teacher's outputs")
  momentum: float = option(0.996, "of the teacher, rises to 1 along a cosine")
  freeze_epochs: float = option(1.0, "first epochs in which the last layer stands still")
  head_width: int = option(2048, "width of the head's two hidden layers")
  head_bn: bool = option(False, "batch norm in the head's hidden layers")
  embedding_size: int = option(256, "D: size of z, before the last layer")

  def __post_init__(self):
    for name, paper in (
      ("student_temperature", 0.1),
      ("teacher_temperature", 0.07),
      ("teacher_start", 0.04),
    ):
      check_scale(f"method.{name}", getattr(self, name), f"the paper uses {paper}")
    for name in ("local_views", "teacher_warmup_epochs", "freeze_epochs"):
      if getattr(self, name) < 0:
        raise errors.UserError(f"method.{name} {getattr(self, name)} is below 0; use 0 or more")
    if self.outputs < 1:
      raise errors.UserError(f"method.outputs {self.outputs} is below 1; the paper uses 65536")
    if not 0 <= self.center_momentum < 1:
      raise errors.UserError(
        f"method.center_momentum {self.center_momentum} would not follow; use 0 to below 1"
      )
    memory_lib.check_momentum(self.momentum)

  @property
  def num_local_views(self):
    return self.local_views

  def network(self, backbone):
    g = heads.MLP(
      (self.head_width,) * 2,
      self.embedding_size,
      hidden_bias=not self.head_bn,
      out_bias=True,
      hidden_bn=self.head_bn,
      activation=functools.partial(nn.gelu, approximate=False),
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Network(backbone, (Head("z", g), Head("last", LastLayer(self.outputs), "z")))

  def init_memory(self, net, variables, task, key):
    steps_per_epoch = task.steps_per_epoch
    return {
      "target": variables["params"],
      "center": jnp.zeros(self.outputs),
      "step": jnp.zeros((), jnp.int32),
      "steps_per_epoch": jnp.asarray(steps_per_epoch, jnp.int32),
    }

  def resume(self, memory, fresh):
    return memory | {"steps_per_epoch": fresh["steps_per_epoch"]}

  def frozen(self, task):
    return (("(^|/)last/", math.ceil(self.freeze_epochs * task.steps_per_epoch)),)

  def chance(self, task, num_views):
    del task, num_views
    return math.log(self.outputs)

  def loss(self, net, params, stats, memory, batch, key):
    del key
    memory = jax.lax.stop_gradient(memory)
    epoch = memory["step"] // memory["steps_per_epoch"]
    still = memory["step"] < self.freeze_epochs * memory["steps_per_epoch"]
    h, z, new_stats = base.forward_crops(net, params, stats, batch)
    last = jax.tree.map(lambda w: jnp.where(still, jax.lax.stop_gradient(w), w), params["last"])
    student, _ = base.apply_head(net, "last", {"last": last}, {}, z)
    ends, _ = base.forward(net, memory["target"], stats, batch["views"])
    teacher = jax.lax.stop_gradient(ends["last"])
    tau_t = self._teacher_temperature(epoch)
    p_t = jax.nn.softmax((teacher - memory["center"]) / tau_t, axis=-1)
    loss, metrics = losses.swapped_prediction(student / self.student_temperature, p_t)
    entropy = -jnp.sum(p_t * jnp.log(p_t + 1e-12), axis=-1)
    metrics["teacher_entropy"] = jnp.mean(entropy)  # 0 or log K: collapse
    features = {"h": h[:, : self.num_views], "z": z[:, : self.num_views]}
    return loss, base.Aux(new_stats, metrics, features, carry=teacher.mean((0, 1)))

  def _teacher_temperature(self, epoch: Int[Array, ""]) -> Float[Array, ""]:
    """Returns tau_t of an epoch from 0: the first of the warm-up has its start, the last its end.

    As the released code, which spaces the warm-up's epochs evenly over both ends.
    """
    if not self.teacher_warmup_epochs:
      return jnp.asarray(self.teacher_temperature)
    done = jnp.minimum(epoch / max(self.teacher_warmup_epochs - 1, 1e-6), 1)
    return self.teacher_start + (self.teacher_temperature - self.teacher_start) * done

  def update_memory(self, memory, params, carry, progress):
    momentum = memory_lib.cosine_momentum(self.momentum, progress)
    return memory | {
      "target": memory_lib.follow(memory["target"], params, momentum),
      "center": memory_lib.ema(memory["center"], carry, self.center_momentum),
      "step": memory["step"] + 1,
    }
