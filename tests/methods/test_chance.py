"""The chance that a method names is its loss where all embeddings are alike."""

import jax
import numpy as np
import pytest
import toys
import trial
from flax import linen as nn

from contrastive_jax import catalogue, methods
from contrastive_jax.models import norm

BATCH, CLASSES, NUM_IMAGES, SIZE_PX = 8, trial.CLASSES, 24, 6

# Each has a line in docs/workdir.md that says why it has none.
WITHOUT = {
  *("autoencoder", "barlow", "byol", "context_encoder", "exemplar", "lejepa", "margin"),
  *("nt_logistic", "siglip", "simsiam", "sogclr", "triplet", "vicreg"),
}
VARIANTS = [
  *((name, {}) for name in catalogue.methods() if name not in {"jigsaw", *WITHOUT}),
  ("jigsaw", {"num_permutations": 2}),  # 64 take 10 s to find
  ("simclr", {"negatives": "other_view"}),
  ("simclr", {"loss_factor": "byol"}),
  ("moco", {"queue_size": 0}),
  ("looc", {"queue_size": 0}),
  ("patches", {"cross_image": True}),
  ("instdisc", {"num_noise": 0, "proximal": 0.0}),
]


TASK = methods.Task(NUM_IMAGES, CLASSES, BATCH, SIZE_PX)


class Backbone(nn.Module, norm.Options):
  """h = BN(W x) of an image's mean, of views of any size."""

  weight_init: str = "torch"

  @nn.compact
  def __call__(self, x, train):
    x = nn.Dense(6, use_bias=False, name="dense")(x.mean((1, 2)))
    return {"h": self.batch_norm()(name="norm")(x, train)}


@pytest.mark.parametrize("name, options", VARIANTS, ids=str)
def test_chance_is_the_loss_of_equal_embeddings(name, options):
  method = trial.small(name, **options)
  chance = method.chance(TASK, method.num_views)
  if chance is None:  # as its options are
    assert name == "instdisc" and not options
    return
  net, image = method.network(Backbone()), np.zeros((1, SIZE_PX, SIZE_PX, 3), np.float32)
  shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), image, train=False))
  # Then every row is 0, whatever is shown.
  variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
  memory = method.init_memory(net, variables, TASK, jax.random.key(1))
  batch = {
    "views": toys.views(BATCH, method.num_views, SIZE_PX),
    "local_views": toys.views(BATCH, method.num_local_views, SIZE_PX),
    "label": np.arange(BATCH, dtype=np.int32) % CLASSES,
    "index": np.arange(BATCH, dtype=np.int32),
  }
  if not method.num_local_views:
    del batch["local_views"]
  loss = jax.jit(lambda *given: method.loss(net, *given)[0])
  found = loss(
    variables["params"], variables.get("batch_stats", {}), memory, batch, jax.random.key(2)
  )
  np.testing.assert_allclose(found, chance, rtol=1e-5)


def test_a_method_without_chance_says_so():
  without = {
    name
    for name in catalogue.methods()
    if trial.small(name).chance(TASK, 2) is None and name != "instdisc"
  }
  assert without == WITHOUT
