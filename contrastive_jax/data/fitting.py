"""Whether images are of the form that the options ask for at all: a few of them tell.

Five channels where three are asked for: each image would be replaced by the next one, with a line,
until none is left.
"""

import logging
import random
import weakref
from collections.abc import Sequence

from contrastive_jax import data, errors, plural, reading
from contrastive_jax.data import Refused, Source, Unreadable, pixels, tiff_pages
from contrastive_jax.data.subset import Subset

_LOOKED_AT = 64  # images; not at equal distances, at which may lie one kind of two

_told: weakref.WeakSet[Source] = weakref.WeakSet()  # of which it was said what is left out


def check(source: Source, form: pixels.Form) -> None:
  """Raises UserError, with what to set, if all of some images are refused for the options.

  The first that is read ends the search, so that mostly one is decoded; damaged ones do not count.
  A line says if pages of that one are left out.
  ReadFailed: one cannot be read for now.
  """
  if data.formed(source, pixels.NATIVE) is source:  # of RGB alone
    return
  refused: list[str] = []
  formed = data.formed(source, form)
  looked_at = random.Random(0).sample(range(len(source)), min(len(source), _LOOKED_AT))
  for i in sorted(looked_at):
    try:
      with tiff_pages.noted() as left_out:
        reading.patiently(f"image {i}", lambda i=i: formed[i])
      _tell(source, left_out)
      return
    except Refused as error:
      refused.append(str(error))
    except Unreadable:
      continue
  if refused:
    raise errors.UserError(
      f"{plural.of(len(refused), 'image')} of {len(source):,} were looked at, and none is as the "
      f"options say, the first: {refused[0]}"
    )


def _tell(source: Source, left_out: Sequence[str]) -> None:
  """Says what is left out of an image, once of a set whose images are used in several parts."""
  while isinstance(source, Subset):
    source = source._source
  if left_out and source not in _told:
    _told.add(source)
    logging.getLogger(__name__).warning("warning: %s", left_out[0])
