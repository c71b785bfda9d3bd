"""LooC: Xiao et al., "What Should Not Be Contrastive in Contrastive Learning" (ICLR 2021).

SimCLR and MoCo forget whatever their augmentations change. LooC keeps chosen factors: beside a
space Z^0 that is invariant to everything there is a space Z^i for each kept augmentation T_i, in
which a view of the same image with another T_i is a negative. The views of an image are q, k_0 and
k_1..k_n; k_i has T_i drawn as in q and all else anew.

Probe the endpoint "h" for LooC and "z" (all spaces side by side) or "z.1" (their hidden layers) for
LooC++. There is no official code; the frame (momentum keys, queues) is MoCo's, as in the paper.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from contrastive_jax import errors, losses, parallel
from contrastive_jax.losses import memory as memory_lib
from contrastive_jax.losses import similarity
from contrastive_jax.methods import base
from contrastive_jax.models import heads, norm
from contrastive_jax.models.network import Head, Network
from contrastive_jax.options import check_scale, option

# A factor that can be kept, and the operations of `augment` that change it.
FACTORS = {
  "color": ("jitter", "grey", "solarize"),
  "rotation": ("rotate",),
  "grey": ("grey",),
  "blur": ("blur",),
  "crop": ("crop",),
  "flip": ("flip",),
  "noise": ("noise",),
  "sobel": ("sobel",),
  "cutout": ("cutout",),
}


class Spaces(Network):
  """A network whose heads "z0".."zn" also come as one endpoint."""

  def __call__(self, x: Float[Array, "N H W C"], train: bool) -> dict[str, Array]:
    """Adds "z", the unit vectors of all spaces side by side, and "z.1", their hidden layers."""
    ends = super().__call__(x, train)
    names = [head.name for head in self.heads]
    units = [losses.l2_normalize(ends[name]) for name in names]
    ends["z"] = jnp.concatenate(units, axis=-1)
    ends["z.1"] = jnp.concatenate([ends[f"{name}.1"] for name in names], axis=-1)
    return ends


@dataclasses.dataclass(frozen=True)
class Method(base.Method):
  """Hyper-parameters of LooC; the defaults are the paper's for ImageNet-100 (section 4)."""

  kept: tuple[str, ...] = option(
    ("rotation", "color"), "T_1..T_n, factors not to be forgotten: " + ", ".join(FACTORS)
  )
  temperature: float = option(0.2, "tau: divides the cosine similarities")
  queue_size: int = option(16384, "keys in the queue of each space; 0: the batch's other keys")
  momentum: float = option(0.999, "m of the key encoder")
  head_width: int | None = option(None, "width of the heads' hidden layer; unset: as h")
  embedding_size: int = option(128, "D: size of each z")
  loss_impl: str = option("auto", similarity.OPTION, identity=False)

  tables = ("queues",)

  def __post_init__(self):
    unknown = [name for name in self.kept if name not in FACTORS]
    if unknown or not self.kept or len(set(self.kept)) < len(self.kept):
      raise errors.UserError(
        f"method.kept {tuple(self.kept)} is not a choice of factors; name one or more, each once, "
        f"of {', '.join(FACTORS)}"
      )
    check_scale("method.temperature", self.temperature, "the paper uses 0.2")
    similarity.check("method.loss_impl", self.loss_impl)
    memory_lib.check_momentum(self.momentum)
    memory_lib.check_no_queue("method.queue_size", self.queue_size)

  @property
  def num_views(self):
    return len(self.kept) + 2

  @property
  def _spaces(self) -> tuple[str, ...]:
    return tuple(f"z{i}" for i in range(len(self.kept) + 1))

  def network(self, backbone):
    g = heads.MLP(
      (self.head_width,),
      self.embedding_size,
      hidden_bias=True,
      out_bias=True,
      hidden_bn=False,
      weight_init=backbone.weight_init,
      **norm.options(backbone),
    )
    return Spaces(backbone, tuple(Head(name, g) for name in self._spaces))

  def link_views(self, params):
    """Copies the operations of T_i from q into k_i; `params` are of q, k_0, k_1..k_n."""
    query, linked = params[0], list(params)
    for view, factor in enumerate(self.kept, start=2):
      shared = {name: query[name] for name in FACTORS[factor] if name in query}
      if not shared or any(name in params[view].keys() - query.keys() for name in FACTORS[factor]):
        hint = "; set --config.augment.rotate=1" if factor == "rotation" else ""
        raise errors.UserError(
          f'method.kept "{factor}" needs {" or ".join(FACTORS[factor])} in all views, but the '
          f"recipe has {', '.join(query)}{hint}"
        )
      linked[view] = params[view] | shared
    return tuple(linked)

  def init_memory(self, net, variables, task, key):
    if not self.queue_size:
      return {"target": variables["params"]}
    memory_lib.check_queue("method.queue_size", self.queue_size, task.batch_size)
    keys = jax.random.split(key, len(self._spaces))
    return {
      "target": variables["params"],
      "queues": {
        name: memory_lib.queue(k, self.queue_size, self.embedding_size)
        for name, k in zip(self._spaces, keys, strict=True)
      },
    }

  def chance(self, task, num_views):
    del num_views
    others, spaces = self.queue_size or task.batch_size - 1, len(self._spaces)
    # Space 0 knows no other view of its own image, each further space all of them.
    terms = [math.log(1 + others), *[math.log(spaces + others)] * (spaces - 1)]
    return sum(terms) / spaces

  def loss(self, net, params, stats, memory, batch, key):
    del key
    memory = jax.lax.stop_gradient(memory)
    query, keys = batch["views"][:, :1], batch["views"][:, 1:]
    ends, new_stats = base.forward(net, params, stats, query)
    # As in MoCo: each view is a forward pass of its own, in other company than the query's.
    backbone = net.backbone.clone(bn_views=keys.shape[1], bn_shuffled=True)
    key_ends, _ = base.forward(net.clone(backbone=backbone), memory["target"], stats, keys)
    q = jnp.stack([losses.l2_normalize(ends[name][:, 0]) for name in self._spaces], axis=1)
    k = jnp.stack([losses.l2_normalize(key_ends[name]) for name in self._spaces], axis=2)
    k = jax.lax.stop_gradient(k)
    queues = None
    if self.queue_size:
      queues = [parallel.as_rows(memory["queues"][name]["keys"]) for name in self._spaces]
    loss, metrics = looc(
      q, k, queues, self.temperature, base.image_ids(batch), implementation=self.loss_impl
    )
    per_space = zip(("all", *self.kept), metrics.pop("accuracies"), strict=True)
    metrics |= {f"contrastive_accuracy_{factor}": accuracy for factor, accuracy in per_space}
    # The paper says no more than "keys": here queue i holds what its positives are, z^i of k_i.
    carry = {name: k[:, i, i] for i, name in enumerate(self._spaces)}
    features = {"h": ends["h"], "z": ends["z0"]}
    return loss, base.Aux(new_stats, metrics, features, carry)

  def update_memory(self, memory, params, carry, progress):
    new = {"target": memory_lib.follow(memory["target"], params, self.momentum)}
    if self.queue_size:
      queues = memory["queues"].items()
      new["queues"] = {name: memory_lib.enqueue(queue, carry[name]) for name, queue in queues}
    return new


def looc(
  q: Float[Array, "B S D"],
  k: Float[Array, "B S S D"],
  queues: list[Float[Array, "K D"]] | None,
  temperature: float,
  image: Int[Array, " B"] | None = None,
  *,
  implementation: str = "auto",
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """Computes the loss of section 3.1, the mean over S = n + 1 spaces and B images.

  Space 0 has the positive k_0 and queue 0. Space i has the positive k_i, the other views k_j of the
  same image as negatives, and queue i.

  Args:
    q: unit vectors z^i of the query, space i on axis 1.
    k: unit vectors z^i of view k_j: view j on axis 1, space i on axis 2.
    queues: one a space; None: the keys k_i of the batch's other images take their place (as MoCo v3
      has no queue; the paper has one).
    temperature: tau, positive.
    image: of each row, see `losses.formulas`; for the batch's keys alone.
    implementation: see `similarity.row_stats`.

  Returns:
    The loss in nats, and the metrics `contrastive_accuracy` (share of images and spaces whose
    positive is more similar than every negative) and `accuracies` (a list, by space).
  """
  own = jnp.einsum("bid,bjid->bij", q, k, precision="highest") / temperature  # [B, space, view]
  terms, accuracies = [], []
  image = None if queues else losses.images(q, image)
  for i in range(q.shape[1]):
    columns = queues[i] if queues else k[:, i, i]
    stats = similarity.row_stats(
      q[:, i], columns, image, image, temperature=temperature, implementation=implementation
    )
    positive = own[:, i, i]
    negatives = jnp.delete(own[:, i], i, axis=-1) if i else positive[:, None][:, :0]
    same_image = jnp.concatenate([positive[:, None], negatives], axis=-1)
    total = jnp.logaddexp(jax.nn.logsumexp(same_image, axis=-1), stats.logsumexp)
    terms.append(jnp.mean(total - positive))
    best = jnp.max(negatives, axis=-1, initial=-jnp.inf)
    accuracies.append(jnp.mean(positive > jnp.maximum(best, stats.top)))
  metrics = {"contrastive_accuracy": sum(accuracies) / len(accuracies), "accuracies": accuracies}
  return sum(terms) / len(terms), metrics
