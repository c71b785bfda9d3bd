"""A state stored in parts: the same step, a fraction of the memory, one checkpoint for all."""

import functools
import json

import jax
import jax.numpy as jnp
import members
import numpy as np
import pytest
import tiny_config
import trial
import whole_runs

from contrastive_jax import methods, parallel, run_images
from contrastive_jax.models import convolution, vit
from contrastive_jax.plan import images, program
from contrastive_jax.step import gathering
from contrastive_jax.training import trainer
from contrastive_jax.workdir import loading

# One of two processes, for four steps of a run.
CODE = """
import itertools, json
workdir, changes = sys.argv[3:]
import tiny_config
from contrastive_jax import parallel
from contrastive_jax.training import trainer
parallel._CUT_FROM = 64
run = trainer.Loop.run
def four_steps(self, step_fn, state, batches, preemption):
  for name in ("params", "opt_state", "memory"):
    assert not all(x.is_fully_replicated for x in jax.tree.leaves(getattr(state, name))), name
  print("starts at", int(state.step), file=sys.stderr)
  return run(self, step_fn, state, itertools.islice(batches, 4), preemption)
trainer.Loop.run = four_steps
trainer.train(tiny_config.tiny("moco", fsdp=True, **json.loads(changes)), workdir)
"""


@pytest.fixture(autouse=True)
def small_leaves_count(monkeypatch):
  monkeypatch.setattr(parallel, "_CUT_FROM", 64)


@pytest.mark.parametrize(
  "name",
  ["moco", "instdisc"]
  + [
    pytest.param(name, marks=pytest.mark.thorough) for name in ("simclr", "byol", "swav", "sogclr")
  ],
)
def test_parts_give_the_step_of_the_whole_state(name, monkeypatch):
  monkeypatch.setattr(convolution, "_OWN_GRADIENTS_ON", ())  # of its loops one round is counted
  one, eight = trial.Trial(name, 1), trial.Trial(name, 8, fsdp=True)
  trial.assert_close((one.after, one.metrics), (eight.after, eight.metrics))
  assert eight.argument_bytes < one.argument_bytes / 4
  assert 8 * eight.flops <= 1.15 * one.flops


# A bank and a queue that are cut by columns; read in rows, and all rows.
TABLES = {
  "moco": {"queue_size": 256, "embedding_size": 8},
  "nnclr": {"queue_size": 256, "embedding_size": 8},
  "instdisc": {"embedding_size": 8},
  "instdisc in full": {"embedding_size": 8, "num_noise": 0, "start": "empty"},
}


@pytest.mark.parametrize(
  "name, shards",
  [("moco", 4), ("nnclr", 4), ("instdisc", 4)]
  + [
    pytest.param(name, shards, marks=pytest.mark.thorough)
    for name in TABLES
    for shards in (2, 4, 8)
    if (name, shards) not in {("moco", 4), ("nnclr", 4), ("instdisc", 4)}
  ],
)
def test_tables_are_read_and_written_where_they_lie(name, shards):
  method, variant = name.split()[0], (TABLES[name], {})
  one = trial.Trial(method, 1, variant=variant)
  parts = trial.Trial(method, 8, fsdp=True, variant=variant, shards=shards)
  # Of a bias before a norm, which NNCLR's projector ends with, the gradient is rounding alone.
  seen = (lambda s: (s.params, s.memory)) if method == "nnclr" else (lambda s: s)
  trial.assert_close((seen(one.second), one.metrics), (seen(parts.second), parts.metrics))
  tables = [x for x in jax.tree.leaves(parts.state.memory) if x.shape in {(256, 8), (160, 8)}]
  assert tables and all(x.sharding.shard_shape(x.shape)[1] == 8 // shards for x in tables)


@pytest.mark.parametrize("remat", [False, True])
def test_of_weights_in_parts_nothing_whole_is_kept_for_the_backward_pass(remat):
  """By the compiler's count that is seen on a TPU alone: docs/results/memory.md."""
  net = methods.get("simclr")().network(vit.ViT(64, 2, 4, patch_px=8, remat=remat))
  with parallel.use(parallel.make_mesh()):
    init = functools.partial(net.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)), train=False)
    shapes = jax.eval_shape(init)["params"]
    params = jax.tree.map(
      lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
      shapes,
      parallel.cut(shapes, parallel.default_mesh()),
    )
    views = parallel.put(np.zeros((8, 2, 16, 16, 3), np.float32), parallel.default_mesh())

    def kept(gathered):
      def loss(params):
        return methods.forward(net, gathered(params), {}, views)[0]["z"].mean()

      found = jax.eval_shape(lambda p: jax.tree.leaves(jax.vjp(loss, p)[1]), params)
      of_mlp = {shapes["backbone"]["block1"][name]["kernel"].shape for name in ("mlp1", "mlp2")}
      return [x for x in found if x.shape in of_mlp and not any(x.sharding.spec)]

    assert kept(parallel.whole)
    assert not kept(gathering.at_head)


@pytest.mark.slow
@pytest.mark.thorough
def test_what_a_step_gathers_is_less_than_what_parts_save():
  """Weights, target and queue are whole for a while; the optimiser's state is not."""

  def needed(fsdp):
    c = tiny_config.tiny("moco", fsdp=fsdp, method__queue_size=32_768, optimizer__name="adamw")
    c.model.width, c.method.embedding_size = 8, 128  # 5 million weights
    sizes = images.of_source(c, run_images.source(c, "train"))
    return program.memory(program.make(c, sizes, jax.devices()).compile())

  whole, parts = needed(False), needed(True)
  assert parts["arguments"] < whole["arguments"] / 7
  assert parts["total"] < 0.75 * whole["total"]  # 112 of 165 MB


def test_big_leaves_are_cut_along_the_longest_axis_that_divides():
  mesh = parallel.make_mesh()  # 8 devices
  shapes = {"kernel": (3, 3, 16, 64), "odd": (7, 30), "bias": (8,), "table": (80, 64)}
  placed = parallel.cut({k: jax.ShapeDtypeStruct(v, np.float32) for k, v in shapes.items()}, mesh)
  local = {k: placed[k].shard_shape(v) for k, v in shapes.items()}
  assert local == {"kernel": (3, 3, 16, 8), "odd": (7, 30), "bias": (8,), "table": (10, 64)}


@pytest.mark.slow
def test_a_run_in_parts_goes_on_with_the_whole_state(tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    whole_runs.interrupt_after_save(patch, 1)
    with pytest.raises(KeyboardInterrupt):
      trainer.train(tiny_config.tiny(fsdp=True), str(tmp_path / "a"), jax.devices()[:2])
  saved = loading.load_run(str(tmp_path / "a"))
  assert saved.step == 4
  mixed = trainer.train(tiny_config.tiny(), str(tmp_path / "a"), jax.devices()[:2])
  whole = trainer.train(tiny_config.tiny(), str(tmp_path / "b"), jax.devices()[:2])
  pairs = zip(
    jax.tree.leaves(parallel.fetch(mixed.state.params)),
    jax.tree.leaves(parallel.fetch(whole.state.params)),
    strict=True,
  )
  for a, b in pairs:  # sums over devices in another order, which twelve steps enlarge
    np.testing.assert_allclose(a, b, atol=3e-2 * np.abs(b).max())


@pytest.mark.slow
@pytest.mark.thorough
def test_two_processes_save_their_parts_and_go_on_with_them(tmp_path):
  changes = {"epochs": 2, "method__queue_size": 64, "optimizer__base_lr": 0.003}
  changes |= {"log__every_steps": 1, "checkpoint__keep": 2}
  for start in (0, 4):
    said = members.two(CODE, str(tmp_path / "two"), json.dumps(changes))
    assert all(f"starts at {start}\n" in text for text in said)
  trainer.train(tiny_config.tiny("moco", **changes), str(tmp_path / "one"), jax.devices()[:4])
  assert list(whole_runs.losses(tmp_path / "two")) == list(range(1, 9))
  whole_runs.assert_alike(tmp_path / "one", tmp_path / "two")
