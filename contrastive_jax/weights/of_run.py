"""What of a run's config its weights depend on: the network, and how it sees images."""

from typing import Any

from ml_collections import ConfigDict

from contrastive_jax import build, catalogue
from contrastive_jax.augment import NORMALIZATIONS
from contrastive_jax.models import resnet

# Options of a model that another value of gives other features, or other shapes.
COMPARED = (
  *("name", "width", "stem", "stem_relu", "padding", "sk_ratio", "bn_eps"),
  *("patch_px", "positions", "ln_eps"),
)


def model_of(config: ConfigDict) -> dict[str, Any]:
  """Returns what of a run's section `model` its weights depend on; a stem "auto" is decided."""
  model = {key: config.model[key] for key in COMPARED if key in config.model}
  if model.get("stem") == "auto":
    small = config.image_size_px <= resnet.SMALL_IMAGE_PX
    model["stem"] = "cifar" if small else "imagenet"
  if catalogue.family_of(model["name"]) == "vit":
    model.pop("bn_eps", None)  # which a ViT hands on to heads
  return model


def preparation_of(config: ConfigDict) -> dict[str, Any]:
  """Returns how a run prepares images for its network."""
  view = build.recipe(config)
  return {
    "recipe": config.augment.recipe,
    "size_px": config.image_size_px,
    "mean": list(view.mean),
    "std": list(view.std),
    "normalize": next(
      (name for name, how in NORMALIZATIONS.items() if how == (view.mean, view.std)), None
    ),
    "interpolation": view.interpolation,
    "antialias": view.antialias,
  }
