"""Linear probe by L-BFGS: multinomial logistic regression with an l2 penalty, to the optimum.

SimCLR's transfer protocol (Chen et al., ICML 2020, B.8; Kornblith et al., CVPR 2019): features
without augmentation; the penalty is chosen from a logarithmic range by accuracy on held-out
examples, then the classifier is fitted again to all of them. No learning rate, no schedule: the
result depends on the features alone.

The objective is sum_i CE(i) + penalty / 2 |W|^2, divided by the number of examples. The bias is
not penalised. (scikit-learn's C is 1 / penalty; of two classes, for which it has one set of weights
in place of two, 2 / penalty.)

Features lie on the devices once, as they are, and on CPU devices that is the host's own array: they
are standardised a chunk at a time in the program, and a part that is held out is rows that do not
count. On the devices weights lie with a class a row, as in `linear_steps`.
"""

import contextlib
import copy
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int

from contrastive_jax import errors, parallel
from contrastive_jax.evaluation import features, held_out
from contrastive_jax.evaluation import scores as scores_lib
from contrastive_jax.evaluation.linear_probe import (
  Classifier,
  as_they_are,
  fold,
  standardization,
)
from contrastive_jax.evaluation.own_rows import OwnRows, moments
from contrastive_jax.options import option
from contrastive_jax.processes import agree

Progress = Callable[[int, int], None]  # (fits done, fits in all)

_CHUNK = 16384  # rows whose logits exist at a time


@dataclasses.dataclass(frozen=True)
class Options:
  """SimCLR takes 45 penalties of the same range and does not say whether features are scaled."""

  min_penalty: float = option(1e-6, "weakest l2 penalty tried")
  max_penalty: float = option(1e5, "strongest l2 penalty tried")
  num_penalties: int = option(12, "penalties tried, log-spaced (1: min_penalty, nothing held out)")
  validation_fraction: float = option(0.2, "of the training set, held out to choose the penalty")
  standardize: bool = option(True, "give each feature mean 0 and variance 1 over the training set")
  max_iterations: int = option(500, "of L-BFGS, for each penalty")
  float64: bool = option(False, "compute in float64: slower, to more digits")

  def __post_init__(self):
    if not 0 < self.min_penalty <= self.max_penalty:
      raise errors.UserError(
        f"linear_lbfgs.min_penalty {self.min_penalty} is not in (0, max_penalty "
        f"{self.max_penalty}]; use e.g. 1e-6"
      )
    for name in ("num_penalties", "max_iterations"):
      if getattr(self, name) < 1:
        raise errors.UserError(
          f"linear_lbfgs.{name} {getattr(self, name)} is below 1; use 1 or more"
        )
    if not 0 < self.validation_fraction < 1:
      raise errors.UserError(
        f"linear_lbfgs.validation_fraction {self.validation_fraction} is outside (0, 1); "
        "use e.g. 0.2"
      )

  def check(self, num_images: int, num_devices: int) -> None:
    """Raises `UserError` if so many images are too few to hold any out."""
    del num_devices
    if self.num_penalties > 1:
      held_out.split(num_images, self.validation_fraction, 0, "linear_lbfgs", "num_penalties=1")

  def describe(self) -> str:
    """Returns what a result depends on, in a few words."""
    scaled = "standardised" if self.standardize else "features as they are"
    return f"l2 {self.min_penalty:g}..{self.max_penalty:g} x {self.num_penalties}, {scaled}"


class Fit(NamedTuple):
  """A classifier and how its penalty was found."""

  classifier: Classifier
  penalty: float
  validation: dict[float, float]  # top-1 of each penalty tried; {} if only one


class Basis(NamedTuple):
  """Coordinates in which the problem is solved: (x - mean) / std @ axes."""

  mean: Float[np.ndarray, " F"]
  std: Float[np.ndarray, " F"]
  axes: Float[np.ndarray, "F r"]
  squares: Float[np.ndarray, " r"]  # the mean square of each coordinate


def fit(
  x: Float[np.ndarray, "n F"] | OwnRows,
  label: Int[np.ndarray, " n"],
  num_classes: int,
  options: Options,
  mesh: Mesh,
  *,
  seed: int = 0,
  progress: Progress | None = None,
) -> Fit:
  """Chooses the penalty on a held-out part and fits all of `x` with it.

  From strong to weak, each solution starts the next. Of equally good penalties the strongest wins.
  `progress` is told how many of the fits are done.

  Raises:
    UserError: too few examples to hold any out, or a feature is not finite.
  """
  features.check_finite(x, "features")
  x = OwnRows.of(x)
  penalties = np.geomspace(options.max_penalty, options.min_penalty, options.num_penalties)
  if options.num_penalties > 1:
    fitted, unseen = held_out.split(
      len(x), options.validation_fraction, seed, "linear_lbfgs", "num_penalties=1"
    )
  mean, std = standardization(x)
  std = std if options.standardize else np.ones_like(std)  # the mean is the free bias' business
  # Axes leave the problem the same: the penalty does not see a rotation.
  basis = Basis(mean, std, *principal_axes(x, mean, std))
  problem = Problem(x, label, num_classes, mesh, basis=basis, float64=options.float64)
  start, validation = np.zeros((basis.axes.shape[1] + 1, num_classes)), {}
  told = progress or (lambda done, total: None)
  penalty = options.min_penalty
  if options.num_penalties > 1:
    counted = np.zeros(len(x), bool)
    counted[fitted] = True
    part, solutions = problem.only(counted), {}
    for done, penalty in enumerate(penalties.tolist()):
      told(done, len(penalties) + 1)
      start = solutions[penalty] = part.solve(penalty, start, options.max_iterations)
      classifier = _classifier(start, basis)
      validation[penalty] = scores_lib.of_linear(*classifier, x, label, mesh, unseen).top1
    penalty = max(validation, key=validation.get)  # the first, so the strongest, of equals
    start = solutions[penalty]
    told(len(penalties), len(penalties) + 1)
  weights = problem.solve(penalty, start, options.max_iterations)
  told(len(penalties) + 1, len(penalties) + 1)
  return Fit(_classifier(weights, basis), penalty, validation)


def _classifier(weights: Float[np.ndarray, "G C"], basis: Basis) -> Classifier:
  return fold(basis.axes @ weights[:-1], weights[-1], basis.mean, basis.std)


def principal_axes(
  x: Float[np.ndarray, "n F"] | OwnRows,
  mean: Float[np.ndarray, " F"] | float = 0.0,
  std: Float[np.ndarray, " F"] | float = 1.0,
) -> tuple[Float[np.ndarray, "F r"], Float[np.ndarray, " r"]]:
  """Returns the directions in which centred features (x - mean) / std vary, and how much.

  The directions are orthonormal; along each stands the mean square of the features.

  Along them features are uncorrelated, which makes L-BFGS converge in tens of iterations where it
  would take hundreds; directions without variance get no weight anyway.
  """
  x = OwnRows.of(x)
  # The smaller of the two Gram matrices has the same variances: its cost is that of a cube.
  wide = x.shape[1] > len(x)
  if wide:  # fewer rows than columns: every process can have them all
    few = ((x.whole() - mean) / std).astype(np.float64)
    gram = few @ few.T
  else:
    gram = np.zeros((x.shape[1], x.shape[1]))
    for piece in x.pieces():
      piece = ((piece - mean) / std).astype(np.float64)
      gram += piece.T @ piece
    gram = agree.sums(gram)
  variance, axes = np.linalg.eigh(gram)
  kept = variance > 1e-10 * max(variance[-1], 1e-30)
  variance, axes = variance[kept], axes[:, kept]
  axes = few.T @ axes / np.sqrt(variance) if wide else axes
  return axes.astype(np.float32), variance / len(x)


class Problem:
  """The objective over one training set, whose rows lie sharded on the devices.

  Weights are [G + 1, C], of the features in the basis; the last row is the bias. It converges
  fastest when features are centred and uncorrelated there.
  """

  def __init__(
    self,
    x: Float[np.ndarray, "n F"] | OwnRows,
    label: Int[np.ndarray, " n"],
    num_classes: int,
    mesh: Mesh,
    *,
    basis: Basis | None = None,
    float64: bool = False,
  ):
    """Puts the rows; without a basis they are taken as they are."""
    x = OwnRows.of(x)
    width = x.shape[1]
    if basis is None:
      squares = sum(np.square(moment) for moment in moments(x))
      mean, std = as_they_are(width)
      basis = Basis(mean, std, np.eye(width), squares)
    self._num, self._mesh, self._float64 = len(x), mesh, float64
    self._dtype = np.float64 if float64 else np.float32
    self._shape = (basis.axes.shape[1] + 1, num_classes)
    with self._precision():
      self._basis = parallel.replicate(
        (basis.mean, basis.std, basis.axes.astype(self._dtype)), mesh
      )
      self._chunks = [
        x.put(range(i, min(i + _CHUNK, len(x))), mesh, ((label, 0),))
        for i in range(0, len(x), _CHUNK)
      ]
    self._real = self._counting(np.ones(len(x), bool))
    square = np.append(basis.squares, 1.0)
    self._curvature = square / num_classes * (1 - 1 / num_classes)  # where all classes are equal

  def only(self, counted: Bool[np.ndarray, " n"]) -> "Problem":
    """Returns the problem of some of the rows, which share their memory with this one."""
    part = copy.copy(self)
    part._num, part._real = int(counted.sum()), self._counting(counted)
    return part

  def value_and_grad(
    self, weights: Float[np.ndarray, "G C"], penalty: float
  ) -> tuple[float, Float[np.ndarray, "G C"]]:
    """Returns the objective at `weights` and its gradient."""
    with self._precision(), parallel.use(self._mesh):
      mean, std, axes = self._basis
      turned = _turned(axes, parallel.replicate(weights.T.astype(self._dtype, "C"), self._mesh))
      value, total = 0.0, 0.0
      for chunk, real in zip(self._chunks, self._real, strict=True):
        part = parallel.fetch(_sum_and_grad(turned, mean, std, chunk.rows, *chunk.columns, real))
        value, total = value + float(part[0]), total + part[1].astype(np.float64)
      total = parallel.replicate(total.astype(self._dtype), self._mesh)
      grad = parallel.fetch(_turned_back(axes, total)).astype(np.float64).T
    kernel = weights[:-1]
    value += penalty / 2 * float(np.sum(kernel * kernel))
    grad[:-1] += penalty * kernel
    return value / self._num, grad / self._num

  def solve(
    self, penalty: float, start: Float[np.ndarray, "G C"], max_iterations: int
  ) -> Float[np.ndarray, "G C"]:
    """Returns the minimum, from `start`, to the digits of the dtype."""
    from scipy import optimize  # slow to load, and few evaluations need it

    penalties = np.append(np.full(self._shape[0] - 1, penalty / self._num), 0.0)
    # Each weight in a unit in which the objective curves alike.
    unit = 1 / np.sqrt(self._curvature + penalties + 1e-12)[:, None]

    def objective(flat):
      value, grad = self.value_and_grad(unit * flat.reshape(self._shape), penalty)
      return value, (unit * grad).ravel()

    # The value has about 7 (16) digits: a smaller relative decrease than that cannot be seen.
    exact = {"gtol": 1e-10, "ftol": 1e-15} if self._float64 else {"gtol": 1e-6, "ftol": 1e-8}
    found = optimize.minimize(
      objective,
      (start / unit).ravel(),
      jac=True,
      method="L-BFGS-B",
      options={"maxiter": max_iterations, "maxfun": 2 * max_iterations, **exact},
    )
    return unit * found.x.reshape(self._shape)

  def _counting(self, counted: Bool[np.ndarray, " n"]) -> list[Array]:
    """Returns for each chunk 1 for its rows that count, 0 for others and for what fills it."""
    found = []
    with self._precision():
      for number, chunk in enumerate(self._chunks):
        real = np.zeros(chunk.rows.shape[0], self._dtype)
        real[chunk.slot] = counted[number * _CHUNK : (number + 1) * _CHUNK]
        found.append(self._of_all(real))
    return found

  def _of_all(self, x: np.ndarray) -> Array:
    """Puts the rows of an array that every process holds whole."""
    size = len(x) // jax.process_count()
    first = jax.process_index() * size
    return parallel.put(x[first : first + size], self._mesh)

  def _precision(self):
    return jax.enable_x64(True) if self._float64 else contextlib.nullcontext()


@jax.jit
def _turned(axes, weights):
  """Returns weights of standardised features that equal these of features along the axes."""
  kernel = jnp.matmul(weights[:, :-1], axes.T, precision=jax.lax.Precision.HIGHEST)
  return jnp.concatenate([kernel, weights[:, -1:]], axis=1)


@jax.jit
def _turned_back(axes, grad):
  """The transpose of `_turned`, for gradients."""
  kernel = jnp.matmul(grad[:, :-1], axes, precision=jax.lax.Precision.HIGHEST)
  return jnp.concatenate([kernel, grad[:, -1:]], axis=1)


@jax.jit
def _sum_and_grad(weights, mean, std, x, label, real):
  """Returns the sum of the cross entropies of the rows that are real and its gradient."""
  x = ((x - mean) / std).astype(weights.dtype)

  def total(weights):
    kernel, bias = weights[:, :-1], weights[:, -1]
    logits = jnp.matmul(x, kernel.T, precision=jax.lax.Precision.HIGHEST) + bias
    own = label[:, None] == jnp.arange(len(weights))
    loss = jax.nn.logsumexp(logits, axis=-1) - jnp.sum(jnp.where(own, logits, 0), axis=-1)
    return jnp.sum(real * loss)

  return jax.value_and_grad(total)(weights)
