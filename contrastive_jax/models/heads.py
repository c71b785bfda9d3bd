"""Projection heads and predictors: one MLP whose fields cover the published heads.

SimCLR (code): `simclr("mlp", layers=3)`; InstDisc, MoCo v1: `MLP((), 128, out_bias=True)`;
Barlow Twins, VICReg: `MLP((8192, 8192), 8192)`;
MoCo v2, SupCon, LooC: `MLP((None,), 128, hidden_bias=True, out_bias=True, hidden_bn=False)`;
MoCo v3: `MLP((4096,), 256, last_bn="plain")`, predictor `MLP((4096,), 256)`;
BYOL: `MLP((4096,), 256)` twice;
SimSiam: `MLP((2048, 2048), 2048, last_bn="plain")`, predictor `MLP((512,), 2048, out_bias=True)`.

BYOL and VICReg publish their hidden layers with a bias, which the batch norm behind it cancels: it
is left out. Heads compute in float32: they are small and feed the loss.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from contrastive_jax import errors
from contrastive_jax.models import norm as norms

# Batch norm after the last layer: its parameters, or None for no batch norm.
LAST_BN = {
  "none": None,
  "plain": {"use_scale": False, "use_bias": False},
  "scale": {"use_scale": True, "use_bias": False},
  "affine": {"use_scale": True, "use_bias": True},
}


def _torch_bias(fan_in: int) -> Callable:
  """U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the default of torch.nn.Linear."""
  bound = fan_in**-0.5
  return lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -bound, bound)


# Kernel initialiser, and bias initialiser given the layer's number of inputs. Haiku cuts a normal
# distribution of std 1/sqrt(inputs) off at two of them and does not make up for what that takes.
HAIKU = nn.initializers.variance_scaling(0.87962566**2, "fan_in", "truncated_normal")
DENSE_INITS = {
  "simclr": (nn.initializers.normal(0.01), lambda fan_in: nn.initializers.zeros),
  "torch": (nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"), _torch_bias),
  "haiku": (HAIKU, lambda fan_in: nn.initializers.zeros),
}


class MLP(nn.Module, norms.Options):
  """hidden x [dense, BN, activation], then dense and, if asked, BN. Acts on the last axis.

  Attributes:
    hidden: widths of the hidden layers; None is the width of the head's input; () is a linear head.
    out: width of the output.
    hidden_bias, out_bias: whether the linear layers have a bias.
    hidden_bn: batch norm (with scale and bias) before each activation.
    last_bn: "none", "plain" (no parameters), "scale" (no bias) or "affine" (both).
    activation: of the hidden layers.
    weight_init: "simclr" (normal, std 0.01, zero bias), "torch" (uniform within 1/sqrt(inputs)) or
      "haiku" (truncated normal within 2/sqrt(inputs), zero bias; BYOL).
  """

  hidden: tuple[int | None, ...] = (2048,)
  out: int = 128
  hidden_bias: bool = False
  out_bias: bool = False
  hidden_bn: bool = True
  last_bn: str = "none"
  activation: Callable = nn.relu
  weight_init: str = "simclr"

  def __post_init__(self):
    for field, value, allowed in (
      ("last_bn", self.last_bn, LAST_BN),
      ("weight_init", self.weight_init, DENSE_INITS),
    ):
      if value not in allowed:
        raise errors.UserError(
          f"head {field} {value!r} is unknown; use one of {', '.join(allowed)}"
        )
    if self.out < 1 or any(width is not None and width < 1 for width in self.hidden):
      raise errors.UserError(
        f"head widths {self.hidden} -> {self.out}: each must be at least 1; set "
        "the sizes of heads in the section method, e.g. --config.method.head_width=2048 and "
        "--config.method.embedding_size=128"
      )
    super().__post_init__()

  @nn.compact
  def __call__(
    self, x: Float[Array, "N ... F"], train: bool
  ) -> tuple[Float[Array, "N ... D"], tuple[Array, ...]]:
    """Returns the output and the hidden activations, first layer first."""
    x, norm = x.astype(jnp.float32), self.batch_norm()
    inputs, activations = x.shape[-1], []
    for layer, width in enumerate(self.hidden, start=1):
      x = self._dense(inputs if width is None else width, self.hidden_bias, f"dense{layer}", x)
      if self.hidden_bn:
        x = norm(name=f"norm{layer}")(x, train)
      x = self.activation(x)
      activations.append(x)
    last = len(self.hidden) + 1
    x = self._dense(self.out, self.out_bias, f"dense{last}", x)
    if LAST_BN[self.last_bn] is not None:
      x = norm(name=f"norm{last}", **LAST_BN[self.last_bn])(x, train)
    return x, tuple(activations)

  def _dense(self, width: int, use_bias: bool, name: str, x: Array) -> Array:
    kernel_init, bias_init = DENSE_INITS[self.weight_init]
    return nn.Dense(
      width,
      use_bias=use_bias,
      kernel_init=kernel_init,
      bias_init=bias_init(x.shape[-1]),
      name=name,
    )(x)


class Identity(nn.Module):
  """No head: the output is the input."""

  @nn.compact
  def __call__(self, x: Float[Array, "N ... F"], train: bool) -> tuple[Array, tuple[()]]:
    return x.astype(jnp.float32), ()


def simclr(
  kind: str = "mlp",
  layers: int = 2,
  out: int = 128,
  width: int | None = None,
  bn: bool = True,
  **options,
) -> nn.Module:
  """The three heads that SimCLR compares (section 4.2, Figure 8), as its code or text has them.

  In the code every linear layer is without bias and followed by batch norm, the last one with scale
  but without bias; its default is 3 layers. The text describes 2 layers and no batch norm.

  Args:
    kind: "none", "linear" or "mlp".
    layers: linear layers of "mlp".
    out: width of z for "linear" and "mlp".
    width: of the hidden layers; None is that of h, as published.
    bn: as in the code; False: linear layers with bias, no batch norm.
    **options: of `MLP`: its weights' initialiser and `norm.options(backbone)`.
  """
  if layers < 2:
    raise errors.UserError(
      f"method.head_layers {layers} is below 2; use 2, or method.head linear or none instead"
    )
  hidden = {"none": None, "linear": (), "mlp": (width,) * (layers - 1)}
  if kind not in hidden:
    raise errors.UserError(f"method.head {kind!r} is unknown; use one of {', '.join(hidden)}")
  if kind == "none":
    return Identity()
  if not bn:
    return MLP(hidden[kind], out, True, True, hidden_bn=False, **options)
  return MLP(hidden[kind], out, last_bn="scale", **options)
