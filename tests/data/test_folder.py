"""Folders of image files, and how files become pixels."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from contrastive_jax import data, errors
from contrastive_jax.data import images

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 3), np.uint8)


def encoded(image, kind="PNG", **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


def write(root, *names):
  """Writes one-colour PNG files; the n-th is of colour n."""
  for i, name in enumerate(names):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (i, 0, 0)).save(root / name, "PNG")


def opened(root, split="train", **options):
  source = data.build("folder", split=split, path=str(root), **options)
  return source, [path.replace(os.sep, "/") for path in source.paths]


def test_a_flat_folder_has_no_labels(tmp_path):
  write(tmp_path, "b.png", "a.JPG", "c.webp", "notes.txt", ".hidden.png")
  source, paths = opened(tmp_path)
  assert paths == ["a.JPG", "b.png", "c.webp"]
  assert source.num_classes == 0 and source.label_names == () and len(source) == 3
  example = source[1]
  assert example["label"] == -1 and example["index"] == 1
  assert example["image"].shape == (4, 5, 3) and example["image"][0, 0].tolist() == [0, 0, 0]


def test_sub_folders_are_classes_at_any_depth(tmp_path):
  write(tmp_path, "dog/2.png", "cat/deep/er/1.png", "cat/0.png", ".git/x.png", "cat/.thumb/y.png")
  source, paths = opened(tmp_path)
  assert paths == ["cat/0.png", "cat/deep/er/1.png", "dog/2.png"]
  assert source.label_names == ("cat", "dog") and source.num_classes == 2
  assert [source[i]["label"] for i in range(3)] == [0, 0, 1]


def test_files_are_in_the_order_of_their_bytes(tmp_path):
  write(tmp_path, "c/a10.png", "c/a9.png", "c/B.png", "c/é.png", "c/z.png", "c-d/0.png")
  source, paths = opened(tmp_path)
  assert paths == ["c-d/0.png", "c/B.png", "c/a10.png", "c/a9.png", "c/z.png", "c/é.png"]
  assert source.label_names == ("c", "c-d")
  assert source[0]["label"] == 1 and source[1]["label"] == 0


def test_the_split_is_a_sub_folder_if_there_is_one(tmp_path):
  write(tmp_path, "train/cat/0.png", "train/dog/1.png", "test/dog/2.png", "test/eel/3.png")
  source, paths = opened(tmp_path, "test")
  assert paths == ["dog/2.png", "eel/3.png"]
  # The classes are those of all splits: "dog" is 1 in both, although "test" has no cat.
  assert source.label_names == opened(tmp_path, "train")[0].label_names == ("cat", "dog", "eel")
  assert [source[i]["label"] for i in range(2)] == [1, 2]


def test_labels_none_ignores_the_folders(tmp_path):
  write(tmp_path, "cat/0.png", "1.png")
  source, paths = opened(tmp_path, labels="none")
  assert paths == ["1.png", "cat/0.png"] and source[1]["label"] == -1 and source.num_classes == 0


def test_links_are_followed_but_not_in_circles(tmp_path):
  write(tmp_path, "set/cat/0.png", "elsewhere/1.png")
  (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere")
  (tmp_path / "set" / "cat" / "up").symlink_to(tmp_path / "set")
  source, paths = opened(tmp_path / "set")
  assert paths == ["cat/0.png", "dog/1.png"]


@pytest.mark.parametrize(
  ("files", "options", "message"),
  [
    ([], {"path": "nowhere"}, 'no folder "nowhere"; set data.folder.path'),
    ([], {"path": ""}, "data.folder.path is empty; give a directory"),
    (["notes.txt"], {}, "no image under .*must hold files ending in .jpg"),
    (["train/0.png"], {"split": "test"}, "no sub-folder 'test' but train; make one"),
    (["0.png"], {"split": "test"}, "no sub-folder 'test'; make one"),
    (["0.png", "cat/1.png"], {}, r"1 of 2 images lies directly in .* \('0.png'\)"),
    (["0.png"], {"labels": "folder"}, "1 of 1 image lies directly in .* move it, or"),
    (["0.png"], {"labels": "file"}, "'file'; use auto, folder, path, name, none, or"),
  ],
)
def test_folders_that_cannot_serve_are_refused(tmp_path, files, options, message):
  write(tmp_path, *files)
  with pytest.raises(errors.UserError, match=message):
    data.build("folder", **{"split": "train", "path": str(tmp_path)} | options)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF", "PPM"])
def test_lossless_files_give_their_exact_pixels(kind):
  image = images.decode(encoded(Image.fromarray(PIXELS), kind, lossless=True))
  assert image.dtype == np.uint8
  np.testing.assert_array_equal(image, PIXELS)


def test_jpeg_files_give_nearly_their_pixels():
  smooth = np.tile(np.arange(0, 240, 15, dtype=np.uint8)[:, None, None], (1, 16, 3))
  image = images.decode(encoded(Image.fromarray(smooth), "JPEG", quality=95))
  assert abs(image.astype(int) - smooth).max() <= 6  # quantisation at quality 95


def test_grey_becomes_three_equal_channels():
  grey = PIXELS[..., 0]
  wanted = np.repeat(grey[..., None], 3, -1)
  np.testing.assert_array_equal(images.decode(encoded(Image.fromarray(grey))), wanted)
  deep = grey.astype(np.uint16) * 256 + 7  # 16 bits a pixel
  np.testing.assert_array_equal(images.decode(encoded(Image.fromarray(deep))), wanted)
  ones = Image.fromarray(grey).convert("1")
  np.testing.assert_array_equal(
    images.decode(encoded(ones))[..., 2], np.asarray(ones).astype(np.uint8) * 255
  )


def test_transparent_pixels_are_laid_over_white():
  alpha = RNG.integers(0, 256, PIXELS.shape[:2], np.uint8)
  rgba = np.concatenate([PIXELS, alpha[..., None]], -1)
  image = images.decode(encoded(Image.fromarray(rgba)))
  share = alpha[..., None] / 255
  # Pillow composites in integers: within one level of the exact mixture.
  assert abs(image - (PIXELS * share + 255 * (1 - share))).max() <= 1
  grey_alpha = Image.fromarray(PIXELS[..., 0]).convert("LA")
  grey_alpha.putalpha(0)
  assert (images.decode(encoded(grey_alpha)) == 255).all()


@pytest.mark.parametrize("side", [1, 256])  # more than a strip of pixels is made RGB in strips
def test_a_colour_that_is_transparent_is_white(side):
  wanted = np.tile(PIXELS, (side, side, 1))
  wanted[3, 4] = (9, 8, 7)
  content = encoded(Image.fromarray(wanted), transparency=(9, 8, 7))
  hidden = (wanted == (9, 8, 7)).all(-1)
  found = images.decode(content)
  assert hidden[3, 4] and (found[hidden] == 255).all()
  np.testing.assert_array_equal(found[~hidden], wanted[~hidden])


def test_palettes_are_looked_up():
  palette = Image.fromarray(PIXELS).quantize(5)
  wanted = np.asarray(palette.convert("RGB"))
  np.testing.assert_array_equal(images.decode(encoded(palette)), wanted)
  np.testing.assert_array_equal(images.decode(encoded(palette, "GIF")), wanted)
  clear = images.decode(encoded(palette, transparency=2))
  hidden = np.asarray(palette) == 2
  assert hidden.any() and (clear[hidden] == 255).all()
  np.testing.assert_array_equal(clear[~hidden], wanted[~hidden])


def test_cmyk_files_become_rgb():
  image = images.decode(encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"))
  assert image.shape == (4, 4, 3) and (image[..., 0] > 230).all() and (image[..., 1:] < 40).all()


@pytest.mark.parametrize(
  ("orientation", "upright"),
  [
    (1, lambda a: a),
    (2, lambda a: a[:, ::-1]),
    (3, lambda a: a[::-1, ::-1]),
    (4, lambda a: a[::-1]),
    (5, lambda a: a.transpose(1, 0, 2)),
    (6, lambda a: np.rot90(a, -1)),
    (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
    (8, lambda a: np.rot90(a)),
  ],
)
def test_the_exif_orientation_is_applied(orientation, upright):
  exif = Image.Exif()
  exif[0x0112] = orientation
  image = images.decode(encoded(Image.fromarray(PIXELS), exif=exif))
  np.testing.assert_array_equal(image, upright(PIXELS))


@pytest.mark.parametrize(
  "file",
  [
    b"",
    b"no image",
    encoded(Image.fromarray(PIXELS))[:60],
    encoded(Image.new("F", (2, 2)), "TIFF"),
  ],
)
def test_damaged_files_are_unreadable_and_named(tmp_path, file):
  (tmp_path / "bad.png").write_bytes(file)
  write(tmp_path, "good.png")
  source, _ = opened(tmp_path)
  with pytest.raises(data.Unreadable, match=r"bad\.png: "):
    source[0]
  assert source[1]["image"].shape == (4, 5, 3)


def test_a_file_that_vanished_is_unreadable(tmp_path):
  write(tmp_path, "a.png")
  write(tmp_path, "b.png")  # nothing at all there would be a disk that is away
  source, _ = opened(tmp_path)
  (tmp_path / "a.png").unlink()
  with pytest.raises(data.Unreadable, match=r"a\.png: FileNotFoundError"):
    source[0]


@pytest.mark.parametrize(
  ("name", "source"),
  [("train-0.parquet", "parquet"), ("set-0.tar", "webdataset"), ("a.npz", "npz")],
)
def test_files_of_another_source_are_told_with_its_name(tmp_path, name, source):
  (tmp_path / name).write_bytes(b"")
  with pytest.raises(errors.Absent, match=f"are read by --config.data.source={source}$"):
    data.build("folder", split="train", path=str(tmp_path))
