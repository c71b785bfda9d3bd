"""Exports loaded by the libraries that they are for, features compared; a Markdown table.

Needs PyTorch, torchvision, timm, onnx, onnxruntime and flatbuffers beside the package:

  python benchmarks/weights.py [NAME ...]

Weights are random, with uneven statistics of batch norm. For each network and size: the file is
loaded strictly by torchvision (ResNets) and by timm from its folder, then as ONNX and as StableHLO,
and read back. A figure is the largest difference of a feature, divided by the largest feature.
"""

import json
import logging
import pathlib
import sys
import tempfile

import jax
import numpy as np
import onnxruntime
import safetensors.torch
import timm
import torch
import torchvision

from contrastive_jax import config as config_lib
from contrastive_jax import models
from contrastive_jax.weights import folder, forms, of_run, start, tree

NAMES = (
  *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
  *("vit_tiny", "vit_small", "deit_small", "vit_base"),
)
STEMS = {"cifar": (3, 1, 1), "cifar_pad2": (3, 1, 2)}


def backbone(name: str, size_px: int, **options) -> forms.Backbone:
  """Returns a network with random weights and statistics that differ from layer to layer."""
  config = config_lib.pretrain("simclr", name)
  if "padding" in config.model:
    config.model.padding = "torch"
  for key, value in options.items():
    config.model[key] = value
  config.image_size_px = size_px
  config.augment.normalize = "imagenet"
  model = of_run.model_of(config)
  net = models.backbone(**model)
  shapes = jax.eval_shape(
    lambda: net.init(jax.random.key(0), jax.numpy.zeros((1, size_px, size_px, 3)), False)
  )
  flat = tree.flat(shapes["params"], shapes.get("batch_stats", {}))
  rng = np.random.default_rng(0)
  arrays = {key: drawn(key, leaf.shape, rng) for key, leaf in flat.items()}
  return forms.Backbone(arrays, model, of_run.preparation_of(config))


def drawn(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
  """Returns an array that keeps activations of order 1, with nothing at 0 or 1."""
  leaf = name.rpartition(".")[2]
  if leaf == "kernel":
    found = rng.normal(size=shape) * np.sqrt(1 / np.prod(shape[:-1]))
  elif leaf == "scale":
    found = rng.uniform(0.5, 1.2, shape) * (0.5 if ".norm3" in name else 1)
  elif leaf == "var":
    found = rng.uniform(0.3, 3.0, shape)
  else:
    found = rng.normal(size=shape) * 0.2
  return found.astype(np.float32)


def folder_of(net: forms.Backbone, form: str, root: pathlib.Path) -> pathlib.Path:
  config = config_lib.pretrain("simclr", net.model["name"])
  about = {"config": config, "step": 7, "format": form, "command": "benchmark", "images": {}}
  about["network"] = "online"
  folder.write(str(root / form), forms.contents(net, form, about, []))
  return root / form


def in_torchvision(net: forms.Backbone, file: pathlib.Path) -> torch.nn.Module:
  twin = getattr(torchvision.models, net.model["name"])()
  twin.fc = torch.nn.Identity()
  if net.model["stem"] in STEMS:
    twin.conv1 = torch.nn.Conv2d(3, 64, *STEMS[net.model["stem"]], bias=False)
    twin.maxpool = torch.nn.Identity()
  twin.load_state_dict(safetensors.torch.load_file(file), strict=True)
  return twin.eval()


def off(found: np.ndarray, wanted: np.ndarray) -> float:
  return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def row(name: str, size_px: int, root: pathlib.Path, **options) -> list[str]:
  net = backbone(name, size_px, **options)
  images = np.random.default_rng(1).normal(size=(4, size_px, size_px, 3)).astype(np.float32)
  wanted = np.asarray(jax.jit(net.forward)(images))
  first = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
  first_layer = net.model.get("stem") or f"patch {net.model['patch_px']}"
  if net.model.get("positions") == "learned":
    first_layer += ", learned positions"
  folder, cells = folder_of(net, "safetensors", root), [name, first_layer, size_px]
  with torch.no_grad():
    if name.startswith("resnet"):
      twin = in_torchvision(net, folder / "model.safetensors")
      cells.append(f"{off(twin(first).numpy(), wanted):.1e}")
    else:
      cells.append("-")
    if (folder / "config.json").exists():
      twin = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
      mean = json.loads((folder / "preprocessing.json").read_text())["mean"]
      assert list(timm.data.resolve_model_data_config(twin)["mean"]) == mean
      cells.append(f"{off(twin(first).numpy(), wanted):.1e}")
    else:
      cells.append("-")
  session = onnxruntime.InferenceSession(folder_of(net, "onnx", root) / "model.onnx")
  found = [session.run(None, {"images": first[:n].numpy()})[0] for n in (1, 4)]
  assert found[0].shape == (1, wanted.shape[1])
  cells.append(f"{off(found[1], wanted):.1e}")
  content = (folder_of(net, "stablehlo", root) / "model.stablehlo").read_bytes()
  found = np.asarray(jax.export.deserialize(bytearray(content)).call(images))
  cells.append("equal" if np.array_equal(found, wanted) else f"{off(found, wanted):.1e}")
  back = start.read(str(folder / "model.safetensors"))
  equal = back.arrays.keys() == net.arrays.keys() and all(
    np.array_equal(back.arrays[k], net.arrays[k]) for k in net.arrays
  )
  return [*map(str, cells), "equal" if equal and back.model == net.model else "differs"]


def main() -> None:
  logging.basicConfig(level=logging.WARNING)
  names = sys.argv[1:] or NAMES
  head = "network", "first layer", "px", "torchvision", "timm", "ONNX", "StableHLO", "read back"
  print("| " + " | ".join(head) + " |\n|" + "---|" * len(head), flush=True)
  for name in names:
    cases = [(224, {}), (32, {})]
    if name.startswith("resnet"):
      cases = [(224, {"stem": "imagenet"}), (32, {"stem": "imagenet"}), (32, {"stem": "cifar"})]
    else:
      cases = [(224, {}), (32, {"patch_px": 4}), (224, {"positions": "learned"})]
    for size_px, options in cases:
      with tempfile.TemporaryDirectory() as root:
        print(
          "| " + " | ".join(row(name, size_px, pathlib.Path(root), **options)) + " |", flush=True
        )


if __name__ == "__main__":
  main()
