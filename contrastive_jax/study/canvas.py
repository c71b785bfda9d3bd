"""What pictures have in common: palette, greys that suit light and dark, files that repeat.

The ink is one grey, of no colour map, with a contrast of 4.5 on white and on black; the ground is
transparent in SVG and white in PNG. On a page the ink becomes the colour of the text around it.
"""

import contextlib
import io
import itertools
import re
import warnings
from collections.abc import Iterable, Iterator

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

INK = "#7a7478"
# Okabe and Ito's colours that stand out on white and on black, first those most unlike.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
_SETTINGS = {
  "svg.hashsalt": "contrastive_jax",  # ids that are the same every time
  "svg.fonttype": "none",  # text stays text
  "text.parse_math": False,  # a label is what was written, dollars included
  "font.size": 11,
  "axes.unicode_minus": False,
  **dict.fromkeys(
    ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
  ),
  "axes.spines.top": False,
  "axes.spines.right": False,
  "legend.frameon": False,
  "figure.facecolor": "none",
  "axes.facecolor": "none",
}


@contextlib.contextmanager
def settings() -> Iterator[None]:
  """Draws inside with these settings, whatever the user's own are."""
  with matplotlib.rc_context():
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(_SETTINGS)
    yield


def figure(panels: int, rows: int = 1, width: float = 4.6, height: float = 3.4) -> Figure:
  """Returns an empty figure for so many panels in a row, each of a size in inches."""
  made = Figure(figsize=(max(width * panels, 5), height * rows), layout="constrained")
  FigureCanvasAgg(made)
  return made


def styles() -> Iterator[dict[str, str]]:
  """Yields the colour, marker and dash of one line after the other; none is like another."""
  for i in itertools.count():
    yield {
      "color": COLORS[i % len(COLORS)],
      "marker": MARKERS[i % len(MARKERS)],
      "linestyle": DASHES[i // len(COLORS) % len(DASHES)],
    }


def legend(beside: Axes, panels: Iterable[Axes], title: str) -> None:
  """Puts the names of the lines of all panels beside one of them, where they hide none."""
  found = {}
  for axes in panels:
    for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
      found.setdefault(label, handle)
  if found:
    place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "fontsize": "small"}
    beside.legend(found.values(), found.keys(), title=title or None, **place)


def svg(figure: Figure) -> str:
  """Returns a figure as SVG: the same text every time."""
  _lay_out(figure)
  file = io.StringIO()
  with _without_lacking_letters():
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
  return file.getvalue()


def png(figure: Figure) -> bytes:
  """Returns a figure as PNG, on white."""
  _lay_out(figure)
  file = io.BytesIO()
  with _without_lacking_letters():
    figure.savefig(file, format="png", dpi=130, facecolor="white", metadata={"Software": None})
  return file.getvalue()


def _lay_out(figure: Figure) -> None:
  """Gives the panels their places once: matplotlib would draw all before each file to find them."""
  if engine := figure.get_layout_engine():
    with _without_lacking_letters():
      engine.execute(figure)
    figure.set_layout_engine(None)


@contextlib.contextmanager
def _without_lacking_letters() -> Iterator[None]:
  """Inside, nothing is said of letters that the font lacks: SVG has them, a box in PNG is seen."""
  with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
    yield


def inline(svg: str, prefix: str) -> str:
  """Returns an SVG as a page takes it in: no declaration, ids of its own, ink that follows text."""
  svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
  svg = re.sub(r'\b(id="|xlink:href="#|href="#|url\(#)', rf"\g<1>{prefix}-", svg)
  head, rest = svg.split(">", 1)
  return re.sub(r' (width|height)="[^"]*"', "", head) + ">" + rest
