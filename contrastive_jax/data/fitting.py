"""Whether images are of the form that the options ask for at all: a few of them tell.

Five channels where three are asked for: each image would be replaced by the next one, with a line,
until none is left.
"""

from contrastive_jax import data, errors, plural, reading
from contrastive_jax.data import Refused, Source, Unreadable, pixels

_LOOKED_AT = 16  # images, at equal distances


def check(source: Source, form: pixels.Form) -> None:
  """Raises UserError, with what to set, if all of some images are refused for the options.

  The first that is read ends the search, so that mostly one is decoded; damaged ones do not count.
  ReadFailed: one cannot be read for now.
  """
  if data.formed(source, pixels.NATIVE) is source:  # of RGB alone
    return
  refused: list[str] = []
  formed = data.formed(source, form)
  for i in range(0, len(source), -(-len(source) // _LOOKED_AT)):
    try:
      reading.patiently(f"image {i}", lambda i=i: formed[i])
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
