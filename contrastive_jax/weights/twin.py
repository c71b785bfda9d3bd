"""Whether torchvision or timm can build the network of a run, and by which words."""

from collections.abc import Mapping
from typing import Any

from contrastive_jax import catalogue
from contrastive_jax.weights import facts

_IN_TIMM = {
  "vit_tiny": "vit_tiny_patch16_224",
  "vit_small": "vit_small_patch16_224",
  "deit_small": "vit_small_patch16_224",
  "vit_base": "vit_base_patch16_224",
  "vit_large": "vit_large_patch16_224",
}
_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_STEMS = {  # lines that turn torchvision's ResNet into one with a 3x3 stem
  "imagenet": (),
  "cifar": (3, 1, 1),
  "cifar_s2": (3, 2, 1),
  "cifar_pad2": (3, 1, 2),
}


def missing(model: Mapping[str, Any]) -> str:
  """Returns why neither torchvision nor timm has such a network; "" if they have.

  Args:
    model: of `of_run.model_of`.
  """
  if catalogue.family_of(model["name"]) == "vit":
    if model["ln_eps"] == 1e-6:
      return ""
    return (
      f"model.ln_eps {model['ln_eps']:g}: a state of weights cannot say so, and theirs is 1e-06"
    )
  if model["sk_ratio"]:
    return f"model.sk_ratio {model['sk_ratio']}: they have no selective kernels of SimCLR v2's form"
  if model["padding"] != "torch":
    return (
      f"model.padding {model['padding']}: at stride 2 theirs pads both sides alike, so that the "
      "same weights give other features"
    )
  if not model["stem_relu"]:
    return "model.stem_relu False: theirs has a ReLU after the stem"
  if model["width"] != 1:
    return f"model.width {model['width']:g}: theirs widens no stem"
  if model["bn_eps"] != 1e-5:
    return (
      f"model.bn_eps {model['bn_eps']:g}: a state of weights cannot say so, and theirs is 1e-05"
    )
  if model["name"] not in _RESNETS:
    return f"model.name {model['name']}: they have {', '.join(_RESNETS)}"
  return ""


def in_timm(model: Mapping[str, Any], image_px: int) -> tuple[str, dict[str, Any]] | None:
  """Returns the name of timm's network and its arguments; None if timm has no name for it."""
  if model["name"] in _IN_TIMM:
    arguments = {
      "img_size": image_px,
      "patch_size": model["patch_px"],
      "num_heads": facts.heads_of(model["name"]),
    }
    return _IN_TIMM[model["name"]], arguments
  if missing(model) or model["stem"] != "imagenet":
    return None
  return model["name"], {}


def in_torchvision(model: Mapping[str, Any], file: str) -> list[str]:
  """Returns lines of Python that load a file strictly into torchvision's network."""
  lines = ["import safetensors.torch, torch, torchvision", ""]
  lines += [f"net = torchvision.models.{model['name']}()", "net.fc = torch.nn.Identity()"]
  if _STEMS[model["stem"]]:
    side, stride, rim = _STEMS[model["stem"]]
    lines.append(f"net.conv1 = torch.nn.Conv2d(3, 64, {side}, {stride}, {rim}, bias=False)")
    lines.append("net.maxpool = torch.nn.Identity()")
  lines.append(f'net.load_state_dict(safetensors.torch.load_file("{file}"), strict=True)')
  return [*lines, "net.eval()"]
