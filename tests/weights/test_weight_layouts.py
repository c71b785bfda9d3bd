"""Files of other projects: whose they are, what of them is taken, what is refused and why."""

import foreign
import numpy as np
import pytest

from contrastive_jax import config, errors
from contrastive_jax.weights import layouts, matching, safetensors_file, start, vit_names

HEAD = {"0.weight": (128, 512), "0.bias": (128,)}


def momentum(prefix, shapes):
  return foreign.under(prefix, shapes)


NO_FC = foreign.resnet(classifier="")
SMALL = foreign.resnet(classifier="", stem_px=3)
VIT = foreign.vit(classifier="")
FILES = {  # shapes, options of the model
  "torchvision": (foreign.resnet(), {"padding": "torch", "stem": "imagenet"}),
  "timm": (foreign.vit(), {"positions": "learned", "patch_px": 16}),
  "moco": (
    foreign.under("state_dict.module.", foreign.under("encoder_q.", foreign.resnet(classes=128)))
    | foreign.under("state_dict.module.encoder_k.", NO_FC)
    | {"state_dict.module.queue": (128, 64), "state_dict.module.queue_ptr": (1,), "epoch": ()},
    {"padding": "torch"},
  ),
  "moco_v3": (
    foreign.under("state_dict.module.base_encoder.", foreign.vit(classifier=""))
    | foreign.under("state_dict.module.base_encoder.head.", HEAD)
    | foreign.under("state_dict.module.momentum_encoder.", VIT)
    | foreign.under("state_dict.module.predictor.", HEAD),
    {"positions": "learned"},
  ),
  "simsiam": (
    foreign.under("state_dict.module.encoder.", NO_FC)
    | foreign.under("state_dict.module.encoder.fc.", HEAD)
    | foreign.under("state_dict.module.predictor.", HEAD),
    {"padding": "torch"},
  ),
  "dino": (
    foreign.under("teacher.backbone.", VIT)
    | foreign.under("teacher.head.mlp.", HEAD)
    | foreign.under("student.module.backbone.", VIT)
    | {"dino_loss.center": (1, 64), "epoch": ()},
    {"name": "vit_tiny"},
  ),
  "barlow": (
    foreign.under("model.module.backbone.", NO_FC)
    | foreign.under("model.module.projector.", HEAD)
    | foreign.under("model.module.", foreign.norm("bn", 64)),
    {"padding": "torch"},
  ),
  "vicreg": (
    foreign.under("model.module.backbone.", NO_FC) | foreign.under("model.module.projector.", HEAD),
    {"padding": "torch"},
  ),
  "swav": (
    foreign.under("module.", NO_FC)
    | foreign.under("module.projection_head.", HEAD)
    | {"module.prototypes.weight": (30, 128)},
    {"padding": "torch"},
  ),
  "simclr": (foreign.simclr(), {"padding": "simclr", "sk_ratio": 0.0, "name": "resnet50"}),
  "byol": (foreign.byol(), {"padding": "same", "name": "resnet50"}),
  "transformers": (
    foreign.transformers() | {"classifier.weight": (10, 192), "classifier.bias": (10,)},
    {"positions": "learned", "patch_px": 16, "ln_eps": 1e-12},
  ),
  "lightly_train": (
    foreign.under("state_dict.teacher_embedding_model.wrapped_model._features.", NO_FC)
    | foreign.under("state_dict.student_embedding_model.wrapped_model._features.", NO_FC)
    | foreign.under("state_dict.teacher_projection_head.layers.", HEAD)
    | foreign.under("state_dict.student_projection_head.layers.", HEAD),
    {"padding": "torch", "stem_relu": True},
  ),
  "solo_learn": (
    foreign.under("state_dict.backbone.", SMALL)
    | foreign.under("state_dict.momentum_backbone.", SMALL)
    | foreign.under("state_dict.projector.", HEAD)
    | {"state_dict.classifier.weight": (10, 512), "state_dict.classifier.bias": (10,)},
    {"stem": "cifar_pad2"},
  ),
  "mmselfsup": (
    foreign.under("state_dict.backbone.", NO_FC) | foreign.under("state_dict.neck.fc.", HEAD),
    {"padding": "torch"},
  ),
  "lightly": (
    foreign.under(
      "backbone.",
      foreign.children(foreign.resnet(stem_px=3, skip="shortcut", classifier=""), 2),
    )
    | foreign.under("projection_head.layers.", HEAD),
    {"stem": "cifar", "stem_relu": False},
  ),
}
SIMCLR_TF2 = foreign.simclr_tf2(foreign.simclr())
KERNEL = "model/resnet_model/initial_conv_relu_max_pool/0/conv2d/kernel"
OF_TRAINING_TF2 = {
  f"{name}/.ATTRIBUTES/VARIABLE_VALUE": shape
  for name, shape in {
    f"{KERNEL}/.OPTIMIZER_SLOT/optimizer/Momentum": (7, 7, 3, 64),
    "model/_projection_head/linear_layers/0/dense/kernel": (2048, 2048),
    "model/supervised_head/linear_layer/dense/bias": (10,),
    **{"optimizer/learning_rate": (), "global_step": (), "save_counter": ()},
  }.items()
}
OTHERS = {  # of the same layouts
  "torchvision, resnet50": ("torchvision", foreign.resnet("resnet50"), {"name": "resnet50"}),
  "lightly_train, no teacher": (
    "lightly_train",
    foreign.under("state_dict.embedding_model.wrapped_model._features.", NO_FC)
    | foreign.under("state_dict.projection_head.layers.", HEAD),
    {"padding": "torch"},
  ),
  "lightly_train, exported with its untrained classifier": (
    "torchvision",
    foreign.resnet(),
    {"padding": "torch"},
  ),
  "transformers, in memory": (
    "transformers",
    foreign.transformers(prefix="", in_memory=True) | foreign.linear("pooler.dense", 192, 192),
    {"ln_eps": 1e-12},
  ),
  "simclr v2": ("simclr", foreign.simclr("resnet50", selective=True), {"sk_ratio": 0.0625}),
  "simclr, TensorFlow 2": ("simclr", SIMCLR_TF2 | OF_TRAINING_TF2, {"padding": "simclr"}),
  "simclr v2, TensorFlow 2": (
    "simclr",
    foreign.simclr_tf2(foreign.simclr(selective=True), selective=True),
    {"sk_ratio": 0.0625, "bn_eps": 1e-5},
  ),
  "simclr, variables of TensorFlow 2": (
    "simclr",
    foreign.simclr_tf2(foreign.simclr(), by_variable=True)
    | {
      "projection_head/nl_0/dense/kernel:0": (2048, 2048),
      "head_supervised/l/dense/bias:0": (10,),
    },
    {"padding": "simclr"},
  ),
  "moco_v3, resnet": (
    "moco_v3",
    foreign.under("module.base_encoder.", NO_FC) | foreign.under("module.base_encoder.fc.", HEAD),
    {"padding": "torch"},
  ),
  "lightly, torchvision's children": ("lightly", foreign.children(NO_FC, 4), {"stem_relu": True}),
  "lightly's own network whole": (
    "lightly",
    foreign.under("backbone.", foreign.resnet(stem_px=3, skip="shortcut", classifier="linear")),
    {"stem_relu": True, "stem": "cifar"},
  ),
  "solo_learn, encoder": (
    "solo_learn",
    foreign.under("state_dict.encoder.", NO_FC) | {"state_dict.classifier.weight": (10, 512)},
    {"stem": "imagenet"},
  ),
}


def test_every_layout_has_a_file_here():
  assert set(FILES) == set(layouts.NAMES) - {"own"}


@pytest.mark.parametrize(
  "name", [*FILES, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_a_file_is_known_by_its_names_and_fits_its_network(name, tmp_path):
  layout, shapes, wanted = OTHERS.get(name) or (name, *FILES[name])
  file = tmp_path / f"weights{'.npz' if layout in ('simclr', 'byol') else '.safetensors'}"
  foreign.save(file, shapes, dtype=np.float16)
  found = start.read(str(file))
  assert found.layout == layout
  assert wanted.items() <= found.model.items()
  made = config.pretrain("simclr", found.model["name"])
  made.image_size_px = 224 if found.model.get("stem", "imagenet") == "imagenet" else 32
  for key, value in found.model.items():
    made.model[key] = value
  matching.check(found, made)
  named = sum(map(len, found.unused.values())) + found.taken
  assert f"; {found.taken} arrays taken" in found.said()
  assert named == len(shapes), "every name is taken or told"
  if len(shapes) > found.taken:
    assert "not taken: " in found.said()


def test_kernels_are_turned_and_statistics_put_where_they_belong(tmp_path):
  arrays = foreign.save(tmp_path / "a.safetensors", foreign.resnet())
  found = start.read(str(tmp_path / "a.safetensors")).arrays
  kernel = arrays["layer2.0.conv1.weight"]
  np.testing.assert_array_equal(found["params.block2_1.conv1.kernel"], kernel.transpose(2, 3, 1, 0))
  for theirs, ours in (
    ("layer2.0.downsample.1.running_var", "stats.block2_1.norm_skip.var"),
    ("layer1.1.bn2.running_mean", "stats.block1_2.norm2.mean"),
    ("bn1.bias", "params.stem_norm.bias"),
  ):
    np.testing.assert_array_equal(found[ours], arrays[theirs])


def test_query_key_and_value_are_three_layers(tmp_path):
  arrays = foreign.save(tmp_path / "a.safetensors", foreign.vit())
  found = start.read(str(tmp_path / "a.safetensors")).arrays
  qkv = arrays["blocks.3.attn.qkv.weight"]
  for part, name in enumerate(("query", "key", "value")):
    np.testing.assert_array_equal(
      found[f"params.block4.{name}.kernel"], qkv[192 * part : 192 * (part + 1)].T
    )


@pytest.mark.parametrize("normalize", ["imagenet", "cifar"])
def test_images_standardised_otherwise_than_the_weights_saw_them_are_said(
  normalize, tmp_path, caplog
):
  foreign.save(tmp_path / "w.safetensors", foreign.resnet())
  made = config_of("resnet18", padding="torch")
  made.augment.normalize = normalize
  matching.check(start.read(str(tmp_path / "w.safetensors")), made)
  said = "saw images standardised as imagenet, and this run's sees them as cifar; to go on"
  assert (said in caplog.text) == (normalize == "cifar")


def test_fixed_positions_are_no_parameter(tmp_path):
  arrays = foreign.drawn(foreign.vit("vit_small", classifier=""))
  arrays["pos_embed"] = vit_names.fixed(14, 384)[None]
  arrays = {f"module.base_encoder.{name}": array for name, array in arrays.items()}
  file = tmp_path / "moco_v3.safetensors"
  file.write_bytes(safetensors_file.content(arrays, {}))
  found = start.read(str(file))
  assert found.model == {"name": "vit_small", "patch_px": 16, "positions": "sincos", "ln_eps": 1e-6}


@pytest.mark.parametrize("kind", ["float16", "float64"])
def test_other_floats_become_float32(kind, tmp_path):
  arrays = foreign.save(tmp_path / "a.safetensors", NO_FC, dtype=np.dtype(kind))
  found = start.read(str(tmp_path / "a.safetensors")).arrays["params.stem_norm.bias"]
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, arrays["bn1.bias"].astype(np.float32))


def config_of(name, size_px=224, **model):
  made = config.pretrain("simclr", name)
  made.image_size_px = size_px
  for key, value in model.items():
    made.model[key] = value
  return made


REFUSED = {
  "another depth": (
    foreign.resnet("resnet34"),
    config_of("resnet18", padding="torch"),
    "of another network: name resnet34 (here: resnet18); set --config.model.name=resnet34",
  ),
  "another width": (
    foreign.resnet(width=0.5),
    config_of("resnet18", padding="torch"),
    "width 0.5 (here: 1.0); set --config.model.width=0.5",
  ),
  "another stem": (
    foreign.resnet(),
    config_of("resnet18", 32, padding="torch"),
    "stem imagenet (here: cifar); set --config.model.stem=imagenet",
  ),
  "another padding": (
    foreign.resnet(),
    config_of("resnet18"),
    "padding torch (here: same); set --config.model.padding=torch",
  ),
  "another epsilon of LayerNorm": (
    foreign.transformers(),
    config_of("vit_tiny", positions="learned"),
    "ln_eps 1e-12 (here: 1e-06); set --config.model.ln_eps=1e-12",
  ),
  "a ViT for a ResNet": (
    foreign.vit(),
    config_of("resnet18"),
    "name vit_tiny (here: resnet18); take a config whose network is a ViT, with",
  ),
  "a ResNet for a ViT": (
    foreign.resnet(),
    config_of("vit_tiny"),
    "name resnet18 (here: vit_tiny); take a config whose network is a ResNet, with",
  ),
  "a wider middle, which no name helps": (
    {
      name: (2 * shape[0], *shape[1:]) if "layer1.0.conv1." in name else shape
      for name, shape in foreign.resnet("resnet50").items()
    },
    config_of("resnet18"),
    "layer1.0.conv1.weight is [1, 1, 64, 128], where resnet50 has [1, 1, 64, 64]",
  ),
  "another patch": (
    foreign.vit(patch_px=8),
    config_of("vit_tiny", positions="learned"),
    "patch_px 8 (here: 16); set --config.model.patch_px=8",
  ),
  "learned positions for fixed ones": (
    foreign.vit(),
    config_of("vit_tiny"),
    "positions learned (here: sincos); set --config.model.positions=learned",
  ),
  "depth that no backbone has": (foreign.vit(depth=7), None, "a ViT of 7 blocks, 192 features and"),
  "layer scale": (
    foreign.vit() | {"blocks.0.ls1.gamma": (192,)},
    None,
    "blocks.0.ls1.gamma: no part of a network of layout timm",
  ),
  "a distillation token": (
    foreign.vit() | {"dist_token": (1, 1, 192)},
    None,
    "dist_token: no part of a network of layout timm",
  ),
  "an array less": (
    foreign.without(foreign.resnet(), "layer3.1.bn2.running_var"),
    config_of("resnet18", padding="torch"),
    "nothing is stats.block3_2.norm2.var, where resnet18 has [256]",
  ),
  "an array of another shape": (
    foreign.resnet() | {"layer1.0.conv1.weight": (64, 32, 3, 3)},
    config_of("resnet18", padding="torch"),
    "layer1.0.conv1.weight is [3, 3, 32, 64], where resnet18 has [3, 3, 64, 64]",
  ),
  "a small stem of whoever": (
    foreign.under("backbone.", SMALL),
    None,
    "a 3 x 3 stem, and nothing tells its padding",
  ),
  "SimCLR's ResNet-18, which projects where ours adds": (
    foreign.simclr("resnet18"),
    config_of("resnet18", padding="simclr"),
    "base_model/conv2d_1/kernel is [1, 1, 64, 64], where resnet18 has nothing there",
  ),
  "SimCLR's squeeze and excitation": (
    SIMCLR_TF2
    | {
      f"model/resnet_model/block_groups/0/layers/0/conv_relu_dropblock_layers/9/se_reduce/{end}"
      "/.ATTRIBUTES/VARIABLE_VALUE": shape
      for end, shape in {"kernel": (1, 1, 256, 16), "bias": (16,)}.items()
    },
    None,
    "9/se_reduce/kernel/.ATTRIBUTES/VARIABLE_VALUE: no part of a network of layout simclr",
  ),
  "numbers of a SavedModel": (
    {f"trainable_variables_list/{i}/.ATTRIBUTES/VARIABLE_VALUE": (3,) for i in range(3)},
    None,
    "a SavedModel numbers its weights (trainable_variables_list/0/.ATTRIBUTES/VARIABLE_VALUE) and",
  ),
  "no weights of images": ({"encoder.layers.0.weight": (3, 3)}, None, "none of the known layouts"),
  "a network of nine layers": (
    {k: s for k, s in foreign.children(SMALL, 2).items() if k[1:3] != ".1"},
    None,
    "a ResNet of 1 + 1 + 1 + 1 basic blocks, which no backbone here is",
  ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_another_network_is_refused_with_what_differs(case, tmp_path):
  shapes, made, words = REFUSED[case]
  file = tmp_path / "w.safetensors"
  foreign.save(file, shapes)
  with pytest.raises(errors.UserError) as refused:
    found = start.read(str(file))
    matching.check(found, made or config_of("resnet18"))
  assert words in str(refused.value) and "\n" not in str(refused.value)
  assert str(file) in str(refused.value)


@pytest.mark.parametrize(
  ("prefix", "layout", "stem"),
  [
    ("", "", "cifar"),
    ("", "solo_learn", "cifar_pad2"),
    ("backbone.", "mmselfsup", "cifar"),
    ("backbone.", "solo_learn", "cifar_pad2"),
  ],
)
def test_whose_a_small_stem_is_can_be_said(prefix, layout, stem, tmp_path):
  foreign.save(tmp_path / "w.safetensors", foreign.under(prefix, SMALL))
  assert start.read(str(tmp_path / "w.safetensors"), layout).model["stem"] == stem


def test_positions_are_resized_to_the_images_of_the_run(tmp_path):
  file = tmp_path / "w.safetensors"
  foreign.save(file, foreign.vit(image_px=224))
  found = matching.check(start.read(str(file)), config_of("vit_tiny", 160, positions="learned"))
  assert found.arrays["params.positions"].shape == (101, 192)


def test_a_layout_that_has_no_such_names_is_told_so(tmp_path):
  foreign.save(tmp_path / "w.safetensors", foreign.resnet())
  with pytest.raises(errors.UserError, match="init.layout moco has no such names: bn1.bias, "):
    start.read(str(tmp_path / "w.safetensors"), "moco")


def test_variances_below_zero_are_refused(tmp_path):
  arrays = foreign.drawn(foreign.resnet())
  arrays["layer1.0.bn1.running_var"][3] = -0.1
  file = tmp_path / "w.safetensors"
  file.write_bytes(safetensors_file.content(arrays, {}))
  with pytest.raises(errors.UserError, match="layer1.0.bn1.running_var has variances below 0"):
    start.read(str(file))


def test_numbers_that_are_not_finite_are_refused(tmp_path):
  arrays = foreign.drawn(foreign.resnet())
  arrays["layer1.0.bn1.bias"][3] = np.nan
  file = tmp_path / "w.safetensors"
  file.write_bytes(safetensors_file.content(arrays, {}))
  with pytest.raises(errors.UserError, match="layer1.0.bn1.bias has numbers that are not finite"):
    start.read(str(file))


@pytest.mark.parametrize("layout", ["", "own"])
def test_of_a_folder_of_weights_the_file_is_to_be_given(layout, tmp_path):
  for name in ("README.md", "config.json", "model.safetensors"):
    (tmp_path / name).write_text("{}")
  with pytest.raises(errors.UserError, match=f"give the file: {tmp_path}/model.safetensors"):
    start.read(str(tmp_path), layout)
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(errors.UserError) as refused:
    start.read(str(tmp_path))
  assert "give the file" not in str(refused.value)
  assert str(refused.value).startswith("init.path "), "whose folder it is, is not said"


def test_a_file_in_a_bucket_is_to_be_copied_first():
  with pytest.raises(errors.UserError, match="it.npz is a file in a bucket; copy it here"):
    start.read("gs://bucket/it.npz")


def test_a_part_of_a_checkpoint_does_not_tell_its_padding(tmp_path):
  found = {f"params.backbone.{n}": np.zeros(s, np.float32) for n, s in (
    ("stem_conv.kernel", (3, 3, 3, 16)), ("stem_norm.scale", (16,)),
    *((f"block{i}_1.conv1.kernel", (3, 3, 16, 16)) for i in (1, 2, 3)),
  )}  # fmt: skip
  file = tmp_path / "model.safetensors"
  file.write_bytes(safetensors_file.content(found, {}))
  with pytest.raises(errors.UserError, match="which does not say how its network pads; give the"):
    start.read(str(file))
