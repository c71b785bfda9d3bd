"""Weights that are scored without a run: a network is made as they say."""

import json

import foreign
import numpy as np
import pytest

from contrastive_jax import build, config, errors
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.evaluation import evaluate, initial
from contrastive_jax.weights import of_run, own, safetensors_file, start

NOT_SCORED = {
  "an array less": (
    foreign.without(foreign.resnet(), "layer3.1.conv2.weight"),
    "nothing is params.block3_2.conv2.kernel, where resnet18 has [3, 3, 256, 256]",
  ),
  "no means": (
    foreign.without(foreign.resnet(), "bn1.running_mean"),
    "nothing is stats.stem_norm.mean, where resnet18 has [64]",
  ),
  "images of one channel": (
    foreign.resnet() | {"conv1.weight": (64, 1, 7, 7)},
    "conv1.weight is [7, 7, 1, 64], where resnet18 has [7, 7, 3, 64]",
  ),
  "positions of another width": (
    foreign.vit() | {"pos_embed": (1, 197, 100)},
    "pos_embed is [197, 100], where vit_tiny has [197, 192]",
  ),
}


def asked_of(file, **changes):
  asked = eval_config.evaluation("knn")
  asked.init.path, asked.data.source = str(file), "shapes"
  for key, value in changes.items():
    asked[key] = value
  return asked


@pytest.mark.parametrize("case", NOT_SCORED)
def test_weights_that_no_network_here_has_are_not_scored(case, tmp_path):
  shapes, words = NOT_SCORED[case]
  foreign.save(tmp_path / "w.safetensors", shapes)
  with pytest.raises(errors.UserError) as refused:
    initial.run(asked_of(tmp_path / "w.safetensors"), None)
  assert words in str(refused.value) and "\n" not in str(refused.value)


def test_a_vit_is_scored_at_another_size_than_its_positions_have(tmp_path):
  foreign.save(tmp_path / "w.safetensors", foreign.vit())
  found = initial.run(asked_of(tmp_path / "w.safetensors", image_size_px=160), None)
  assert found.params["backbone"]["positions"].shape == (197, 192), "the network resizes them"


@pytest.mark.parametrize("shape", [(), (0,), (1, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize(
  "name",
  ["bn1.weight", "conv1.weight", "cls_token", "pos_embed", "blocks.0.attn.qkv.weight"],
)
def test_an_array_of_other_axes_is_answered_by_one_line(name, shape, tmp_path):
  shapes = foreign.resnet() if name in foreign.resnet() else foreign.vit()
  arrays = foreign.drawn(shapes) | {name: np.ones(shape, np.float32)}
  (tmp_path / "w.safetensors").write_bytes(safetensors_file.content(arrays, {}))
  with pytest.raises(errors.UserError, match="w.safetensors"):
    initial.run(asked_of(tmp_path / "w.safetensors"), None)


def test_metadata_of_an_export_that_were_changed_are_refused(tmp_path):
  file = tmp_path / "model.safetensors"
  metadata = {"contrastive_jax": json.dumps({"model": "resnet18"})}
  file.write_bytes(safetensors_file.content(foreign.drawn(foreign.resnet(classifier="")), metadata))
  with pytest.raises(errors.UserError, match="metadata of an export that cannot be read"):
    start.read(str(file))


def exported(path, made):
  """Leaves a backbone of the network of `made` as an export does: with what its arrays hide."""
  arrays = foreign.drawn(build.backbone_shapes(made))
  arrays = {k: np.abs(v) if k.endswith(".var") else v for k, v in arrays.items()}
  known = {"layout": "own", "model": of_run.model_of(made)}
  known |= {"preparation": of_run.preparation_of(made)}
  path.write_bytes(safetensors_file.content(own.named(arrays), own.metadata(known)))
  return known, arrays


@pytest.mark.parametrize("said", ["", "half"])
def test_weights_of_a_run_see_pixels_as_their_network_did(said, tmp_path):
  made = config.pretrain("simclr", "resnet8")
  made.augment.mean, made.augment.std = (0.2, 0.3, 0.4), (0.1, 0.2, 0.3)
  made.augment.antialias = True  # the recipe's own is False
  exported(tmp_path / "w.safetensors", made)
  asked = asked_of(tmp_path / "w.safetensors")
  asked.init.normalize = said
  found = build.recipe(initial.run(asked, None).config)
  wanted = build.recipe(made)
  assert found.antialias == wanted.antialias
  mean, std = ((0.5,) * 3, (0.5,) * 3) if said else (wanted.mean, wanted.std)
  assert (found.mean, found.std) == (mean, std), "standardised otherwise than in training"


@pytest.mark.parametrize(
  ("part", "key", "value"),
  [
    ("preparation", None, [1]),
    ("preparation", "recipe", ["simclr"]),
    ("preparation", "size_px", "32"),
    ("preparation", "size_px", -4),
    ("preparation", "mean", [10**400, 0.1, 0.1]),
    ("preparation", "normalize", 7),
    ("preparation", "normalize", None),  # and no numbers in its place
    ("preparation", "mean", [0.1, float("nan"), 0.1]),
    ("preparation", "antialias", "yes"),
    ("model", "width", "wide"),
    ("model", "padding", 3),
    ("model", "stem_relu", 1.5),
  ],
)
def test_metadata_of_other_kinds_are_refused_in_one_line(part, key, value, tmp_path):
  known, arrays = exported(tmp_path / "w.safetensors", config.pretrain("simclr", "resnet8"))
  known[part] = value if key is None else known[part] | {key: value}
  if value is None:
    del known[part]["mean"]
  file = tmp_path / "w.safetensors"
  file.write_bytes(safetensors_file.content(own.named(arrays), own.metadata(known)))
  with pytest.raises(errors.UserError, match="metadata of an export that cannot be read") as said:
    initial.run(asked_of(file), None)
  assert "\n" not in str(said.value) and "export again" in str(said.value)


def test_images_that_no_memory_holds_are_refused(tmp_path):
  known, arrays = exported(tmp_path / "w.safetensors", config.pretrain("simclr", "resnet8"))
  known["preparation"]["size_px"] = 10**9
  file = tmp_path / "w.safetensors"
  file.write_bytes(safetensors_file.content(own.named(arrays), own.metadata(known)))
  with pytest.raises(errors.UserError, match="image_size_px 1000000000 is above 4096"):
    initial.run(asked_of(file), None)


def test_the_target_of_weights_that_have_none_is_not_scored(tmp_path):
  exported(tmp_path / "w.safetensors", config.pretrain("simclr", "resnet8"))
  with pytest.raises(errors.UserError, match='network "target": init.path .* is one network'):
    initial.run(asked_of(tmp_path / "w.safetensors", network="target"), None)


@pytest.mark.parametrize("layers", [("h",), ("h", "z")])
def test_that_a_layer_of_a_head_is_none_is_said(layers, tmp_path, caplog):
  exported(tmp_path / "w.safetensors", config.pretrain("simclr", "resnet8"))
  initial.run(asked_of(tmp_path / "w.safetensors", layers=layers), None)
  assert ("so layer z is h once more" in caplog.text) == ("z" in layers)


def test_weights_for_images_of_other_channels_are_told_as_such(tmp_path):
  made = config.pretrain("simclr", "resnet8")
  made.data.channels = 1
  exported(tmp_path / "w.safetensors", made)
  with pytest.raises(errors.UserError, match=r"for images of 3 channels \(data.channels\) and not"):
    initial.run(asked_of(tmp_path / "w.safetensors"), None)


@pytest.mark.parametrize(
  ("path", "place"),
  [
    ("resnet50.safetensors", "resnet50"),
    ("runs/first/", "first"),
    ("runs/a/export/safetensors/model.safetensors", "a_safetensors"),
    ("runs/b/export/safetensors_target/model.safetensors", "b_safetensors_target"),
    ("gs://bucket/runs/c/export/own/model.safetensors", "c_own"),
    ("shared/resnet/model.safetensors", "resnet"),
    ("shared/export/model.safetensors", "export"),
    ("model.safetensors", "here"),
  ],
)
def test_results_of_an_export_lie_where_its_folder_tells(path, place, tmp_path, monkeypatch):
  """All exports have files of one name, and their results lay in one folder."""
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  assert evaluate.place_of(path) == place
