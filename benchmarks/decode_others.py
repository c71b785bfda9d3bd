"""JPEGs brought to 256 pixels by other packages: CPU time and pixels; a table in Markdown.

taskset -c 0 python benchmarks/decode_others.py [--runs=15]

Needs the extra `fast`, kornia-rs, opencv-python-headless and PyAV beside the package. 500 x 375 to
256 as in `decode_time.py`, whose "before", "simplejpeg" and "fast" stand in the table, forms in
turn, medians of the time of the process. All but PyAV shrink what simplejpeg decodes whole. "apart"
is the mean difference of pixels from "before", in levels of 255. "noise" is the deviation of white
noise after the filter, as a share of what Pillow's bicubic filter leaves of it: well above 1 the
filter lets through what the smaller image cannot show. Below the table is what the decoders take
alone.
"""

import statistics
import time
from collections.abc import Callable

import av
import cv2
import decode_time
import kornia_rs
import numpy as np
import simplejpeg
from absl import app, flags
from av.video import reformatter
from PIL import Image

from contrastive_jax.data import images, shrinking

_WIDTH, _HEIGHT, _SIZE_PX = 500, 375, 256
_SIZE = images.fitted((_WIDTH, _HEIGHT), _SIZE_PX)  # width, height

Shrink = Callable[[np.ndarray], np.ndarray]


def kornia(interpolation: str) -> Shrink:
  return lambda x: kornia_rs.imgproc.resize(x, _SIZE[::-1], interpolation)


def opencv(interpolation: int) -> Shrink:
  return lambda x: cv2.resize(x, _SIZE, interpolation=interpolation)


def pillow(filter_: Image.Resampling) -> Shrink:
  return lambda x: np.asarray(Image.fromarray(x).resize(_SIZE, filter_))


class Ffmpeg:
  """Decodes and shrinks with PyAV: planes of luminance and colours become RGB at their new size."""

  def __init__(self):
    self._context = av.CodecContext.create("mjpeg", "r")
    self._context.thread_count = 1
    self._reformatter = reformatter.VideoReformatter()

  def decode(self, encoded: bytes) -> av.VideoFrame:
    return self._context.decode(av.Packet(encoded))[0]

  def shrink(self, frame: av.VideoFrame | np.ndarray) -> np.ndarray:
    if isinstance(frame, np.ndarray):
      frame = av.VideoFrame.from_ndarray(frame, "rgb24")
    size = {"width": _SIZE[0], "height": _SIZE[1]}
    options = {"format": "rgb24", "interpolation": "AREA", "dst_color_range": "JPEG", "threads": 1}
    return self._reformatter.reformat(frame, **size, **options).to_ndarray()


_FFMPEG = Ffmpeg()
_SHRINKS: dict[str, Shrink] = {
  "cykooz.resizer, cubic": lambda x: shrinking.shrink(x, _SIZE),
  "Pillow, box": pillow(Image.Resampling.BOX),
  "kornia-rs, bicubic": kornia("bicubic"),
  "kornia-rs, bilinear": kornia("bilinear"),
  "OpenCV, area": opencv(cv2.INTER_AREA),
  "OpenCV, bilinear": opencv(cv2.INTER_LINEAR),
  "PyAV, area": _FFMPEG.shrink,
}


def on_canvas(name: str, encoded: bytes, canvas: np.ndarray) -> None:
  """Brings a JPEG onto a canvas by one of the forms."""
  if name in decode_time.FORMS:
    with decode_time.prepared(name) as form:
      form(encoded, canvas)
  elif name.startswith("PyAV"):
    images.place(_FFMPEG.shrink(_FFMPEG.decode(encoded)), canvas)
  else:
    images.place(_SHRINKS[name](simplejpeg.decode_jpeg(encoded, "RGB")), canvas)


def alone(decode: Callable[[bytes], object], encoded: list[bytes]) -> float:
  """Returns the median time of a decoder, in ms an image."""
  taken = []
  for content in encoded * (flags.FLAGS.runs + 1):
    begun = time.process_time()
    decode(content)
    taken.append(time.process_time() - begun)
  return 1e3 * statistics.median(taken[len(encoded) :])


def noise(shrink: Shrink) -> float:
  """Returns how much of white noise a filter leaves, as a share of what Pillow's bicubic does."""
  noise = np.random.default_rng(0).integers(0, 256, (_HEIGHT, _WIDTH, 3), np.uint8)
  return float(shrink(noise).std() / pillow(Image.Resampling.BICUBIC)(noise).std())


def main(_) -> None:
  cv2.setNumThreads(1)
  encoded = [decode_time.photograph(_WIDTH, _HEIGHT, seed) for seed in range(4)]
  names = ["before", "simplejpeg", "fast", *_SHRINKS]
  canvases = {name: np.zeros((_SIZE_PX, _SIZE_PX, 3), np.uint8) for name in names}
  taken = {name: [] for name in names}
  for run in range(flags.FLAGS.runs + 1):
    for name in names[:: 1 if run % 2 else -1]:
      for content in encoded:
        begun = time.process_time()
        on_canvas(name, content, canvases[name])
        taken[name].append(time.process_time() - begun)
  ms = {name: 1e3 * statistics.median(times[len(encoded) :]) for name, times in taken.items()}
  there = canvases["before"].any(-1)
  print("| form | an image | ratio | apart | noise |\n|---|--:|--:|--:|--:|")
  for name in names:
    apart = np.abs(canvases[name].astype(int) - canvases["before"])[there].mean()
    left = f"{noise(_SHRINKS[name]):.2f}" if name in _SHRINKS else ""
    print(f"| {name} | {ms[name]:.2f} ms | {ms[name] / ms['before']:.2f} | {apart:.2f} | {left} |")
  by = {
    "before": decode_time.whole,
    "simplejpeg": lambda content: simplejpeg.decode_jpeg(content, "RGB"),
    "its luminance": lambda content: simplejpeg.decode_jpeg(content, "GRAY"),
    "PyAV": _FFMPEG.decode,
  }
  said = ", ".join(f"{name} {alone(decode, encoded):.2f} ms" for name, decode in by.items())
  print(f"\ndecoding alone: {said}")


if __name__ == "__main__":
  app.run(main)
