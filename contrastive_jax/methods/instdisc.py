"""InstDisc: Wu et al., "Unsupervised Feature Learning via Non-Parametric Instance Discrimination".

Every image is a class of its own, whose weight vector is a moving average of its embedding: a row
of a memory bank. The softmax over all images is estimated by telling the image's row from k rows
drawn at random (NCE, section 3.2), or computed in full.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax import errors, losses, parallel
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option

# Random rows (the paper's) are what the network is taught until they have been replaced. In an
# empty bank an image teaches nothing before it has a row: the first epoch only fills it. NCE needs
# the random ones: estimated from rows of zeros its Z would be n.
STARTS = ("random", "empty")


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of InstDisc; the defaults are those of the released code for ImageNet."""

  temperature: float = option(0.07, "tau: divides the cosine similarities (0.1 for CIFAR-10)")
  embedding_size: int = option(128, "D: size of v")
  num_noise: int = option(4096, "k: noise rows for each image (0: softmax over the whole bank)")
  momentum: float = option(0.5, "of the rows of the bank")
  start: str = option("random", "of the bank: random unit rows, or empty: zero until seen")
  proximal: float = option(0.0, "lambda: weight of |v - its row|^2 (the paper 30, its code none)")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  def __post_init__(self):
    check_scale("method.temperature", self.temperature, "the paper uses 0.07")
    if self.num_noise < 0:
      raise errors.UserError(f"method.num_noise {self.num_noise} is negative; use 0 or more")
    if self.start not in STARTS:
      raise errors.UserError(
        f'method.start "{self.start}" is unknown; use one of {", ".join(STARTS)}'
      )
    if self.start == "empty" and self.num_noise:
      raise errors.UserError(
        f"method.start empty with num_noise {self.num_noise}: Z would be estimated from empty rows "
        "and stay so; set --config.method.num_noise=0, or --config.method.start=random"
      )
    similarity.check("method.loss_impl", self.loss_impl)
    memory_lib.check_momentum(self.momentum)

  tables = ("bank",)

  @property
  def num_views(self):
    return 1

  def network(self, backbone):
    fc = heads.MLP(
      (),
      self.embedding_size,
      out_bias=True,
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Network(backbone, (Head("z", fc),))

  def init_memory(self, net, variables, task, key):
    bank = memory_lib.bank(key, task.num_images, self.embedding_size)
    if self.start == "empty":
      bank = jnp.zeros_like(bank)
    return {"bank": bank, "Z": jnp.zeros(())}  # Z: 0 until the first batch estimates it

  def idle_steps(self, task):
    return task.steps_per_epoch if self.start == "empty" else 0  # rows that are not seen yet

  def chance(self, task, num_views):
    del num_views
    if self.num_noise or self.proximal:
      return None
    return math.log(task.num_images)

  def loss(self, net, params, stats, memory, batch, key):
    ends, stats = base.forward(net, params, stats, batch["views"])
    v = losses.l2_normalize(ends["z"][:, 0])
    memory = jax.lax.stop_gradient(memory)
    bank, index = memory["bank"], batch["index"]
    own, z = memory_lib.bank_rows(bank, index), memory["Z"]
    if self.start == "empty":
      seen = jnp.any(own != 0, axis=-1, keepdims=True)
      v = jnp.where(seen, v, jax.lax.stop_gradient(v))
    if self.num_noise:
      draws = noise_index(key, index, self.num_noise, len(bank))
      noise = memory_lib.bank_rows(bank, draws)
      loss, metrics, z = nce(v, own, noise, len(bank), self.temperature, z)
    else:
      bank = parallel.as_rows(bank)
      rows = jnp.arange(len(bank), dtype=index.dtype)
      rows = parallel.scatter(rows) if parallel.is_sharded(bank) else rows
      loss, metrics = losses.infonce(
        v, own, bank, self.temperature, index, rows, implementation=self.loss_impl
      )
    if self.proximal:
      loss += self.proximal * jnp.mean(jnp.sum((v - own) ** 2, axis=-1))
    carry = {"v": v, "index": index, "Z": z}
    return loss, base.Aux(stats, metrics, {"h": ends["h"], "z": ends["z"]}, carry)

  def update_memory(self, memory, params, carry, progress):
    bank, index = memory["bank"], carry["index"]
    rows = memory_lib.ema(memory_lib.bank_rows(bank, index), carry["v"], self.momentum)
    bank = memory_lib.bank_update(bank, index, losses.l2_normalize(rows))
    return {"bank": bank, "Z": carry["Z"]}


def nce(
  v: Float[Array, "B D"],
  own: Float[Array, "B D"],
  noise: Float[Array, "B k D"],
  num_images: int,
  temperature: float,
  z: Float[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]], Float[Array, ""]]:
  """Computes noise-contrastive estimation with uniform noise (section 3.2), mean over B.

  Args:
    v: unit embeddings.
    own, noise: rows of the bank: of the image itself, and those drawn.
    num_images: n, rows of the bank; the noise has probability 1/n.
    temperature: tau.
    z: Z, the constant that replaces the softmax's denominator; 0 if it is to be estimated.

  Returns:
    The loss in nats, the metric `contrastive_accuracy` (share of images whose row is more similar
    than the noise), and Z.
  """
  positive = jnp.sum(v * own, axis=-1) / temperature
  negative = jnp.einsum("bd,bkd->bk", v, noise, precision="highest") / temperature
  k = noise.shape[1]
  seen = jnp.mean(jnp.exp(positive)) + k * jnp.mean(jnp.exp(negative))
  z = jnp.where(z > 0, z, jax.lax.stop_gradient(num_images * seen / (k + 1)))
  shift = jnp.log(z) + jnp.log(k / num_images)  # log P - log(k P_n) = s / tau - shift
  # -log h = softplus(-x) and -log(1 - h) = softplus(x) for h = P / (P + k P_n), x = log(P / k P_n)
  loss = jax.nn.softplus(shift - positive) + jnp.sum(jax.nn.softplus(negative - shift), axis=-1)
  accuracy = jnp.mean(positive > jnp.max(negative, axis=-1))
  return jnp.mean(loss), {"contrastive_accuracy": accuracy}, z


def noise_index(
  key: PRNGKeyArray, index: Int[Array, " B"], k: int, num_images: int
) -> Int[Array, "B k"]:
  """Draws k rows of the bank for each image, the same whatever its place in the batch."""

  def one(index):
    return jax.random.randint(jax.random.fold_in(key, index), (k,), 0, num_images)

  return jax.vmap(one)(index)
