"""Weights as other projects name them, made up: their names and shapes follow from a few rules.

The rules are written down beside what the package has of them, from each project's own model code:
torchvision 0.29.1, timm 1.0.31, lightly 1.6.0, and the released code of the others.
"""

import re

import numpy as np

from contrastive_jax.weights import safetensors_file

RESNETS = {
  "resnet18": ((2, 2, 2, 2), False), "resnet34": ((3, 4, 6, 3), False),
  "resnet50": ((3, 4, 6, 3), True), "resnet101": ((3, 4, 23, 3), True),
  "resnet152": ((3, 8, 36, 3), True),
}  # fmt: skip
VITS = {"vit_tiny": (192, 3), "vit_small": (384, 12), "deit_small": (384, 6), "vit_base": (768, 12)}


def norm(name, channels, counted=True):
  """Names and shapes of a batch norm of PyTorch."""
  leaves = ("weight", "bias", "running_mean", "running_var")
  found = {f"{name}.{leaf}": (channels,) for leaf in leaves}
  return found | ({f"{name}.num_batches_tracked": ()} if counted else {})


def resnet(name="resnet18", stem_px=7, width=1, skip="downsample", classifier="fc", classes=1000):
  """Names and shapes of torchvision's ResNet."""
  sizes, deep = RESNETS[name]
  before = int(64 * width)
  shapes = {"conv1.weight": (before, 3, stem_px, stem_px)} | norm("bn1", before)
  for stage, size in enumerate(sizes):
    inner = int(64 * width * 2**stage)
    out = inner * (4 if deep else 1)
    for unit in range(size):
      block, into = f"layer{stage + 1}.{unit}", before if unit == 0 else out
      chain = [(inner, into, 1), (inner, inner, 3), (out, inner, 1)]
      chain = chain if deep else [(inner, into, 3), (inner, inner, 3)]
      for number, (o, i, side) in enumerate(chain, 1):
        shapes[f"{block}.conv{number}.weight"] = (o, i, side, side)
        shapes |= norm(f"{block}.bn{number}", o)
      if unit == 0 and (stage or into != out):
        shapes[f"{block}.{skip}.0.weight"] = (out, into, 1, 1)
        shapes |= norm(f"{block}.{skip}.1", out)
    before = out
  if classifier:
    shapes |= {f"{classifier}.weight": (classes, before), f"{classifier}.bias": (classes,)}
  return shapes


def vit(name="vit_tiny", patch_px=16, image_px=224, classifier="head", depth=12):
  """Names and shapes of timm's ViT."""
  width, count = VITS[name][0], 1 + (image_px // patch_px) ** 2
  shapes = {"cls_token": (1, 1, width), "pos_embed": (1, count, width)}
  shapes |= {"patch_embed.proj.weight": (width, 3, patch_px, patch_px)}
  shapes |= {"patch_embed.proj.bias": (width,)}
  for number in range(depth):
    block = f"blocks.{number}"
    for layer, o, i in (
      *(("attn.qkv", 3 * width, width), ("attn.proj", width, width)),
      *(("mlp.fc1", 4 * width, width), ("mlp.fc2", width, 4 * width)),
    ):
      shapes |= {f"{block}.{layer}.weight": (o, i), f"{block}.{layer}.bias": (o,)}
    for layer in ("norm1", "norm2"):
      shapes |= {f"{block}.{layer}.{leaf}": (width,) for leaf in ("weight", "bias")}
  shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
  if classifier:
    shapes |= {f"{classifier}.weight": (1000, width), f"{classifier}.bias": (1000,)}
  return shapes


def linear(name, o, i):
  return {f"{name}.weight": (o, i), f"{name}.bias": (o,)}


def transformers(name="vit_tiny", patch_px=16, image_px=224, prefix="vit.", in_memory=False):
  """Names and shapes of Hugging Face's ViT, as it saves them, or as transformers 5 holds them."""
  width, count = VITS[name][0], 1 + (image_px // patch_px) ** 2
  shapes = {"embeddings.cls_token": (1, 1, width)}
  shapes |= {"embeddings.position_embeddings": (1, count, width)}
  patch = "embeddings.patch_embeddings.projection"
  shapes |= {f"{patch}.weight": (width, 3, patch_px, patch_px), f"{patch}.bias": (width,)}
  parts = [f"attention.attention.{part}" for part in ("query", "key", "value")]
  parts += ["attention.output.dense", "intermediate.dense", "output.dense"]
  if in_memory:
    parts = [f"attention.{part}_proj" for part in "qkvo"] + ["mlp.fc1", "mlp.fc2"]
  for number in range(12):
    block = f"layers.{number}" if in_memory else f"encoder.layer.{number}"
    for part in parts[:4]:
      shapes |= linear(f"{block}.{part}", width, width)
    shapes |= linear(f"{block}.{parts[4]}", 4 * width, width)
    shapes |= linear(f"{block}.{parts[5]}", width, 4 * width)
    for norm_name in (f"{block}.layernorm_before", f"{block}.layernorm_after"):
      shapes |= {f"{norm_name}.{leaf}": (width,) for leaf in ("weight", "bias")}
  shapes |= {"layernorm.weight": (width,), "layernorm.bias": (width,)}
  return under(prefix, shapes)


def children(shapes, first_stage):
  """The same in a Sequential of the children: conv1 is 0, bn1 is 1, layer1 `first_stage`."""
  numbers = {"conv1": 0, "bn1": 1} | {f"layer{n}": first_stage + n - 1 for n in range(1, 5)}
  parts = (name.split(".", 1) for name in shapes)
  return {f"{numbers[a]}.{b}": shapes[f"{a}.{b}"] for a, b in parts if a in numbers}


def under(prefix, shapes):
  return {prefix + name: shape for name, shape in shapes.items()}


def simclr(name="resnet50", selective=False, head="head_contrastive"):
  """Names and shapes of SimCLR's TensorFlow checkpoints: layers are numbered as they are made."""
  sizes, deep = RESNETS[name]
  shapes, counts = {}, {"conv2d": 0, "batch_normalization": 0}

  def layer(kind, leaves):
    number = counts[kind]
    place = f"base_model/{kind}{f'_{number}' if number else ''}"
    counts[kind] += 1
    shapes.update({f"{place}/{leaf}": shape for leaf, shape in leaves.items()})

  def conv(side, i, o, with_norm=True):
    layer("conv2d", {"kernel": (side, side, i, o)})
    if with_norm:
      leaves = ("gamma", "beta", "moving_mean", "moving_variance")
      layer("batch_normalization", dict.fromkeys(leaves, (o,)))

  for side, i, o in ((3, 3, 32), (3, 32, 32), (3, 32, 64)) if selective else ((7, 3, 64),):
    conv(side, i, o)
  before = 64
  for stage, size in enumerate(sizes):
    inner, out = 64 * 2**stage, 64 * 2**stage * (4 if deep else 1)
    for unit in range(size):
      if unit == 0:
        conv(1, before, out)
      if not deep:
        conv(3, before, inner), conv(3, inner, inner)
      else:
        conv(1, before, inner)
        if selective:
          conv(3, inner, 2 * inner)
          middle = max(int(inner * 0.0625), 32)
          conv(1, inner, middle), conv(1, middle, 2 * inner, with_norm=False)
        else:
          conv(3, inner, inner)
        conv(1, inner, out)
      before = out
  shapes |= {f"{name}/Momentum": shape for name, shape in list(shapes.items())[:3]}
  return shapes | {f"{head}/nl_0/dense/kernel": (before, 128), "global_step": ()}


def simclr_tf2(arrays, sizes=RESNETS["resnet50"][0], selective=False, by_variable=False):
  """Renames what `simclr` names, bottlenecks: as SimCLR's code for TensorFlow 2 does.

  Both make layers in one order. Its checkpoints go by attributes, its variables by numbers, which
  run on over what holds a layer, too.
  """
  counts, convs, norms = {}, [], []

  def numbered(kind):
    counts[kind] = counts.get(kind, -1) + 1
    return f"{kind}_{counts[kind]}" if counts[kind] else kind

  def conv(attribute, holder, padded=True):
    number = f"_{len(convs)}" if convs else ""
    holder += f"/{numbered('conv2d_fixed_padding')}" if padded else ""
    attribute += "/conv2d" if padded else ""
    convs.append(f"resnet{holder}/conv2d{number}" if by_variable else attribute)

  def norm(attribute, holder):
    number = f"_{len(norms)}" if norms else ""
    name = f"resnet{holder}/{numbered('batch_norm_relu')}/sync_batch_normalization{number}"
    norms.append(name if by_variable else f"{attribute}/bn")

  stem = "model/resnet_model/initial_conv_relu_max_pool"
  for place, after in ((0, 1), (2, 3), (4, 6)) if selective else ((0, 2),):
    conv(f"{stem}/{place}", ""), norm(f"{stem}/{after}", "")
  for stage, size in enumerate(sizes):
    for unit in range(size):
      group = f"model/resnet_model/block_groups/{stage}/layers/{unit}"
      chain, holder = f"{group}/conv_relu_dropblock_layers", numbered("bottleneck_block")
      holder = f"/block_group{stage + 1}/{holder}"
      if unit == 0:
        pools = (1 if stage == 0 else 2) if selective else 0
        place = f"{group}/projection_layers"
        conv(f"{place}/{pools}", holder), norm(f"{place}/{pools + 1}", holder)
      conv(f"{chain}/0", holder), norm(f"{chain}/1", holder)
      if selective:
        inside = f"{holder}/{numbered('sk__conv2d')}"
        conv(f"{chain}/3/conv2d_fixed_padding", inside)
        norm(f"{chain}/3/batch_norm_relu", inside)
        conv(f"{chain}/3/conv2d_0", inside, padded=False)
        norm(f"{chain}/3/batch_norm_relu_1", inside)
        conv(f"{chain}/3/conv2d_1", inside, padded=False)
        conv(f"{chain}/5", holder), norm(f"{chain}/6", holder)
      else:
        conv(f"{chain}/3", holder), norm(f"{chain}/4", holder)
        conv(f"{chain}/6", holder), norm(f"{chain}/7", holder)
  found = {}
  for name, array in arrays.items():
    match = re.fullmatch(r"base_model/(conv2d|batch_normalization)_?(\d*)/(\w+)", name)
    if match:
      place = (convs if match[1] == "conv2d" else norms)[int(match[2] or 0)]
      end = ":0" if by_variable else "/.ATTRIBUTES/VARIABLE_VALUE"
      found[f"{place}/{match[3]}{end}"] = array
  return found


def byol(name="resnet50"):
  """Names and shapes of BYOL's checkpoint, as `convert` joins them."""
  net, (sizes, deep) = f"res_net{name[6:]}", RESNETS[name]
  root = "experiment_state/online_{}/" + net
  shapes = {}

  def layer(conv, norm, side, i, o):
    shapes[f"{root.format('params')}/~/{conv}/w"] = (side, side, i, o)
    for leaf in ("scale", "offset"):
      shapes[f"{root.format('params')}/~/{norm}/{leaf}"] = (1, 1, 1, o)
    for average in ("mean_ema", "var_ema"):
      place = f"{root.format('state')}/~/{norm}/~/{average}"
      shapes.update({f"{place}/average": (1, 1, 1, o), f"{place}/hidden": (1, 1, 1, o)})
      shapes[f"{place}/counter"] = ()

  layer("initial_conv", "initial_batchnorm", 7, 3, 64)
  before = 64
  for stage, size in enumerate(sizes):
    inner, out = 64 * 2**stage, 64 * 2**stage * (4 if deep else 1)
    for unit in range(size):
      block = f"block_group_{stage}/~/block_{unit}/~/"
      if unit == 0:
        layer(f"{block}shortcut_conv", f"{block}shortcut_batchnorm", 1, before, out)
      chain = [(1, before, inner), (3, inner, inner), (1, inner, out)]
      chain = chain if deep else [(3, before, inner), (3, inner, inner)]
      for number, (side, i, o) in enumerate(chain):
        layer(f"{block}conv_{number}", f"{block}batchnorm_{number}", side, i, o)
      before = out
  online = dict(shapes)
  shapes |= {k.replace("online_params", "target_params"): s for k, s in online.items()}
  shapes["experiment_state/online_params/projector/linear/w"] = (before, 4096)
  return shapes


def drawn(shapes, seed=0, dtype=np.float32):
  """Arrays of these names and shapes, out of a few numbers over and over; variances above 0."""
  numbers = np.random.default_rng(seed).standard_normal(4099, np.float32) * np.float32(0.1)

  def one(name, shape):
    if not shape:
      return np.asarray(7, np.int64)
    found = np.resize(np.roll(numbers, len(name) + sum(shape)), shape)
    return (np.abs(found) + 0.5 if "var" in name else found).astype(dtype)

  return {name: one(name, shape) for name, shape in shapes.items()}


def without(shapes, name):
  return {key: shape for key, shape in shapes.items() if key != name}


def save(path, shapes, **options):
  """Draws arrays and leaves them in a .npz or .safetensors file."""
  arrays = drawn(shapes, **options)
  if path.suffix == ".npz":
    np.savez(path, **arrays)
  else:
    path.write_bytes(safetensors_file.content(arrays, {}))
  return arrays
