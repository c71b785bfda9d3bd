"""A network as an ONNX graph, written node by node beside `models/`; any batch, one image size.

jax2onnx, which translates what JAX traced, cannot be installed beside this package: 0.17.1 asks for
an older orbax-checkpoint. The two families are few kinds of layers, so they are written out here;
whoever exports compares the graph with the network where ONNX Runtime is installed.
"""

import importlib
import math
import types
from collections.abc import Mapping
from typing import Any

import numpy as np

from contrastive_jax import catalogue, errors
from contrastive_jax.models import resnet
from contrastive_jax.weights import facts, vit_names

_OPSET, _IR = 17, 8  # LayerNormalization came with 17
Arrays = Mapping[str, np.ndarray]


def package() -> types.ModuleType:
  """Returns onnx. Raises `UserError` where it is not installed, which a run asks at its start."""
  try:
    importlib.import_module("onnx.helper")
    return importlib.import_module("onnx")
  except ImportError as error:
    raise errors.UserError(
      "an export as onnx needs onnx, which is not installed; pip install 'contrastive_jax[onnx]'"
    ) from error


def content(
  arrays: Arrays, model: Mapping[str, Any], size_px: int, prepared: tuple | None
) -> bytes:
  """Returns the file of a backbone: "images" in, "features" [B, F] out.

  Args:
    arrays: by our dotted names below the backbone.
    model: of `of_run.model_of`.
    size_px: side of the images.
    prepared: (mean, std): "images" are bytes [B, H, W, 3], standardised inside; None: float32
      [B, 3, H, W], standardised already.

  Raises:
    UserError: onnx is not installed.
  """
  graph = _Graph()
  name = "images"
  if prepared:
    name = graph.add("Cast", [name], to=1)
    name = graph.add("Transpose", [name], perm=[0, 3, 1, 2])
    mean, std = (np.asarray(x, np.float32).reshape(1, 3, 1, 1) for x in prepared)
    name = graph.add("Mul", [name, graph.constant(np.float32(1 / 255))])
    name = graph.add("Div", [graph.add("Sub", [name, graph.constant(mean)]), graph.constant(std)])
  if catalogue.family_of(model["name"]) == "vit":
    name = _vit(graph, arrays, model, name, size_px)
  else:
    name = _ResNet(graph, arrays, model, size_px)(name)
  graph.nodes[-1].output[0] = "features"
  return graph.content(size_px, bool(prepared))


class _Graph:
  """Nodes and constants, named as they come."""

  def __init__(self):
    self._onnx = package()
    self.nodes, self._constants = [], []

  def constant(self, value: np.ndarray) -> str:
    name = f"c{len(self._constants)}"
    array = np.asarray(value, order="C")  # ascontiguousarray would make a number a list
    self._constants.append(self._onnx.numpy_helper.from_array(array, name))
    return name

  def add(self, kind: str, inputs: list[str], **attributes: Any) -> str:
    name = f"n{len(self.nodes)}"
    self.nodes.append(self._onnx.helper.make_node(kind, inputs, [name], **attributes))
    return name

  def content(self, size_px: int, prepared: bool) -> bytes:
    helper, kinds = self._onnx.helper, self._onnx.TensorProto
    shape = ["batch", size_px, size_px, 3] if prepared else ["batch", 3, size_px, size_px]
    kind = kinds.UINT8 if prepared else kinds.FLOAT
    graph = helper.make_graph(
      self.nodes,
      "backbone",
      [helper.make_tensor_value_info("images", kind, shape)],
      [helper.make_tensor_value_info("features", kinds.FLOAT, ["batch", "features"])],
      self._constants,
    )
    opsets = [helper.make_opsetid("", _OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="contrastive_jax")
    model.ir_version = _IR
    return model.SerializeToString()


class _ResNet:
  """Writes `models.resnet.ResNet`; `size` is the side of the maps where it has come to."""

  def __init__(self, graph: _Graph, arrays: Arrays, model: Mapping[str, Any], size_px: int):
    self._graph, self._arrays, self._model, self._size = graph, arrays, model, size_px

  def __call__(self, x: str) -> str:
    sizes, block = getattr(resnet, self._model["name"]).args[:2]
    x = self._stem(x)
    for stage, size in enumerate(sizes, 1):
      for unit in range(1, size + 1):
        stride = 2 if stage > 1 and unit == 1 else 1
        x = self._block(f"block{stage}_{unit}", x, stride, block is resnet.BottleneckBlock)
    return self._graph.add("ReduceMean", [x], axes=[2, 3], keepdims=0)

  def _stem(self, x: str) -> str:
    stem, selective = self._model["stem"], self._model["sk_ratio"] > 0
    stride, rim = {"imagenet": (2, 0), "cifar": (1, 0), "cifar_s2": (2, 0), "cifar_pad2": (1, 1)}[
      stem
    ]
    if stem == "imagenet" and selective:
      for layer, step in ((1, 2), (2, 1)):
        x = self._relu(self._norm(f"stem_norm{layer}", self._conv(f"stem_conv{layer}", x, step)))
      stride = 1
    x = self._norm("stem_norm", self._conv("stem_conv", x, stride, rim))
    if self._model["stem_relu"]:
      x = self._relu(x)
    if stem == "imagenet":
      pads = self._pads(3, 2, resnet.SYMMETRIC_POOL[self._model["padding"]])
      x = self._graph.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=pads)
    return x

  def _block(self, name: str, x: str, stride: int, bottleneck: bool) -> str:
    shortcut, size = x, self._size
    y = self._conv(f"{name}.conv1", x, 1 if bottleneck else stride)
    y = self._relu(self._norm(f"{name}.norm1", y))
    if bottleneck and self._model["sk_ratio"]:
      y = self._selective(f"{name}.sk", y, stride)
    else:
      y = self._norm(f"{name}.norm2", self._conv(f"{name}.conv2", y, stride if bottleneck else 1))
      y = self._relu(y) if bottleneck else y
    if bottleneck:
      y = self._norm(f"{name}.norm3", self._conv(f"{name}.conv3", y, 1))
    if f"params.{name}.conv_skip.kernel" in self._arrays:
      self._size = size
      if self._model["sk_ratio"]:
        pads = self._pads(2, stride, False)
        shape = {"kernel_shape": [2, 2], "strides": [stride, stride], "pads": pads}
        shortcut = self._graph.add("AveragePool", [x], count_include_pad=0, **shape)
        stride = 1
      shortcut = self._conv(f"{name}.conv_skip", shortcut, stride)
      shortcut = self._norm(f"{name}.norm_skip", shortcut)
    return self._relu(self._graph.add("Add", [y, shortcut]))

  def _selective(self, name: str, x: str, stride: int) -> str:
    add, constant = self._graph.add, self._graph.constant
    y = self._relu(self._norm(f"{name}.norm", self._conv(f"{name}.conv", x, stride)))
    channels = self._arrays[f"params.{name}.norm.scale"].shape[0] // 2
    y = add("Reshape", [y, constant(np.asarray([0, 2, channels, self._size, self._size]))])
    pooled = add("ReduceSum", [y, constant(np.asarray([1]))], keepdims=0)
    pooled = add("ReduceMean", [pooled], axes=[2, 3], keepdims=1)
    mix = self._plain_conv(f"{name}.squeeze", pooled)
    mix = self._relu(self._norm(f"{name}.norm_squeeze", mix))
    mix = self._plain_conv(f"{name}.select", mix)
    mix = add("Reshape", [mix, constant(np.asarray([0, 2, channels, 1, 1]))])
    mixed = add("Mul", [y, add("Softmax", [mix], axis=1)])
    return add("ReduceSum", [mixed, constant(np.asarray([1]))], keepdims=0)

  def _conv(self, name: str, x: str, stride: int, rim: int = 0) -> str:
    side = self._arrays[f"params.{name}.kernel"].shape[0]
    self._size += 2 * rim
    pads = self._pads(side, stride, resnet.SYMMETRIC_CONV[self._model["padding"]])
    return self._plain_conv(name, x, [stride, stride], [pad + rim for pad in pads])

  def _plain_conv(self, name: str, x: str, strides=(1, 1), pads=(0, 0, 0, 0)) -> str:
    kernel = self._arrays[f"params.{name}.kernel"]
    weights = self._graph.constant(kernel.transpose(3, 2, 0, 1))
    shape = {"kernel_shape": list(kernel.shape[:2])}
    return self._graph.add("Conv", [x, weights], strides=strides, pads=pads, **shape)

  def _pads(self, side: int, stride: int, symmetric: bool) -> list[int]:
    """Returns the pads of a window, top, left, bottom, right, and moves `size` on."""
    size = self._size
    if symmetric:
      before = after = side // 2
    else:
      total = max((math.ceil(size / stride) - 1) * stride + side - size, 0)
      before, after = total // 2, total - total // 2
    self._size = (size + before + after - side) // stride + 1
    return [before, before, after, after]

  def _norm(self, name: str, x: str) -> str:
    leaves = [f"params.{name}.scale", f"params.{name}.bias"]
    leaves += [f"stats.{name}.mean", f"stats.{name}.var"]
    inputs = [self._graph.constant(self._arrays[leaf]) for leaf in leaves]
    return self._graph.add("BatchNormalization", [x, *inputs], epsilon=self._model["bn_eps"])

  def _relu(self, x: str) -> str:
    return self._graph.add("Relu", [x])


def _vit(graph: _Graph, arrays: Arrays, model: Mapping[str, Any], x: str, size_px: int) -> str:
  """Writes `models.vit.ViT` in timm's form of its weights."""
  state = vit_names.export(dict(arrays), size_px)
  width, patch_px = state["cls_token"].shape[-1], model["patch_px"]
  heads, count = facts.heads_of(model["name"]), state["pos_embed"].shape[1]
  add, constant = graph.add, graph.constant
  strides = {"kernel_shape": [patch_px] * 2, "strides": [patch_px] * 2}
  kernel, bias = (constant(state[f"patch_embed.proj.{leaf}"]) for leaf in ("weight", "bias"))
  x = add("Conv", [x, kernel, bias], **strides)
  x = add("Reshape", [x, constant(np.asarray([0, width, -1]))])
  x = add("Transpose", [x], perm=[0, 2, 1])
  x = add("Add", [x, constant(state["pos_embed"][:, 1:])])
  batch = add("Slice", [add("Shape", [x]), constant(np.asarray([0])), constant(np.asarray([1]))])
  shape = add("Concat", [batch, constant(np.asarray([1, width]))], axis=0)
  first = constant(state["cls_token"] + state["pos_embed"][:, :1])
  x = add("Concat", [add("Expand", [first, shape]), x], axis=1)

  def norm(name, x):
    scale, shift = constant(state[f"{name}.weight"]), constant(state[f"{name}.bias"])
    return add("LayerNormalization", [x, scale, shift], axis=-1, epsilon=model["ln_eps"])

  def dense(name, x):
    product = add("MatMul", [x, constant(state[f"{name}.weight"].T)])
    return add("Add", [product, constant(state[f"{name}.bias"])])

  for number in range(sum(name.endswith("attn.proj.bias") for name in state)):
    block = f"blocks.{number}"
    qkv = dense(f"{block}.attn.qkv", norm(f"{block}.norm1", x))
    qkv = add("Reshape", [qkv, constant(np.asarray([0, count, 3, heads, width // heads]))])
    qkv = add("Transpose", [qkv], perm=[2, 0, 3, 1, 4])
    q, k, v = (add("Gather", [qkv, constant(np.asarray(part))], axis=0) for part in range(3))
    scores = add("MatMul", [q, add("Transpose", [k], perm=[0, 1, 3, 2])])
    scores = add("Mul", [scores, constant(np.float32((width // heads) ** -0.5))])
    y = add("MatMul", [add("Softmax", [scores], axis=-1), v])
    y = add("Transpose", [y], perm=[0, 2, 1, 3])
    y = add("Reshape", [y, constant(np.asarray([0, count, width]))])
    x = add("Add", [x, dense(f"{block}.attn.proj", y)])
    y = dense(f"{block}.mlp.fc1", norm(f"{block}.norm2", x))
    erf = add("Erf", [add("Mul", [y, constant(np.float32(0.5**0.5))])])
    y = add("Mul", [y, add("Mul", [add("Add", [erf, constant(np.float32(1))]),
                                   constant(np.float32(0.5))])])  # fmt: skip
    x = add("Add", [x, dense(f"{block}.mlp.fc2", y)])
  x = add("Gather", [x, constant(np.asarray(0))], axis=1)
  return norm("norm", x)
