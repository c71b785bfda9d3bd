"""Sizes beyond what a machine holds are refused with figures, before anything is computed."""

import pytest
import whole_runs
from tiny_config import evaluation, tiny

from contrastive_jax import build, config, errors, limits
from contrastive_jax.evaluation import config as eval_config
from contrastive_jax.training import trainer


@pytest.mark.parametrize(
  ("key", "value", "most"),
  [
    ("image_size_px", 4097, 4096),
    ("data.host_size_px", 10**6, 4096),
    ("batch_size", 2**30, 2**24),
    ("method.head_layers", 257, 256),
    ("data.num_threads", 10**6, 1024),
    ("monitor.k", 2**70, 2**63 - 1),
    ("monitor.max_test", 10**30, 2**63 - 1),
  ],
)
def test_a_size_above_its_limit_is_named_with_its_flag(key, value, most):
  c = config.changed(config.pretrain(), {key: value})
  with pytest.raises(errors.UserError, match=f"^{key} {value} is above {most}; .*{key}={most} or"):
    config.check(c)
  config.check(config.changed(config.pretrain(), {key: min(most, 2**40)}))


def test_a_view_of_an_evaluation_has_the_same_limit():
  c = evaluation()
  c.image_size_px = 10**5
  with pytest.raises(errors.UserError, match="image_size_px 100000 is above 4096"):
    eval_config.resolve(c)


def test_no_number_is_no_value():
  for value in (float("nan"), -float("nan")):
    c = config.changed(config.pretrain(), {"optimizer.base_lr": value})
    with pytest.raises(errors.UserError, match="optimizer.base_lr nan is not a number"):
      config.check(c)


def test_steps_that_could_not_be_counted_are_refused():
  with pytest.raises(errors.UserError, match="which are counted to 2147483647; .*epochs=536870911"):
    build.run(tiny(epochs=10**9), 64, 4, 1)


@pytest.mark.parametrize(
  ("changes", "there", "words"),
  [
    ({"model__width": 512.0}, 2**32, "weights 78.5 GiB, the optimiser's .*width .* smaller"),
    ({"method__embedding_size": 10**9}, 2**32, "weights .*or what the method remembers smaller"),
    ({"image_size_px": 64}, 2**20, "a batch of images 0.0 GiB, its views .*smaller batch_size"),
  ],
)
def test_what_this_host_cannot_hold_is_refused_with_its_parts(
  tmp_path, monkeypatch, changes, there, words
):
  monkeypatch.setattr(limits, "host_bytes", lambda: there)
  with pytest.raises(errors.UserError, match=f"this run needs at least .*{words}"):
    trainer.train(tiny(**changes), str(tmp_path / "run"), whole_runs.one_device())
  assert not (tmp_path / "run").exists()


def test_the_memory_of_the_host_is_known():
  assert 2**28 < limits.host_bytes() < 2**50
