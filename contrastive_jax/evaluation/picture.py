"""A picture of a feature space: its points in the plane, coloured by class."""

import dataclasses
import importlib.util
import io
import pathlib
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from contrastive_jax import errors, places
from contrastive_jax.evaluation import features
from contrastive_jax.options import option

METHODS = ("pca", "tsne")
_NO_SKLEARN = 'picture.method "tsne" needs scikit-learn; pip install -e .[tsne], or use "pca"'
_SMALL = 200  # rows of a matrix whose eigenvectors are all found in no time
_MAX_LEGEND = 20  # classes; more cannot be told apart by colour
_MAX_NAME = 40  # characters of a class in the legend; longer ones would leave the points no room


@dataclasses.dataclass(frozen=True)
class Options:
  """What is drawn."""

  method: str = option("pca", "projection to the plane: pca, or tsne (needs scikit-learn)")
  max_points: int = option(2000, "examples drawn, taken at random")

  def __post_init__(self):
    if self.method not in METHODS:
      raise errors.UserError(
        f'picture.method "{self.method}" is unknown; use {" or ".join(METHODS)}'
      )
    if self.max_points < 3:
      raise errors.UserError(f"picture.max_points {self.max_points} is below 3; use e.g. 2000")

  def check(self, num_images: int, num_devices: int) -> None:
    """Raises `UserError` if what draws the picture is not installed."""
    del num_images, num_devices
    if self.method == "tsne" and importlib.util.find_spec("sklearn") is None:
      raise errors.UserError(_NO_SKLEARN)

  def describe(self) -> str:
    """Returns what the picture depends on, in a few words."""
    return f"{self.method}, up to {self.max_points} points"


def pca(x: Float[np.ndarray, "n F"]) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "2"]]:
  """Projects on the two directions of largest variance.

  The sign of each is such that the point farthest from the mean along it is on the positive side.

  Returns:
    The coordinates, and the share of the variance along each.

  Raises:
    UserError: a feature is not finite.
  """
  features.check_finite(x, "features")
  x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
  # The eigenvectors of the smaller of the two Gram matrices give the same coordinates.
  wide = x.shape[1] > x.shape[0]
  values, vectors = _largest_two(x @ x.T if wide else x.T @ x)
  values = np.maximum(values, 0)
  points = vectors * np.sqrt(values) if wide else x @ vectors
  points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))  # a single feature has one direction
  farthest = points[np.abs(points).argmax(axis=0), [0, 1]]
  total = max(float(np.sum(x * x)), np.finfo(np.float64).tiny)
  return points * np.where(farthest < 0, -1.0, 1.0), np.pad(values / total, (0, 2 - len(values)))


def _largest_two(
  gram: Float[np.ndarray, "m m"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "m k"]]:
  """Returns the two largest eigenvalues, the larger first, and their vectors; of one row, one.

  All eigenvectors of 2,000 rows are seconds of work. Lanczos' method finds two in little time, and
  needs a matrix that is not 0.
  """
  if len(gram) > _SMALL and gram.any():
    from scipy.sparse.linalg import eigsh  # slow to load, and not always needed

    begun = np.random.default_rng(0).standard_normal(len(gram))
    values, vectors = eigsh(gram, k=2, which="LA", v0=begun)
  else:
    values, vectors = np.linalg.eigh(gram)
  order = np.argsort(values)[:-3:-1]
  return values[order], vectors[:, order]


def tsne(x: Float[np.ndarray, "n F"], seed: int = 0) -> Float[np.ndarray, "n 2"]:
  """Projects by t-SNE (van der Maaten and Hinton, JMLR 2008) with scikit-learn.

  It begins with PCA at a spread of 1e-4, as scikit-learn does by itself; computed here, where a
  spread of 0 is seen.

  Raises:
    UserError: scikit-learn is not installed, or a feature is not finite.
  """
  features.check_finite(x, "features")
  try:
    from sklearn.manifold import TSNE
  except ImportError as error:
    raise errors.UserError(_NO_SKLEARN) from error
  x = spread_out(x)
  first = pca(x)[0]
  deviation = first[:, 0].std()
  if not deviation:
    return np.zeros((len(x), 2), np.float32)
  begun = (1e-4 / deviation * first).astype(np.float32)
  perplexity = min(30.0, (len(x) - 1) / 3)
  return TSNE(init=begun, perplexity=perplexity, random_state=seed).fit_transform(x)


def spread_out(x: Float[np.ndarray, "n F"]) -> Float[np.ndarray, "n F"]:
  """Centres points and brings them to a largest number of 1; those that are all equal to 0.

  t-SNE and UMAP ask for no scale, but their float32 squares end at 1e-19 and 1e19.

  Raises:
    UserError: a feature is not finite.
  """
  features.check_finite(x, "features")
  x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
  largest = np.abs(x).max(initial=0.0)
  return (x / largest if largest > 0 else x).astype(np.float32)


def chosen(n: int, options: Options, seed: int = 0) -> Int[np.ndarray, " m"]:
  """Returns which of n examples are drawn, in order."""
  return np.sort(np.random.default_rng(seed).permutation(n)[: options.max_points])


def draw(
  x: Float[np.ndarray, "n F"],
  label: Int[np.ndarray, " n"],
  path: pathlib.Path | str,
  options: Options,
  *,
  label_names: Sequence[str] = (),
  title: str = "",
  seed: int = 0,
) -> pathlib.Path:
  """Writes a PNG of the points of `x`, coloured by label; -1 is grey. Returns its path.

  Raises:
    UserError: a feature is not finite; t-SNE is asked for without scikit-learn.
    SaveFailed: the disk.
  """
  features.check_finite(x, "features")  # all, not only those drawn
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # no display, no global state
  from matplotlib.figure import Figure

  rows = chosen(len(x), options, seed)
  x, label = x[rows], label[rows]
  if options.method == "tsne":
    points, names = tsne(x, seed), ("t-SNE 1", "t-SNE 2")
  else:
    points, share = pca(x)
    names = [f"PC {i + 1} ({100 * s:.0f} % of the variance)" for i, s in enumerate(share)]

  figure = Figure(figsize=(7, 6), dpi=120, layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.subplots()
  classes = np.unique(label)
  marks, labels = [], []
  for number, which in enumerate(classes):
    name = label_names[which] if 0 <= which < len(label_names) else str(which)
    marks.append(
      axes.scatter(
        *points[label == which].T,
        s=9,
        linewidths=0,
        color="lightgrey" if which < 0 else _color(number, len(classes)),
      )
    )
    labels.append("no label" if which < 0 else _printable(name))
  if len(classes) <= _MAX_LEGEND:
    # Given one by one: a legend that collects its labels leaves out what begins with "_".
    legend = figure.legend(
      marks,
      labels,
      loc="outside right upper",
      fontsize="small",
      markerscale=2,
      frameon=False,
    )
    for text in legend.get_texts():
      text.set_parse_math(False)  # names are no formulas
  axes.set(xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
  axes.set_title(_printable(title), parse_math=False)
  drawn, path = io.BytesIO(), pathlib.Path(path)
  with warnings.catch_warnings():  # a box in place of a letter that the font lacks says enough
    warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
    figure.savefig(drawn, format="png")
  places.write(path, drawn.getvalue())
  return path


def _printable(name: str) -> str:
  """Returns a name as one short line: a folder's may hold any bytes, and be 255 long."""
  shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
  return shown if len(shown) <= _MAX_NAME else shown[: _MAX_NAME - 1] + "…"


def _color(number, count):
  """One of `count` colours: fixed ones while they can be told apart, else along the hues."""
  from matplotlib import colormaps

  if count <= 10:
    return colormaps["tab10"](number)
  return colormaps["tab20"](number) if count <= 20 else colormaps["hsv"](number / count)
