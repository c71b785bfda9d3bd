"""Which operations change which channels, where an image is not red, green and blue.

Operations that move or hide pixels act on all channels alike. Those of colour know three: grey has
one, in which they do what they do to a grey picture in three; of any other number the user says
which three they are to take for red, green and blue, or that there are none.
"""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from contrastive_jax import errors

COLOR = ("jitter", "grey", "sobel")  # which need red, green and blue
SINGLE = ("blur", "noise", "solarize", "cutout")  # which act on any channels
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, of means and deviations of red, green and blue


@dataclasses.dataclass(frozen=True)
class Within:
  """An operation on some channels; the others stay as they are.

  One channel goes through an operation of colour as a grey picture in three would.
  """

  operation: object
  channels: tuple[int, ...]
  as_grey: bool = False

  @property
  def p(self) -> float:
    return getattr(self.operation, "p", 1.0)

  def sample(self, key: PRNGKeyArray, extent: Int[Array, "2"]) -> dict[str, Array]:
    return self.operation.sample(key, extent)

  def apply(self, params: dict[str, Array], image: Float[Array, "H W C"]) -> Float[Array, "H W C"]:
    some = jnp.stack([image[..., c] for c in self.channels], axis=-1)
    if self.as_grey:
      changed = self.operation.apply(params, jnp.repeat(some, 3, axis=-1))[..., :1]
    else:
      changed = self.operation.apply(params, some)
    if self.channels == tuple(range(image.shape[-1])):
      return changed
    return image.at[..., jnp.array(self.channels)].set(changed)


def parsed(given: tuple[str, ...], channels: int) -> dict[str, tuple[int, ...]]:
  """Returns which channels each operation changes, as "OPERATION:0,1,2" says.

  "color" names jitter, grey and sobel together.

  Raises:
    UserError: another form, an unknown operation, or a channel that there is not.
  """
  found = {}
  for text in given:
    name, _, numbers = text.partition(":")
    try:
      which = tuple(int(number) for number in numbers.split(","))
    except ValueError:
      which = ()
    if name not in ("color", *COLOR, *SINGLE) or not which:
      raise errors.UserError(
        f"augment.channels_of {text!r} is not OPERATION:0,1,... with an operation of color, "
        f"{', '.join((*COLOR, *SINGLE))}; write e.g. color:0,1,2"
      )
    if len(set(which)) < len(which) or not all(0 <= c < channels for c in which):
      raise errors.UserError(
        f"augment.channels_of {text!r}: channels are 0 to {channels - 1} (data.channels "
        f"{channels}), each once"
      )
    if name in ("color", *COLOR) and len(which) not in (1, 3):
      raise errors.UserError(
        f"augment.channels_of {text!r}: operations of colour take three channels, red, green and "
        "blue, or one, as grey"
      )
    found |= {n: which for n in (COLOR if name == "color" else (name,))}
  return found


def assigned(pipeline: tuple, channels: int, named: Mapping[str, tuple[int, ...]], recipe: str):
  """Returns a pipeline whose operations change the channels that they are to.

  Args:
    pipeline: (name, operation) each.
    channels: of an image.
    named: see `parsed`.
    recipe: its name, in errors.

  Raises:
    UserError: an operation of colour has no channels to act on.
  """
  found = []
  for name, operation in pipeline:
    which = named.get(name)
    if name in COLOR:
      if which is None and channels not in (1, 3):
        raise errors.UserError(
          f"recipe {recipe!r} has the colour operation {name}, and data.channels is {channels}: "
          "which of them are red, green and blue? Set "
          "--config.augment.channels_of=\"('color:0,1,2',)\", or --config.augment.color_strength=0 "
          "for no colour distortion"
        )
      which = which or tuple(range(channels))
      if len(which) == 1 and name == "grey":
        continue  # grey it is
      plain = channels == 3 and which == (0, 1, 2)
      operation = operation if plain else Within(operation, which, len(which) == 1)
    elif which is not None:
      operation = Within(operation, which)
    found.append((name, operation))
  return tuple(found)


def normalization(
  own: tuple[tuple[float, ...], tuple[float, ...]],
  name: str,
  channels: int,
  mean: tuple[float, ...],
  std: tuple[float, ...],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Returns mean and standard deviation of each channel.

  Args:
    own: those of red, green and blue, by `name`. Grey has their luminance.
    name: of these.
    channels: of an image.
    mean, std: as they are given; (): not at all.

  Raises:
    UserError: they are given for another number of channels, or for none where they are needed.
  """
  if mean or std:
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
      raise errors.UserError(
        f"augment.mean {mean} and augment.std {std} are not {channels} numbers each, those of std "
        f"above 0 (data.channels is {channels}); set both, or neither"
      )
    return tuple(map(float, mean)), tuple(map(float, std))
  if channels == 3:
    return own
  if name == "none":
    return (0.0,) * channels, (1.0,) * channels
  if channels == 1:
    return tuple((sum(w * v for w, v in zip(_LUMINANCE, x, strict=True)),) for x in own)
  raise errors.UserError(
    f"augment.normalize {name} is of red, green and blue, and data.channels is {channels}: set "
    f"augment.mean and augment.std, {channels} numbers each, or --config.augment.normalize=none"
  )
