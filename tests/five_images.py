"""A source for tests of worker processes, which import this file and little else."""

import os
import signal

import numpy as np

from contrastive_jax import errors


class Images:
  """Five images; what is said of the last is done in place of reading it."""

  num_classes, label_names, factors, native_size_px = 0, (), {}, 2

  def __init__(self, then=None):
    self.then = then

  def __len__(self):
    return 5

  def __getitem__(self, index):
    if index == 4 and self.then:
      self.then()
    return {"image": np.full((2, 2, 3), index, np.uint8), "label": -1, "index": index}


def refuse():
  raise errors.UserError("too bad; take another")


class Odd(Exception):
  def __init__(self, one, two):
    super().__init__(f"{one} {two}")


def raise_odd():
  raise Odd("cannot be", "pickled")


def die():
  os.kill(os.getpid(), signal.SIGKILL)
