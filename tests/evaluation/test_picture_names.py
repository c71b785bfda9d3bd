"""The names of classes are text: a folder may have any, and each stands in the legend as it is."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from contrastive_jax.evaluation import picture

X, LABEL = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 2


@pytest.mark.parametrize(
  "name, shown",
  [
    ("_background", "_background"),
    ("Ba$$in", "Ba$$in"),
    ("$_x_$", "$_x_$"),
    ("$x^2$ and \\alpha", "$x^2$ and \\alpha"),
    ("caf\udce9", "caf\N{REPLACEMENT CHARACTER}"),  # a folder whose name is Latin-1, not UTF-8
    ("two\nlines\x07", "two\N{REPLACEMENT CHARACTER}lines\N{REPLACEMENT CHARACTER}"),
    ("狗", "狗"),  # not in the font
    ("n" * 255, "n" * 39 + "…"),
  ],
)
def test_any_name_is_drawn_as_it_is(name, shown, tmp_path, monkeypatch):
  saved, drawn = Figure.savefig, []

  def savefig(self, file, **options):
    drawn.append(self)
    saved(self, file, **options)

  monkeypatch.setattr(Figure, "savefig", savefig)
  path = picture.draw(X, LABEL, tmp_path / "p.png", picture.Options(), label_names=("cat", name))
  (legend,) = drawn[0].legends
  texts = legend.get_texts()
  assert [text.get_text() for text in texts] == ["cat", shown]
  assert not any(text.get_parse_math() for text in texts)
  assert path.read_bytes().startswith(b"\x89PNG")


def test_the_title_is_text_too(tmp_path):
  picture.draw(X, LABEL, tmp_path / "p.png", picture.Options(), title="$_x_$ of Ba$$in")
