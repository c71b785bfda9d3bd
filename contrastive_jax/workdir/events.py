"""Events for TensorBoard, through tensorboardX, without a thread of its own."""

import pathlib
import re
import time
import types
from collections.abc import Mapping

from PIL import Image

from contrastive_jax import errors
from contrastive_jax.hiding import hidden

_FLUSH_S = 30.0  # between two writings to the disk; a checkpoint comes after one too
# What is shown together: the metrics whose names begin so.
_GROUP = re.compile(r"(collapse|contrastive|knn|online)_(.+)")


class Events:
  """Scalars for TensorBoard, written by whoever tells them.

  tensorboardX's SummaryWriter has a thread for it, which a full disk ends; its queue then fills,
  and who tells the next scalar waits for good.
  """

  def __init__(self, folder: pathlib.Path, start_step: int):
    # tensorboardX takes what comes before a colon of a relative path for a protocol.
    self._folder, self._flushed = folder.absolute(), time.monotonic()
    with errors.placing(str(folder)):
      tensorboard = _tensorboard()
      self._proto, self._summary = tensorboard.proto, tensorboard.summary
      self._folder.mkdir(parents=True, exist_ok=True)
      self._file = tensorboard.event_file_writer.EventsWriter(str(self._folder / "events"))
      started = self._proto.event_pb2.SessionLog(status=self._proto.event_pb2.SessionLog.START)
      # Of files before this one nothing counts from that step on.
      self._write(step=start_step + 1, session_log=started)

  def write(self, step: int, values: Mapping[str, float]) -> None:
    summary = self._proto.summary_pb2.Summary
    with errors.saving(str(self._folder)):
      for name, value in values.items():
        scalar = summary.Value(tag=_GROUP.sub(r"\1/\2", name), simple_value=value)
        self._write(step=step, summary=summary(value=[scalar]))
    if time.monotonic() - self._flushed > _FLUSH_S:
      self.flush()

  def text(self, name: str, text: str) -> None:
    """Writes a text, shown as it is."""
    with errors.saving(str(self._folder)):
      indented = "\n".join(f"    {line}" for line in text.splitlines())  # Markdown's verbatim
      self._write(step=0, summary=self._summary.text(name, indented))

  def picture(self, name: str, path: pathlib.Path, step: int = 0) -> None:
    """Writes a PNG file, shown at a step."""
    summary = self._proto.summary_pb2.Summary
    with Image.open(path, formats=["PNG"]) as opened:
      width, height = opened.size
    image = summary.Image(
      width=width, height=height, colorspace=3, encoded_image_string=path.read_bytes()
    )
    with errors.saving(str(self._folder)):
      self._write(step=step, summary=summary(value=[summary.Value(tag=name, image=image)]))

  def flush(self) -> None:
    with errors.saving(str(self._folder)):
      self._file.flush()
    self._flushed = time.monotonic()

  def close(self) -> None:
    self._file.close()

  def _write(self, **event) -> None:
    self._file.write_event(self._proto.event_pb2.Event(wall_time=time.time(), **event))


def _tensorboard() -> types.ModuleType:
  """Imports tensorboardX (slow, so only where wanted) without PyTorch, which it takes if it can.

  Nor with what it writes into buckets with: here that is done with whole files.
  """
  with hidden("boto3", "google.cloud.storage", always=("torch",)):
    import tensorboardX
    import tensorboardX.event_file_writer
  return tensorboardX
