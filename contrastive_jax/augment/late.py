"""Views that are made where they are needed: bytes and keys until then.

The float views of a whole batch take megabytes an image on the way. A step that goes through its
batch in parts makes those of a part inside the part, and again in its backward pass: the same
views, since what a view shows depends on its key alone.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt

Make = Callable[..., Float[Array, "V H H C"]]  # of one image: image, extent, key, view numbers


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=("image", "extent", "key"),
  meta_fields=("make", "size_px", "numbers"),
)
@dataclasses.dataclass(frozen=True)
class LateViews:
  """The views [B, V, H, H, C] of a batch, not yet made; its rows can be cut as those of arrays.

  Attributes:
    image: bytes on the canvas.
    extent: height and width of what is in its top left corner.
    key: of each image.
    make: called as `make(image, extent, key, numbers)` with those of one image.
    size_px: H.
    numbers: of the views, in the order in which they are asked for.
  """

  image: UInt[Array, "B S S C"]
  extent: Int[Array, "B 2"]
  key: PRNGKeyArray
  make: Make
  size_px: int
  numbers: tuple[int, ...]

  @property
  def shape(self) -> tuple[int, ...]:
    return len(self), len(self.numbers), self.size_px, self.size_px, self.image.shape[-1]

  def __len__(self) -> int:
    return len(self.image)

  def __getitem__(self, index: tuple[slice, slice]) -> "LateViews":
    """Returns some of the views of all images: `views[:, 1:]`."""
    rows, views = index
    if rows != slice(None) or not isinstance(views, slice):
      raise TypeError("of late views, slices of the second axis can be taken: views[:, 1:]")
    return dataclasses.replace(self, numbers=self.numbers[views])

  def made(self) -> Float[Array, "B V H H C"]:
    def one(image, extent, key):
      return self.make(image, extent, key, self.numbers)

    return jax.vmap(one)(self.image, self.extent, self.key)


def made(views: Array | LateViews) -> Float[Array, "B V H H C"]:
  """Returns views as pixels, for whoever looks at them itself."""
  return views.made() if isinstance(views, LateViews) else views
