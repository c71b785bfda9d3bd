"""A number that no method can have is refused with its key, before anything is computed."""

import jax
import pytest
from tiny_config import tiny

from contrastive_jax import build, catalogue, config, errors


@pytest.mark.parametrize("name", catalogue.methods())
def test_a_negative_size_or_count_is_refused_or_means_something(name):
  """Whatever a method makes of it, it is no other error."""
  plain = config.pretrain(name).method
  whole = [k for k, v in plain.items() if isinstance(v, int) and not isinstance(v, bool)]
  for key in whole:
    c = tiny()
    c.method = config.pretrain(name).method
    c.method[key] = -1
    try:
      run = build.run(c, num_images=64, num_classes=4, num_devices=1)
      jax.eval_shape(run.init, jax.random.key(0))
    except errors.UserError as error:
      assert "\n" not in str(error)
