"""A step that does not fit is recomputed or divided until it does, and stays the same step."""

import jax
import pytest
import tiny_config

from contrastive_jax import build, errors, trainer
from contrastive_jax import config as config_lib
from contrastive_jax.plan import fit, images, program


def config(**changes):
  """Big enough that most of the memory is what the network stores for its gradient."""
  c = tiny_config.tiny(epochs=1, batch_size=64, log__every_steps=1, **changes)
  c.data.shapes.num_train, c.image_size_px = 128, 32
  c.model.bn_groups = 4
  return c


def settings(candidate):
  return candidate.model.remat, candidate.micro_batches


@pytest.mark.parametrize(
  "changes, devices, expected",
  [
    ({}, 1, [(False, 1), (True, 1), (True, 2), (True, 4)]),
    ({}, 2, [(False, 1), (True, 1), (True, 2)]),
    ({"model__remat": True, "micro_batches": 2}, 1, [(True, 2), (True, 4)]),
    ({"model__bn_groups": 1}, 1, [(False, 1), (True, 1)]),
    ({"batch_size": 62}, 1, [(False, 1), (True, 1)]),  # groups would not be equal
  ],
)
def test_what_is_tried_keeps_the_batch_norm_groups(changes, devices, expected):
  c = config()
  for key, value in changes.items():
    section, _, name = key.rpartition("__")
    (c[section] if section else c)[name] = value
  assert [settings(candidate) for candidate in fit.candidates(c, devices)] == expected


class Fake:
  """A program that needs 80 bytes plain, 60 recomputed, less in parts; above 70 it is refused."""

  def __init__(self, candidate, sizes, devices):
    del sizes, devices
    remat, parts = settings(candidate)
    self.total = (60 if remat else 80) // parts

  def compile(self):
    if self.total > 70:
      raise program.TooLarge("RESOURCE_EXHAUSTED", self.total)
    return self


@pytest.mark.parametrize("limit, wanted", [(60, (True, 1)), (59, (True, 2)), (15, (True, 4))])
def test_the_first_that_fits_is_taken(limit, wanted, monkeypatch):
  monkeypatch.setattr(program, "make", Fake)
  monkeypatch.setattr(program, "memory", lambda compiled: {"total": compiled.total})
  done = []
  chosen, compiled = fit.choose(config(), None, [None], limit, done.append)
  assert (settings(chosen), compiled.total) == (wanted, 60 // wanted[1])
  assert done[:2] == [
    "compiling the step with the config as it is",
    "compiling the step with model.remat False -> True",
  ], "the watchdog counts each by itself"


def test_what_never_fits_is_one_line_with_the_remedies(monkeypatch):
  monkeypatch.setattr(program, "make", Fake)
  monkeypatch.setattr(program, "memory", lambda compiled: {"total": compiled.total})
  words = r"batch_size 64 needs 0.00 GiB on a device.*bn_groups 4 allows.*memory_limit_gib"
  with pytest.raises(errors.UserError, match=words):
    fit.choose(config(), None, [None], 0)


def test_smaller_groups_are_named_only_where_they_fit_and_never_taken(monkeypatch):
  monkeypatch.setattr(program, "make", Fake)
  monkeypatch.setattr(program, "memory", lambda compiled: {"total": compiled.total})
  c = config()
  c.model.bn_groups, c.batch_size = 1, 256
  command = "take --config.micro_batches=4 --config.model.bn_groups=4, which fits .*of 64 images"
  with pytest.raises(errors.UserError, match=command):
    fit.choose(c, None, [None], 20)
  with pytest.raises(errors.UserError, match="--config.micro_batches=2 --config.model.bn_groups=4"):
    fit.choose(c, None, [None] * 2, 30)
  with pytest.raises(errors.UserError, match="take more --config.model.bn_groups, a smaller"):
    fit.choose(c, None, [None], 6)  # 8 parts need 7, 16 would have groups of 16 images


def test_a_network_without_batch_norm_is_divided_without_groups():
  c = tiny_config.tiny("moco", batch_size=12, method__queue_size=24)
  c.model = config_lib.pretrain(model="vit_tiny").model
  c.model.patch_px = 8
  tried = [settings(candidate) for candidate in fit.candidates(c, 2)]
  assert tried == [(False, 1), (True, 1), (True, 2), (True, 3), (True, 6)]


def test_devices_that_do_not_tell_their_memory_have_no_limit():
  assert fit.limit_bytes(config()) is None
  c = config()
  c.memory_limit_gib = 2.0
  assert fit.limit_bytes(c) == 2 * 2**30


@pytest.mark.slow
def test_a_run_that_is_made_to_fit_says_so(tmp_path, capfd):
  """That its step stays the same step: test_micro_batches.py."""
  devices = jax.devices()[:1]
  c = config()
  sizes = images.of_source(c, build.source(c, "train"))
  whole, halves = (
    program.memory(program.make(candidate, sizes, devices).compile())["total"]
    for candidate in list(fit.candidates(c, 1))[1:3]
  )
  assert halves < whole
  c.memory_limit_gib = (halves + whole) / 2 / fit.GIB
  fitted = trainer.train(c, str(tmp_path), devices)
  assert fitted.state.step == 2
  said = capfd.readouterr().err
  assert "micro_batches 1 -> 2" in said and "model.remat False -> True" in said
