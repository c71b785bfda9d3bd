"""What takes long and cannot say how far it is shows that it goes on."""

import threading

import pytest

from contrastive_jax.evaluation import progress


def test_a_block_that_is_waited_for_shows_how_long(monkeypatch):
  monkeypatch.setattr(progress, "_SILENCE", {"seconds": -1.0, "seconds_live": -1.0})
  monkeypatch.setattr(progress, "_TICK_S", 0.01)
  shown, rows, cleared = threading.Event(), [], []

  class Console:
    def is_silent_for(self, seconds, seconds_live):
      return True

    def row(self, parts):
      rows.append([text for _, text in parts])
      shown.set()

    def clear(self):
      cleared.append(len(rows))

  monkeypatch.setattr(progress, "Console", Console)
  made = progress.Progress("t-SNE")
  with pytest.raises(ValueError), made.waiting():
    assert shown.wait(60)
    raise ValueError
  assert rows[0] == ["t-SNE", "0:00 so far"]
  assert cleared == [len(rows)], "and takes the row away, however the block ends"
