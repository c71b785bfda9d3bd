"""What is in an export, by form: the files of a backbone, its weights or whole graph among them."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from contrastive_jax import config as config_lib
from contrastive_jax import models
from contrastive_jax.weights import (
  card,
  folder,
  onnx_file,
  own,
  preparation,
  resnet_names,
  safetensors_file,
  stablehlo,
  tree,
  twin,
  vit_names,
)

_FARTHEST = 1e-4  # of features of ONNX Runtime from those of the network, times the largest


class _How(NamedTuple):
  """The step of a checkpoint, whether bytes are standardised inside, and images at a time."""

  step: int
  prepared: bool
  batch: int | None


class Backbone(NamedTuple):
  """What is exported.

  Attributes:
    arrays: by our dotted names below the backbone.
    model: of `of_run.model_of`.
    preparation: of `of_run.preparation_of`.
  """

  arrays: dict[str, np.ndarray]
  model: dict[str, Any]
  preparation: dict[str, Any]

  def forward(self, x):
    """Returns h [B, F] of standardised images [B, H, W, 3]."""
    params, stats = tree.nested(self.arrays)
    net = models.backbone(**self.model)
    return net.apply({"params": params, "batch_stats": stats}, x, train=False)["h"]


def contents(
  backbone: Backbone,
  form: str,
  about: Mapping[str, Any],
  results: list[dict[str, Any]],
  prepare: str = "out",
  batch: int | None = None,
) -> dict[str, bytes]:
  """Returns the files of an export by name."""
  found = preparation.facts(backbone.preparation, backbone.model)
  how = _How(about["step"], prepare == "in", batch)
  file, content = CONTENTS[form](backbone, how)
  if form in ("onnx", "stablehlo"):
    channels_first = form == "onnx" and prepare == "out"
    found["input"] = {
      "type": "uint8, standardised inside" if prepare == "in" else "float32, standardised",
      "axes": "batch, channel, row, column" if channels_first else "batch, row, column, channel",
    }
  files = {file: content, folder.MARK: _json(found)}
  size_px = backbone.preparation["size_px"]
  timm = twin.in_timm(backbone.model, size_px) if form == "safetensors" else None
  if timm:
    files["config.json"] = _json(preparation.timms(found, *timm, _num_features(backbone.arrays)))
  files["training_config.json"] = config_lib.to_json(_without_paths(about["config"])).encode()
  files["README.md"] = card.text(dict(about) | {"timm": bool(timm)}, found, file, results).encode()
  return files


def _num_features(arrays: Mapping[str, np.ndarray]) -> int:
  """Returns F: that of the last norm of the network."""
  if "params.norm.scale" in arrays:
    return len(arrays["params.norm.scale"])
  last = max(
    (name for name in arrays if name.endswith((".norm2.scale", ".norm3.scale"))),
    key=lambda name: (name.split(".")[1].split("_")[0], name.rpartition(".norm")[2]),
  )
  return len(arrays[last])


def _safetensors(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  if "params.class_token" in backbone.arrays:
    layout, state = "timm", vit_names.export(backbone.arrays, backbone.preparation["size_px"])
  else:
    layout, state = "torchvision", resnet_names.export(backbone.arrays, how.step)
  metadata = own.metadata(_known(backbone, layout))
  return "model.safetensors", safetensors_file.content(state, metadata)


def _own(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  del how
  metadata = own.metadata(_known(backbone, "own"))
  return "model.safetensors", safetensors_file.content(own.named(backbone.arrays), metadata)


def _known(backbone: Backbone, layout: str) -> dict[str, Any]:
  return {"layout": layout, "model": backbone.model, "preparation": backbone.preparation}


def _onnx(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  ready, size_px = backbone.preparation, backbone.preparation["size_px"]
  inside = (ready["mean"], ready["std"]) if how.prepared else None
  content = onnx_file.content(backbone.arrays, backbone.model, size_px, inside)
  _check_onnx(content, backbone, inside)
  return "model.onnx", content


def _check_onnx(content: bytes, backbone: Backbone, prepared: tuple | None) -> None:
  """Compares the graph with the network where ONNX Runtime is installed. Raises RuntimeError."""
  try:
    import onnxruntime
  except ImportError:
    logging.getLogger(__name__).warning("warning: onnxruntime is not installed: ONNX is unchecked")
    return
  size_px = backbone.preparation["size_px"]
  images = np.random.default_rng(0).integers(0, 256, (3, size_px, size_px, 3), np.uint8)
  mean, std = (np.asarray(backbone.preparation[k], np.float32) for k in ("mean", "std"))
  ready = ((images * np.float32(1 / 255) - mean) / std).astype(np.float32)
  session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
  given = images if prepared else np.ascontiguousarray(ready.transpose(0, 3, 1, 2))
  (found,) = session.run(None, {"images": given})
  wanted = np.asarray(jax.jit(backbone.forward)(ready))
  farthest = np.abs(found - wanted).max()
  if not farthest <= _FARTHEST * max(1.0, np.abs(wanted).max()):
    raise RuntimeError(f"the ONNX graph's features are off by {farthest:.2g}; nothing is written")


def _stablehlo(backbone: Backbone, how: _How) -> tuple[str, bytes]:
  mean, std = (np.asarray(backbone.preparation[k], np.float32) for k in ("mean", "std"))

  def forward(images):
    if how.prepared:
      images = (images.astype(jnp.float32) * np.float32(1 / 255) - mean) / std
    return backbone.forward(images)

  kind = "uint8" if how.prepared else "float32"
  size_px = backbone.preparation["size_px"]
  return "model.stablehlo", stablehlo.content(forward, size_px, kind, how.batch)


CONTENTS: dict[str, Callable[[Backbone, _How], tuple[str, bytes]]] = {
  "safetensors": _safetensors,
  "own": _own,
  "onnx": _onnx,
  "stablehlo": _stablehlo,
}


def _without_paths(config: ConfigDict) -> ConfigDict:
  """Returns a config that may be published: places of one machine are of no use elsewhere."""
  plain = config.copy_and_resolve_references()
  for key, value in config_lib.flatten(config).items():
    if not card.is_place(key, value):
      continue
    *sections, last = key.split(".")
    part = plain
    for name in sections:
      part = part[name]
    part[last] = ""
  return plain


def _json(value: Mapping[str, Any]) -> bytes:
  return (json.dumps(value, indent=2) + "\n").encode()
