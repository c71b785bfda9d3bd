"""What is read back of a run is checked like what is given; one line names what is wrong."""

import contextlib
import hashlib
import json

import pytest

from contrastive_jax import config, errors, stored
from contrastive_jax import workdir as workdir_lib


def changed(key, value):
  """The text of a config with another value for a dotted key; `...` takes it out."""
  found = json.loads(config.to_json(config.pretrain()))
  *sections, last = key.split(".")
  part = found
  for name in sections:
    part = part[name]
  if value is ...:
    del part[last]
  else:
    part[last] = value
  return json.dumps(found)


DEEP = "[" * 100 + "]" * 100
BAD = {
  "": "cannot be read (JSONDecodeError)",
  "{": "cannot be read (JSONDecodeError)",
  "[]": "holds a list, not an object",
  "null": "holds a NoneType, not an object",
  '"config"': "holds a str, not an object",
  "{}": "config has no section method",
  '{"a":' * 10**5: "cannot be read (RecursionError)",
  '{"a":' * 900 + "1" + "}" * 900: "config has no section method",
  changed("method", ...): "config has no section method",
  changed("data", ...): "config has no section data",
  changed("data", 3): "config has no section data",
  changed("monitor", 3): "config has no key monitor",
  changed("method.name", ...): "method.name None is no name",
  changed("method.name", "simcrl"): 'method "simcrl" is unknown',
  changed("method.name", ["simclr"]): "method.name ('simclr',) is no name",
  changed("model.name", "../resnet"): "model '../resnet' is unknown",
  changed("augment.recipe", "simcrl"): "augment.recipe simcrl is unknown",
  changed("data.source", "../x"): r"data.source ../x is unknown",
  changed("data.order", "random"): 'data.order "random" is unknown; use one of feistel, sort',
  changed("epochs", "ten"): "epochs 'ten'",
  changed("epochs", True): "epochs",
  changed("epochs", 1.5): "epochs 1.5",
  changed("epochs", None): "epochs",
  changed("epochs", {"a": 1}): "config has no key epochs.a",
  changed("epochs", 0): "epochs 0 is below 1",
  changed("epochs", 10**30): f"epochs {10**30} is above",
  changed("batch_size", 10**9): "batch_size 1000000000 is above 16777216",
  changed("image_size_px", 100_000): "image_size_px 100000 is above 4096",
  changed("method.head_layers", 10**9): "method.head_layers 1000000000 is above 256",
  changed("optimizer.base_lr", float("nan")): "optimizer.base_lr nan is not a number",
  changed("optimizer.base_lr", 10**400): "optimizer.base_lr",
  changed("monitor.temperature", float("inf")): "monitor.temperature inf is not finite",
  changed("colour", 1): "config has no key colour",
  changed("model.colour", 1): "config has no key model.colour",
  changed("augment.num_views", json.loads(DEEP)): "augment.num_views",
}


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_config_that_no_run_could_have_is_named_though_its_digest_is_right(tmp_path, number):
  text, words = list(BAD.items())[number]
  (tmp_path / "config.json").write_text(text)
  digest = hashlib.sha256(text.encode()).hexdigest()
  (tmp_path / "versions.json").write_text(json.dumps({"config_sha256": digest}))
  with pytest.raises(errors.UserError) as caught:
    workdir_lib.stored_config(str(tmp_path))
  told = str(caught.value)
  assert told.startswith(f"{tmp_path}/config.json ") and words in told and "\n" not in told
  assert told.endswith(
    "give contrastive_jax train the run's own config and --config.allow_config_change=True, which "
    "writes it anew"
  )


def test_bytes_that_are_no_text_are_named(tmp_path):
  (tmp_path / "config.json").write_bytes(b"\xff\xfe{")
  with pytest.raises(errors.UserError, match="config.json cannot be read .UnicodeDecodeError"):
    workdir_lib.stored_config(str(tmp_path))


def test_what_a_run_writes_comes_back_with_its_types():
  c = config.pretrain("dino", "vit_tiny", "dino")
  c.augment.num_views, c.data.npz.path = 2, "a"
  found = stored.config(config.to_json(c))
  assert found == c and repr(found) == repr(c)
  assert {k: type(v) for k, v in config.flatten(found).items()} == {
    k: type(v) for k, v in config.flatten(c).items()
  }


def test_a_run_from_before_a_key_was_there_had_its_default_and_held_nothing_out():
  text = json.loads(config.to_json(config.pretrain()))
  del text["watchdog"], text["monitor"]["min_rank"]
  del text["data"]["held_out"], text["data"]["order"]
  found = stored.config(json.dumps(text))
  assert found.watchdog == config.pretrain().watchdog
  assert (found.monitor.min_rank, found.data.held_out, found.data.order) == (2.0, 0, "sort")


DATA = {"images": 3, "classes": 2, "class names": ["a", "b"], "content": None}


@pytest.mark.parametrize(
  "content",
  ["", "{", "[]", "3", "{}", "[" * 10**5, json.dumps(DATA | {"class names": 3})],
)
def test_a_stamp_of_images_that_no_run_wrote_is_named(tmp_path, content):
  c = config.pretrain()
  workdir_lib.stamp(str(tmp_path), c)
  (tmp_path / "checkpoints" / "5").mkdir(parents=True)
  (tmp_path / "data.json").write_text(content)
  with pytest.raises(errors.UserError, match=r"data.json .*--config.allow_data_change=True"):
    workdir_lib.check(str(tmp_path), c, DATA)
  for key in ("images", "classes", "content"):
    (tmp_path / "data.json").write_text(json.dumps(DATA | {key: {"odd": 1}}))
    with contextlib.suppress(errors.UserError):
      workdir_lib.check(str(tmp_path), c, DATA)
