"""A run with worker processes, called from Python: it leaves none, however it ends."""

import left_over
import pytest
import tiny_config
import whole_runs

from contrastive_jax.training import trainer


@left_over.on_linux
@pytest.mark.slow
def test_a_run_in_a_notebook_that_ends_or_raises_leaves_no_worker(tmp_path, monkeypatch):
  c = tiny_config.tiny(epochs=2, data__num_workers=2, data__cache="none")
  with monkeypatch.context() as patch:
    whole_runs.interrupt_after_save(patch, 1)
    with pytest.raises(KeyboardInterrupt) as kept:
      trainer.train(c, str(tmp_path), whole_runs.one_device())
  assert kept.value.__traceback__ and not left_over.children()
  trainer.train(c, str(tmp_path), whole_runs.one_device())
  assert not left_over.children()
