"""Pixels that are partly transparent are laid over white, in whatever kind of file they lie."""

import io
import logging
import sys

import numpy as np
import pytest
from PIL import Image
from tiffs import decoded, tiff

from contrastive_jax import data
from contrastive_jax.data import pixel_range, pixels

GREY = np.random.default_rng(0).integers(0, 256, (12, 9), np.uint8)
COVER = np.random.default_rng(1).integers(0, 256, (12, 9), np.uint8)
COVER[:3], COVER[3:6] = 0, 255
OVER_WHITE = GREY * (COVER / 255) + 255 * (1 - COVER / 255)
STRAIGHT, PREMULTIPLIED = [2], [1]  # ExtraSamples of TIFF 6.0
INTERLEAVED = {"photometric": "minisblack", "planarconfig": "contig"}


def both(grey=GREY, cover=COVER):
  return np.stack([grey, cover], -1)


def saved(kind, **options):
  buffer = io.BytesIO()
  Image.fromarray(both(), "LA").save(buffer, kind, **options)
  return buffer.getvalue()


def premultiplied():
  return both(np.round(GREY * (COVER / 255)).astype(np.uint8))


BY_PILLOW = {
  "PNG": lambda: saved("PNG"),
  "TIFF": lambda: saved("TIFF"),
  "TIFF, LZW": lambda: saved("TIFF", compression="tiff_lzw"),
  "high byte first": lambda: tiff(both(), **INTERLEAVED, extrasamples=STRAIGHT, byteorder=">"),
  "premultiplied": lambda: tiff(premultiplied(), **INTERLEAVED, extrasamples=PREMULTIPLIED),
}
BY_TIFFFILE = {
  **{
    f"in planes, {packed or 'not packed'}": lambda packed=packed: tiff(
      np.moveaxis(both(), -1, 0),
      photometric="minisblack",
      planarconfig="separate",
      extrasamples=STRAIGHT,
      compression=packed,
    )
    for packed in (None, "zlib", "lzw")  # Pillow knows the first not and mixes the others up
  },
  "white is zero": lambda: tiff(
    both(~GREY), photometric="miniswhite", planarconfig="contig", extrasamples=STRAIGHT
  ),
  "16 bits": lambda: tiff(both().astype(np.uint16) * 257, **INTERLEAVED, extrasamples=STRAIGHT),
  "16 bits, premultiplied": lambda: tiff(
    premultiplied().astype(np.uint16) * 257, **INTERLEAVED, extrasamples=PREMULTIPLIED
  ),
  "16 bits of colour": lambda: tiff(
    np.stack([GREY, GREY, GREY, COVER], -1).astype(np.uint16) * 257,
    photometric="rgb",
    extrasamples=STRAIGHT,
  ),
}


@pytest.mark.filterwarnings("ignore:.*mode. parameter is deprecated")
@pytest.mark.parametrize("write", [*BY_PILLOW.values(), *BY_TIFFFILE.values()],
                         ids=[*BY_PILLOW, *BY_TIFFFILE])  # fmt: skip
@pytest.mark.parametrize(("channels", "bits"), [(3, 8), (1, 8), (3, 16), (1, 16)])
def test_grey_with_alpha_lies_over_white(write, channels, bits):
  found = decoded(write(), channels=channels, bits=bits)
  assert found.shape == (12, 9, channels) and found.dtype.itemsize * 8 == bits
  # Each step rounds by 0.5: the file, Pillow dividing by alpha, and what is laid over white.
  assert abs(found / (257 if bits == 16 else 1) - OVER_WHITE[..., None]).max() <= 1.5


@pytest.mark.parametrize("write", BY_PILLOW.values(), ids=BY_PILLOW)
def test_what_pillow_reads_takes_no_other_package(write, monkeypatch):
  content = write()
  monkeypatch.setitem(sys.modules, "tifffile", None)
  assert decoded(content, channels=1).shape == (12, 9, 1)
  assert decoded(content, channels=0).dtype == np.uint8  # as a range is looked for


@pytest.mark.parametrize("mode", ["RGBA", "CMYK"])
def test_a_run_on_tiffs_of_four_samples_takes_no_other_package(tmp_path, monkeypatch, mode):
  Image.new(mode, (4, 4)).save(tmp_path / "a.tif")
  monkeypatch.setitem(sys.modules, "tifffile", None)
  source = data.build("folder", split="train", path=str(tmp_path))
  assert pixel_range.of(source) == ()
  assert source[0]["image"].shape == (4, 4, 3)


def test_white_is_the_upper_end_of_a_range():
  scan = both(GREY.astype(np.uint16) * 16, COVER.astype(np.uint16) * 257)  # of 12 bits
  content = tiff(scan, **INTERLEAVED, extrasamples=STRAIGHT)
  found = decoded(content, channels=1, bits=16, value_range=(0.0, 4080.0))
  assert abs(found[..., 0] / 257 - OVER_WHITE).max() <= 1.01


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_not_said_to_be_alpha_is_no_cover(channels):
  """The second channel of a microscope, say."""
  two = tiff(both().astype(np.uint16), **INTERLEAVED, extrasamples=[0])
  with pytest.raises(data.Unreadable, match="it has 2 channels, and data.channels is"):
    decoded(two, channels=channels, bits=16)
  np.testing.assert_array_equal(
    decoded(two, channels=2, bits=16, value_range=(0.0, 65535.0)), both()
  )


def test_two_channels_are_two_where_two_are_asked_for():
  np.testing.assert_array_equal(decoded(saved("TIFF"), channels=2), both())


KINDS = {"grey": GREY, "colour": np.stack([GREY, COVER, GREY], -1)}


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("depth", [8, 16])
def test_a_large_tiff_that_begins_with_the_high_byte_is_read(values, depth):
  """Pillow 13 does not know it."""
  stored = values if depth == 8 else values.astype(np.uint16) * 257
  photometric = "minisblack" if values.ndim == 2 else "rgb"
  content = tiff(stored, bigtiff=True, byteorder=">", photometric=photometric)
  wanted = np.repeat(values[..., None], 3, -1) if values.ndim == 2 else values
  np.testing.assert_array_equal(decoded(content), wanted)
  found = decoded(content, channels=1 if values.ndim == 2 else 3, bits=16)
  np.testing.assert_array_equal(found // 257, wanted[..., : found.shape[-1]])


def test_without_tifffile_an_image_that_takes_it_is_replaced_and_the_extra_named(monkeypatch):
  content = tiff(GREY, bigtiff=True, byteorder=">")
  monkeypatch.setitem(sys.modules, "tifffile", None)
  with pytest.raises(data.Unreadable, match=r"^x: Pillow reads no such TIFF.*\[scans"):
    decoded(content)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("samples", [3, 4])
def test_colour_of_16_bits_in_planes_is_not_mixed_up(samples, compression):
  """As a folder of images is looked at that a run on others embeds: nothing says of 16 bits."""
  colour = np.stack([GREY, COVER, GREY, np.full_like(GREY, 255)][:samples])
  content = tiff(
    colour.astype(np.uint16) * 257,
    photometric="rgb",
    planarconfig="separate",
    compression=compression,
    extrasamples=STRAIGHT if samples == 4 else None,
  )
  np.testing.assert_array_equal(decoded(content), np.stack([GREY, COVER, GREY], -1))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_run_on_signed_bytes_has_their_range(tmp_path, photometric, caplog):
  signed = np.linspace(-128, 127, 12 * 9).reshape(12, 9).astype(np.int8)
  (tmp_path / "a.tif").write_bytes(tiff(signed, photometric=photometric))
  source = data.build("folder", split="train", path=str(tmp_path))
  with caplog.at_level(logging.INFO):
    ends = pixel_range.of(source)
  assert ends == (-128.0, 127.0)
  found = data.formed(source, pixels.Form(3, 8, ends))[0]["image"][..., 0].astype(int)
  wanted = signed.astype(int) + 128
  assert abs(found - (wanted if photometric == "minisblack" else 255 - wanted)).max() == 0
