"""Weights of other projects read here, features compared with the projects' own; a Markdown table.

Needs PyTorch, torchvision, timm, lightly, transformers and dm-haiku beside the package:

  python benchmarks/weights_in.py [NAME ...]

Each network is made by its project's code, with random weights and uneven statistics, written under
that project's names, and read by `weights.start`. A figure is the largest difference of a feature,
divided by the largest. The last column is the same where the layout's trap is not heeded.
"""

import pathlib
import sys
import tempfile

import haiku as hk
import jax
import lightly.models
import numpy as np
import timm
import torch
import torchvision
import transformers

from contrastive_jax import models
from contrastive_jax.weights import safetensors_file, start, tree, vit_names


def shaken(net: torch.nn.Module) -> torch.nn.Module:
  """Returns the network with statistics and norms that are nowhere alike, for evaluation."""
  generator = torch.Generator().manual_seed(0)
  for name, value in net.state_dict().items():
    if value.dtype.is_floating_point and value.ndim == 1:
      draw = torch.rand(value.shape, generator=generator)
      low, high = (0.5, 2.0) if "var" in name else (0.6, 1.2) if "weight" in name else (-0.2, 0.2)
      value.copy_(low + (high - low) * draw)
  return net.eval()


def small_stem(rim: int) -> torch.nn.Module:
  net = torchvision.models.resnet18()
  net.conv1 = torch.nn.Conv2d(3, 64, 3, 1, rim, bias=False)
  net.maxpool, net.fc = torch.nn.Identity(), torch.nn.Identity()
  return net


def headless(net: torch.nn.Module) -> torch.nn.Module:
  net.fc = torch.nn.Identity()
  return net


def cut(net: torch.nn.Module, last: int) -> torch.nn.Module:
  return torch.nn.Sequential(
    *list(net.children())[:last], torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
  )


class Whole(torch.nn.Module):
  """lightly's own ResNet up to its classifier, called as it calls itself."""

  def __init__(self):
    super().__init__()
    self.backbone = lightly.models.ResNetGenerator("resnet-18")

  def forward(self, x):
    net = self.backbone
    x = torch.relu(net.bn1(net.conv1(x)))
    return net.layer4(net.layer3(net.layer2(net.layer1(x)))).mean((2, 3))


def moco_v3() -> torch.nn.Module:
  net = timm.create_model("vit_small_patch16_224", num_heads=12, num_classes=0)
  net.pos_embed.data = torch.from_numpy(vit_names.fixed(14, 384))[None]
  return net


def vit(name: str, **options) -> torch.nn.Module:
  return timm.create_model(name, num_classes=0, **options)


def under(prefix: str, **more) -> dict:
  return {"prefix": prefix, "more": {name: np.ones(shape) for name, shape in more.items()}}


CASES = {  # name: the network, side of images, prefix and other arrays, an option that is wrong
  "torchvision resnet50": (lambda: headless(torchvision.models.resnet50()), 224, under(""),
                           {"padding": "same"}),
  "timm resnet18": (lambda: timm.create_model("resnet18", num_classes=0), 64, under(""),
                    {"padding": "simclr"}),
  "timm vit_small": (lambda: vit("vit_small_patch16_224"), 224, under(""), {"name": "vit_small"}),
  "timm vit_tiny, 224 to 160 px": (
    lambda: vit("vit_tiny_patch16_224", img_size=224, dynamic_img_size=True), 160, under(""), {}),
  "MoCo v3 vit_small": (moco_v3, 224, under("module.base_encoder."), {"name": "deit_small"}),
  "MoCo v2 resnet18": (lambda: headless(torchvision.models.resnet18()), 224,
                       under("module.encoder_q.", **{"module.queue": (2, 2)}), {"padding": "same"}),
  "solo-learn resnet18, 3x3 stem": (
    lambda: small_stem(2), 32,
    under("state_dict.backbone.", **{"state_dict.classifier.weight": (2, 2)}), {"stem": "cifar"}),
  "lightly's ResNetGenerator, cut": (
    lambda: cut(lightly.models.ResNetGenerator("resnet-18"), -1), 32, under("backbone."),
    {"stem_relu": True}),
  "lightly's ResNetGenerator, whole": (Whole, 32, under(""), {"stem_relu": False}),
  "lightly, torchvision's children": (
    lambda: cut(torchvision.models.resnet18(), -2), 64, under("backbone."), {"padding": "same"}),
}  # fmt: skip


def features(weights: start.Weights, x: np.ndarray, **wrong) -> np.ndarray:
  params, stats = tree.nested(weights.arrays)
  net = models.backbone(**weights.model | wrong)
  variables = {"params": params, "batch_stats": stats}
  return np.asarray(jax.jit(lambda x: net.apply(variables, x, train=False)["h"])(x))


def row(name: str, layout: start.Weights, wanted: np.ndarray, x: np.ndarray, wrong: dict) -> None:
  def off(found):
    return f"{np.abs(found - wanted).max() / np.abs(wanted).max():.1e}"

  trap = ", ".join(f"{key} {value}" for key, value in wrong.items())
  last = f"{off(features(layout, x, **wrong))} ({trap})" if wrong else "-"
  print(f"| {name} | {layout.layout} | {off(features(layout, x))} | {last} |", flush=True)


def of_torch(name: str, folder: pathlib.Path) -> None:
  make, size_px, how, wrong = CASES[name]
  torch.manual_seed(0)
  net = shaken(make())
  x = np.random.default_rng(1).normal(size=(4, size_px, size_px, 3)).astype(np.float32)
  with torch.no_grad():
    wanted = net(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
  state = {how["prefix"] + k: v.numpy() for k, v in net.state_dict().items()} | how["more"]
  file = folder / "weights.safetensors"
  file.write_bytes(safetensors_file.content(state, {}))
  row(name, start.read(str(file)), wanted, x, wrong)


def of_haiku(folder: pathlib.Path) -> None:
  """BYOL's network: Haiku's ResNet-50, its classifier the identity."""
  net = hk.transform_with_state(
    lambda x, training: hk.nets.ResNet50(2048, resnet_v2=False)(x, is_training=training)
  )
  x = np.random.default_rng(1).normal(size=(2, 224, 224, 3)).astype(np.float32)
  params, state = jax.device_get(net.init(jax.random.key(0), x, True))
  rng, arrays = np.random.default_rng(0), {}
  for module in params:
    for leaf, value in params[module].items():
      if leaf in ("scale", "offset"):
        low, high = (0.6, 1.2) if leaf == "scale" else (-0.2, 0.2)
        params[module][leaf] = rng.uniform(low, high, value.shape).astype(np.float32)
      arrays[f"experiment_state/online_params/{module}/{leaf}"] = params[module][leaf]
  for module in state:
    for leaf, value in state[module].items():
      if leaf == "average":
        low, high = (0.5, 2.0) if "var" in module else (-0.2, 0.2)
        state[module][leaf] = rng.uniform(low, high, value.shape).astype(np.float32)
      arrays[f"experiment_state/online_state/{module}/{leaf}"] = state[module][leaf]
  logits = next(module for module in params if module.endswith("logits"))
  params[logits] = {"w": np.eye(2048, dtype=np.float32), "b": np.zeros(2048, np.float32)}
  wanted = np.asarray(jax.jit(lambda x: net.apply(params, state, None, x, False)[0])(x))
  np.savez(folder / "byol.npz", **arrays)
  row("BYOL's ResNet-50 (Haiku)", start.read(str(folder / "byol.npz")), wanted, x,
      {"padding": "torch"})  # fmt: skip


def of_hugging_face(folder: pathlib.Path) -> None:
  """A ViT as `save_pretrained` writes it; what is compared is the class token."""
  torch.manual_seed(0)
  config = transformers.ViTConfig()
  net = shaken(transformers.ViTModel(config, add_pooling_layer=False))
  x = np.random.default_rng(1).normal(size=(4, 224, 224, 3)).astype(np.float32)
  with torch.no_grad():
    found = net(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
  net.save_pretrained(folder)
  file = folder / "model.safetensors"
  wanted = found.last_hidden_state[:, 0].numpy()
  row("Hugging Face's vit_base", start.read(str(file)), wanted, x, {"ln_eps": 1e-6})


def main() -> None:
  print("| network | layout | difference | with the trap |\n|---|---|---|---|", flush=True)
  for name in CASES:
    if sys.argv[1:] and name not in sys.argv[1:]:
      continue
    with tempfile.TemporaryDirectory() as folder:
      of_torch(name, pathlib.Path(folder))
  for name, act in (("haiku", of_haiku), ("hugging_face", of_hugging_face)):
    if sys.argv[1:] and name not in sys.argv[1:]:
      continue
    with tempfile.TemporaryDirectory() as folder:
      act(pathlib.Path(folder))


if __name__ == "__main__":
  main()
