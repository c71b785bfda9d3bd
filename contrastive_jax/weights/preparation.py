"""How images are made ready for an exported network, as JSON and in timm's words."""

from collections.abc import Mapping
from typing import Any

_WHOLE_BELOW_PX = 64  # smaller views show the whole image (augment.test_view)
_CENTRAL = 0.875


def facts(preparation: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the content of preprocessing.json.

  Args:
    preparation: of `of_run.preparation_of`.
    model: of `of_run.model_of`.
  """
  size_px = preparation["size_px"]
  whole = size_px < _WHOLE_BELOW_PX
  return {
    "made_by": "contrastive_jax",
    "size_px": size_px,
    "crop": "squash" if whole else "center",
    "crop_share": 1.0 if whole else _CENTRAL,
    "interpolation": preparation["interpolation"],
    "antialias": preparation["antialias"],
    "range": [0.0, 1.0],
    "mean": preparation["mean"],
    "std": preparation["std"],
    "channels": "RGB",
    "padding": model.get("padding", "none"),
    "model": dict(model),
  }


def timms(
  found: Mapping[str, Any], architecture: str, arguments: Mapping[str, Any], num_features: int
) -> dict[str, Any]:
  """Returns the content of the config.json by which timm builds the network and its transform."""
  is_vit = architecture.startswith("vit")
  config = {
    "architecture": architecture,
    "num_classes": 0,
    "num_features": num_features,
    "pretrained_cfg": {
      "input_size": [3, found["size_px"], found["size_px"]],
      "fixed_input_size": is_vit,
      "interpolation": found["interpolation"],
      "crop_pct": found["crop_share"],
      "crop_mode": found["crop"],
      "mean": found["mean"],
      "std": found["std"],
      "num_classes": 0,
      "first_conv": "patch_embed.proj" if is_vit else "conv1",
      "classifier": "head" if is_vit else "fc",
    },
  }
  config["global_pool"] = "token" if is_vit else "avg"
  return config | ({"model_args": dict(arguments)} if arguments else {})
