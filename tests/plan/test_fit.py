"""A step that does not fit is recomputed or divided until it does, and stays the same step."""

import jax
import pytest
import tiny_config

from contrastive_jax import config as config_lib
from contrastive_jax import errors, run_images
from contrastive_jax.plan import fit, images, program
from contrastive_jax.training import trainer


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
    ({}, 1, [(False, 1), (True, 1), (False, 2), (False, 4), (True, 2), (True, 4)]),
    ({}, 2, [(False, 1), (True, 1), (False, 2), (True, 2)]),
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
  """A program of 80 bytes plain, 60 recomputed, ten of them fixed; above 70 it is refused."""

  def __init__(self, candidate, sizes, devices):
    del sizes, devices
    remat, parts = settings(candidate)
    self.temporaries = (50 if remat else 70) // parts

  def compile(self):
    if 10 + self.temporaries > 70:
      raise program.TooLarge("RESOURCE_EXHAUSTED", 10 + self.temporaries)
    return self

  def memory(self):
    return {"temporaries": self.temporaries, "total": 10 + self.temporaries}


@pytest.fixture
def fake(monkeypatch):
  monkeypatch.setattr(program, "make", Fake)
  monkeypatch.setattr(program, "memory", Fake.memory)


@pytest.mark.parametrize(
  "limit, wanted, compiled",
  [
    (60, (True, 1), 2),
    (59, (False, 2), 3),
    (44, (False, 4), 4),  # of 80 refused bytes it is not known which are fixed
    (26, (True, 4), 4),  # neither the plain halves nor the recomputed ones could fit
  ],
)
def test_the_quickest_that_fits_is_taken_and_what_cannot_fit_is_not_compiled(
  limit, wanted, compiled, fake
):
  done = []
  chosen, step = fit.choose(config(), None, [None], limit, done.append)
  assert settings(chosen) == wanted and step.memory()["total"] <= limit
  assert done[:2] == [
    "compiling the step with the config as it is",
    "compiling the step with model.remat False -> True",
  ], "the watchdog counts each by itself"
  assert len(done) == compiled


def test_what_never_fits_is_one_line_with_the_remedies(fake):
  words = r"batch_size 64 needs 0.00 GiB on a device.*bn_groups 4 allows.*memory_limit_gib"
  with pytest.raises(errors.UserError, match=words):
    fit.choose(config(), None, [None], 0)


def test_smaller_groups_are_named_only_where_they_fit_and_never_taken(fake):
  c = config()
  c.model.bn_groups, c.batch_size = 1, 256
  command = "take --config.micro_batches=4 --config.model.bn_groups=4, which fits .*of 64 images"
  with pytest.raises(errors.UserError, match=command):
    fit.choose(c, None, [None], 22)
  with pytest.raises(errors.UserError, match="--config.micro_batches=2 --config.model.bn_groups=4"):
    fit.choose(c, None, [None] * 2, 35)
  with pytest.raises(errors.UserError, match="take more --config.model.bn_groups, a smaller"):
    fit.choose(c, None, [None], 15)  # 8 parts need 16, 16 would have groups of 16 images


def test_a_network_without_batch_norm_is_divided_without_groups():
  c = tiny_config.tiny("moco", batch_size=12, method__queue_size=24)
  c.model = config_lib.pretrain(model="vit_tiny").model
  c.model.patch_px = 8
  tried = [settings(candidate) for candidate in fit.candidates(c, 2)]
  in_parts = [(way, parts) for way in (False, True) for parts in (2, 3, 6)]
  assert tried == [(False, 1), (True, 1), *in_parts]


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
  sizes = images.of_source(c, run_images.source(c, "train"))
  whole, halves = (
    program.memory(program.make(candidate, sizes, devices).compile())["total"]
    for candidate in list(fit.candidates(c, 1))[1:3]
  )
  assert halves < whole  # recomputed, and in two parts
  c.memory_limit_gib = (halves + whole) / 2 / fit.GIB
  fitted = trainer.train(c, str(tmp_path), devices)
  assert fitted.state.step == 2
  said = capfd.readouterr().err
  assert "micro_batches 1 -> 2" in said and "model.remat" not in said
