"""A JPEG decoded smaller has nearly the pixels of the whole image, shrunk; no size is less."""

import importlib.metadata
import io
import itertools
import re
import types

import numpy as np
import pytest
from host_batches import evaluate
from PIL import Image, ImageOps

from contrastive_jax import data
from contrastive_jax.data import given, images, jpeg, shrinking


def _picture(width, height):
  """Smooth colours with edges: what a camera sees, more or less."""
  y, x = np.mgrid[:height, :width] / max(width, height)
  waves = [np.sin(9 * x + 5 * y * y), np.cos(7 * x * y + 3 * y), np.sin(4 * x - 11 * y)]
  pixels = 128 + 90 * np.stack(waves, -1)
  pixels[(x > 0.3) & (x < 0.5) & (y > 0.1) & (y < 0.4)] = (200, 40, 90)
  return Image.fromarray(pixels.astype(np.uint8))


def _encoded(image, **options):
  buffer = io.BytesIO()
  image.save(buffer, "JPEG", **{"quality": 92} | options)
  return buffer.getvalue()


def _turned(orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  return _encoded(_picture(300, 200), exif=exif)


KINDS = {
  "halved colours": _encoded(_picture(500, 375)),
  "all colours": _encoded(_picture(500, 375), subsampling=0),
  "progressive": _encoded(_picture(500, 375), progressive=True),
  "grey": _encoded(_picture(320, 240).convert("L")),
  "CMYK": _encoded(_picture(320, 240).convert("CMYK")),
  "large": _encoded(_picture(1600, 1200)),
  "wide": _encoded(_picture(3000, 9)),
  "high": _encoded(_picture(5, 900)),
  "odd": _encoded(_picture(257, 131)),
  "tiny": _encoded(_picture(3, 2)),
  "one pixel": _encoded(_picture(1, 1)),
} | {f"EXIF {i}": _turned(i) for i in range(1, 9)}


@pytest.fixture(params=["Pillow", "simplejpeg", "fast"])
def decoder(request, monkeypatch):
  if request.param != "fast":
    monkeypatch.setattr(shrinking, "_cykooz", lambda: None)
  elif not shrinking.is_quick():
    pytest.skip("cykooz.resizer has no wheel for this machine")
  if request.param == "Pillow":
    monkeypatch.setattr(jpeg, "_simplejpeg", lambda: None)
  assert request.param == "Pillow" or jpeg._simplejpeg()
  return request.param


@pytest.mark.parametrize("size_px", [None, 16, 100, 224, 256, 512])
@pytest.mark.parametrize("kind", KINDS)
def test_every_way_gives_nearly_the_whole_image_shrunk(decoder, kind, size_px):
  image = ImageOps.exif_transpose(Image.open(io.BytesIO(KINDS[kind]))).convert("RGB")
  canvas = np.zeros((size_px or 1, size_px or 1, 3), np.uint8)
  if size_px is None:
    wanted = np.asarray(image)
  else:
    height, width = images.place(np.asarray(image), canvas)
    wanted = canvas[:height, :width]
  found = images.decode(KINDS[kind], size_px=size_px)
  assert found.shape == wanted.shape and found.dtype == np.uint8
  apart = np.abs(found.astype(int) - wanted)
  if size_px is None or size_px >= max(image.size):
    assert apart.max() <= 2, "the same transform: two libraries may round differently"
  else:
    # 0.72 is the most, of "odd" at 224. Single pixels at edges are up to 35 levels apart.
    assert apart.mean() <= 1


@pytest.mark.parametrize("refusal", [ValueError, RuntimeError, "other sides"])
def test_what_simplejpeg_refuses_is_decoded_by_pillow(monkeypatch, refusal):
  def decode_jpeg(encoded, colorspace, **least):
    if refusal == "other sides":
      return np.zeros((3, 3, 3), np.uint8)
    raise refusal("no")

  monkeypatch.setattr(jpeg, "_simplejpeg", lambda: None)
  wanted = [images.decode(content, size_px=100) for content in KINDS.values()]
  module = types.SimpleNamespace(decode_jpeg=decode_jpeg)
  monkeypatch.setattr(jpeg, "_simplejpeg", lambda: module)
  for content, pixels in zip(KINDS.values(), wanted, strict=True):
    np.testing.assert_array_equal(images.decode(content, size_px=100), pixels)


def test_the_same_files_are_damaged_for_every_decoder(decoder):
  whole = KINDS["halved colours"]
  images.decode(whole + b"more", size_px=100)
  for damaged in (whole[: len(whole) // 2], whole[:300], whole[:-2][:2000] + bytes(3000)):
    with pytest.raises(data.Unreadable):
      images.decode(damaged, size_px=100)


@pytest.mark.parametrize("quick", [False, True])
def test_no_decoder_goes_below_what_is_needed_or_much_above(monkeypatch, quick):
  asked = []
  monkeypatch.setattr(shrinking, "is_quick", lambda: quick)

  def decode_jpeg(encoded, colorspace, min_height=None, min_width=None):
    asked.append((min_width or opened.size[0], min_height or opened.size[1]))
    return np.zeros((asked[-1][1], asked[-1][0], 3), np.uint8)

  for width, height in itertools.product((1, 7, 63, 64, 65, 127, 500), repeat=2):
    content = _encoded(Image.new("RGB", (width, height)))
    for size_px in (1, 8, 31, 32, 33, 64, 313, 499):
      opened = Image.open(io.BytesIO(content))
      size = images.fitted(opened.size, size_px)
      with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg, "_simplejpeg", lambda: types.SimpleNamespace(decode_jpeg=decode_jpeg))
        pixels, box = jpeg.decode(content, opened, size)
      boxes = [box, jpeg.draft(opened, size)]
      for (_, _, right, bottom), decoded in zip(boxes, (asked[-1], opened.size), strict=True):
        assert right >= size[0] and bottom >= size[1]
        assert (np.ceil(right), np.ceil(bottom)) == decoded
      eighths = round(8 * box[2] / width)
      assert not quick or eighths in (1, 2, 4, 8), "the others are computed number by number"
      less = [side * (eighths / 2 if quick else eighths - 1) / 8 for side in (width, height)]
      assert eighths == 1 or less[0] < size[0] or less[1] < size[1]


@pytest.mark.parametrize(
  "simplejpeg, quick, words",
  [
    (False, False, "Pillow V, by halves"),
    (True, False, "simplejpeg V, by eighths"),
    (False, True, "Pillow V, by halves, cykooz.resizer V"),
    (True, True, "simplejpeg V, by halves, cykooz.resizer V"),
  ],
)
def test_what_makes_pixels_is_named(monkeypatch, simplejpeg, quick, words):
  monkeypatch.setattr(jpeg, "_simplejpeg", lambda: simplejpeg)
  monkeypatch.setattr(shrinking, "_cykooz", lambda: quick or None)
  jpeg.decoder.cache_clear()
  said = jpeg.decoder()
  jpeg.decoder.cache_clear()
  assert re.sub(r" \d+(\.\d+)+", " V", said) == words


def test_a_decoder_without_metadata_is_of_an_unknown_version(monkeypatch):
  """As where a package lies in a folder of its own: a run ended when it wrote its versions."""

  def version(package):
    raise importlib.metadata.PackageNotFoundError(package)

  monkeypatch.setattr(jpeg, "_simplejpeg", lambda: True)
  monkeypatch.setattr(shrinking, "_cykooz", lambda: True)
  monkeypatch.setattr(importlib.metadata, "version", version)
  jpeg.decoder.cache_clear()
  said = jpeg.decoder()
  jpeg.decoder.cache_clear()
  assert said == "simplejpeg unknown, by halves, cykooz.resizer unknown"


def test_a_jpeg_above_the_limit_has_the_pixels_that_there_may_be(decoder):
  whole = images.decode(KINDS["large"], size_px=100)
  limited = images.decode(KINDS["large"], max_megapixels=1, size_px=100)
  assert np.abs(whole.astype(int) - limited).mean() <= 1
  assert images.decode(KINDS["large"], max_megapixels=1, size_px=900).shape == (600, 800, 3)


@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "RGBA", "I;16", "1", "L"])
def test_other_formats_are_shrunk_as_they_always_were(mode):
  image = _picture(200, 120)
  if mode == "I;16":
    image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 256)
  else:
    image = image.convert(mode)
  buffer = io.BytesIO()
  image.save(buffer, "PNG")
  canvas = np.zeros((50, 50, 3), np.uint8)
  height, width = images.place(images.decode(buffer.getvalue()), canvas)
  np.testing.assert_array_equal(
    images.decode(buffer.getvalue(), size_px=50), canvas[:height, :width]
  )


def test_sources_of_files_give_the_extent_that_they_always_gave(tmp_path):
  sizes = [(500, 375), (257, 131), (99, 100), (3, 2)]
  for number, size in enumerate(sizes):
    (tmp_path / f"{number}.jpg").write_bytes(_encoded(_picture(*size)))
  folder = data.build("folder", split="train", path=str(tmp_path))
  files = given.source(sorted(map(str, tmp_path.glob("*.jpg"))))
  for source in (folder, files):
    near = data.within(source, 64)
    for number, (width, height) in enumerate(sizes):
      assert source[number]["image"].shape == (height, width, 3), "the source itself is as it was"
      longest = max(width, height, 64)
      wanted = round(height * 64 / longest), round(width * 64 / longest)
      assert near[number]["image"].shape[:2] == (wanted if longest > 64 else (height, width))
    batch = evaluate(source, batch_size=4, host_size_px=64, cache="none")[0]
    for number in range(4):
      height, width = batch["extent"][number]
      np.testing.assert_array_equal(batch["image"][number, :height, :width], near[number]["image"])
