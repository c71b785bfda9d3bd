"""The site: Markdown through MyST, the Python reference from docstrings. `make docs` builds it."""

import contrastive_jax

project = "contrastive_jax"
author = "The contrastive_jax maintainers"
copyright = author
version = release = contrastive_jax.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["amsmath", "attrs_inline", "deflist", "dollarmath"]
myst_heading_anchors = 3

napoleon_numpy_docstring = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
# Types of other projects, whose documentation a build without the network cannot look up, and what
# a state consists of, which is nobody's interface.
nitpick_ignore_regex = [
  (r"py:.*", r"(collections|flax|jax|jaxlib|jaxtyping|ml_collections|np|numpy|os|pathlib)\..*"),
  (r"py:.*", r"Array|ndarray|TrainState"),
]

html_theme = "furo"
html_title = "contrastive_jax"


def setup(app):
  app.connect("autodoc-process-signature", _short_arrays)


def _short_arrays(app, what, name, obj, options, signature, returned):
  """Writes Float[Array, "B D"], as the source does: jaxtyping names the module of Array as well."""
  texts = (signature, returned)
  return tuple(text and text.replace("jaxlib._jax.Array", "Array") for text in texts)
