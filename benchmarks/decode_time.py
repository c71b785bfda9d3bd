"""CPU time to bring a JPEG onto a host canvas, before and now; a table in Markdown.

python benchmarks/decode_time.py [--runs=15] [--threads=4]

Forms in turn, medians over made-up photographs of quality 90: "before" decodes the whole image with
Pillow and shrinks it from an array, as this package did; "Pillow" and "fast" are what it does
without and with the extra `fast`; "simplejpeg" is with that package alone, where cykooz.resizer has
no wheel; "alone" is simplejpeg's own call for the least eighths not below the canvas, which leaves
the image larger than that, and makes none. Of one thread the time is that of the thread, of several
that of the process. "apart" is the mean difference of pixels from those of "before", in levels of
255. The last column is the share of a thread's time of "fast" in which it held Python's lock: all
but that within the calls that give it back.
"""

import concurrent.futures
import contextlib
import io
import statistics
import time
from collections.abc import Callable, Iterator
from unittest import mock

import cykooz_resizer
import numpy as np
import simplejpeg
from absl import app, flags
from PIL import Image, ImageOps

from contrastive_jax.data import images, jpeg, shrinking

_RUNS = flags.DEFINE_integer("runs", 15, "Of each form and image.")
_THREADS = flags.DEFINE_integer("threads", 4, "Of the second table.")
_CASES = [(500, 375, 256), (500, 375, 512), (1600, 1200, 256)]
_IMAGES = 4


def photograph(width: int, height: int, seed: int) -> bytes:
  """Returns a JPEG of noise whose power falls with its frequency, as that of photographs does."""
  random, pixels = np.random.default_rng(seed), np.full((height, width, 3), 128, np.float32)
  for cell in (2, 4, 8, 16, 32, 64, 128):
    shape = max(2, height // cell), max(2, width // cell), 3
    noise = np.clip(128 + 30 * random.normal(size=shape), 0, 255).astype(np.uint8)
    grown = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    pixels += (np.asarray(grown, np.float32) - 128) * (cell / 64) ** 0.5
  buffer = io.BytesIO()
  Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
  return buffer.getvalue()


def before(encoded: bytes, canvas: np.ndarray) -> None:
  images.place(whole(encoded), canvas)


def whole(encoded: bytes) -> np.ndarray:
  """Decodes a JPEG as "before" does."""
  with images.open_header(encoded) as opened:
    ImageOps.exif_transpose(opened, in_place=True)
    return images._pixels(opened)


def now(encoded: bytes, canvas: np.ndarray) -> None:
  images.place(images.decode(encoded, size_px=len(canvas)), canvas)


def alone(encoded: bytes, canvas: np.ndarray) -> None:
  height, width, *_ = simplejpeg.decode_jpeg_header(encoded)
  least = images.fitted((width, height), len(canvas))
  simplejpeg.decode_jpeg(encoded, "RGB", min_width=least[0], min_height=least[1])


FORMS = {  # what is called, with which decoder and resizer there; None: Pillow
  "before": (before, None, None),
  "Pillow": (now, None, None),
  "simplejpeg": (now, simplejpeg, None),
  "fast": (now, simplejpeg, cykooz_resizer),
  "alone": (alone, simplejpeg, None),
}
_NOW = ("Pillow", "simplejpeg", "fast")  # which make a canvas


@contextlib.contextmanager
def prepared(name: str) -> Iterator[Callable[[bytes, np.ndarray], None]]:
  form, decoder, resizer = FORMS[name]
  with (
    mock.patch.object(jpeg, "_simplejpeg", lambda: decoder),
    mock.patch.object(shrinking, "_cykooz", lambda: resizer),
  ):
    yield form


def of_one_thread(size_px: int, encoded: list[bytes]) -> dict[str, float]:
  """Returns the median of each form, in ms an image."""
  canvas, taken = np.zeros((size_px, size_px, 3), np.uint8), {name: [] for name in FORMS}
  for run in range(_RUNS.value + 1):
    for name in _turned(run):
      with prepared(name) as form:
        for content in encoded:
          start = time.thread_time()
          form(content, canvas)
          taken[name].append(time.thread_time() - start)
  return {name: 1e3 * statistics.median(times[len(encoded) :]) for name, times in taken.items()}


def of_threads(size_px: int, encoded: list[bytes]) -> dict[str, float]:
  """Returns the median CPU time of the process of each form, in ms an image."""
  canvases = np.zeros((32, size_px, size_px, 3), np.uint8)
  contents, taken = [encoded[i % len(encoded)] for i in range(32)], {name: [] for name in FORMS}
  with concurrent.futures.ThreadPoolExecutor(_THREADS.value) as pool:
    for run in range(_RUNS.value + 1):
      for name in _turned(run):
        with prepared(name) as form:
          start = time.process_time()
          list(pool.map(form, contents, canvases))
          taken[name].append((time.process_time() - start) / len(contents))
  return {name: 1e3 * statistics.median(times[1:]) for name, times in taken.items()}


def lock_share(size_px: int, encoded: list[bytes]) -> float:
  """Returns which part of the time of "fast" is outside the calls that give back the lock."""
  free, canvas = [], np.zeros((size_px, size_px, 3), np.uint8)

  def timed(call: Callable) -> Callable:
    def timing(*args, **kwargs):
      start = time.thread_time()
      try:
        return call(*args, **kwargs)
      finally:
        free.append(time.thread_time() - start)

    return timing

  start, resizer = time.thread_time(), cykooz_resizer.Resizer
  with (
    prepared("fast"),
    mock.patch.object(simplejpeg, "decode_jpeg", timed(simplejpeg.decode_jpeg)),
    mock.patch.object(resizer, "resize", timed(resizer.resize)),
  ):
    for content in encoded * _RUNS.value:
      now(content, canvas)
  return 1 - sum(free) / (time.thread_time() - start)


def apart(size_px: int, content: bytes) -> dict[str, float]:
  """Returns the mean difference of pixels from "before" of the forms that make a canvas."""
  found = {}
  for name in ("before", *_NOW):
    found[name] = np.zeros((size_px, size_px, 3), np.uint8)
    with prepared(name) as form:
      form(content, found[name])
  there = found["before"].any(-1)
  return {k: np.abs(v.astype(int) - found["before"])[there].mean() for k, v in found.items()}


def _turned(run: int) -> list[str]:
  names = list(FORMS)
  return names if run % 2 else names[::-1]


def main(_) -> None:
  columns = ["canvas", "threads", "before"]
  columns += [column for name in _NOW for column in (name, "ratio", "apart")]
  columns += ["alone", "lock held"]
  print(f"| image | {' | '.join(columns)} |\n|---|{'--:|' * len(columns)}")
  for width, height, size_px in _CASES:
    encoded = [photograph(width, height, seed) for seed in range(_IMAGES)]
    differs, held = apart(size_px, encoded[0]), lock_share(size_px, encoded)
    for threads, of in ((1, of_one_thread), (_THREADS.value, of_threads)):
      ms = of(size_px, encoded)
      row = f"| {width} × {height} | {size_px} | {threads} | {ms['before']:.2f} ms "
      for name in _NOW:
        row += f"| {ms[name]:.2f} ms | {ms[name] / ms['before']:.2f} | {differs[name]:.2f} "
      print(row + f"| {ms['alone']:.2f} ms | {held:.2f} |")


if __name__ == "__main__":
  app.run(main)
