"""A picture of views, to look at what a recipe does before training on it."""

import numpy as np

from contrastive_jax.augment.recipes import Recipe


def grid(views, recipe: Recipe | None = None, gap_px: int = 2) -> np.ndarray:
  """Lays out views as one picture: a row for each example, a column for each view.

  Args:
    views: [B, V, H, W, 3], as `augment.views` returns them; anything numpy can read.
    recipe: undoes its normalisation; None if the views are in [0, 1].
    gap_px: white space between views.

  Returns:
    uint8 [B (H + gap) - gap, V (W + gap) - gap, 3], ready for `PIL.Image.fromarray`.
  """
  views = np.asarray(views, np.float32)  # of other channels than three, the first is shown, as grey
  if recipe is not None:
    views = views * np.asarray(recipe.std, np.float32) + np.asarray(recipe.mean, np.float32)
  if views.shape[-1] != 3:
    views = np.repeat(views[..., :1], 3, axis=-1)
  pixels = np.round(255.0 * np.clip(views, 0.0, 1.0)).astype(np.uint8)
  gap = (0, gap_px)
  pixels = np.pad(pixels, ((0, 0), (0, 0), gap, gap, (0, 0)), constant_values=255)
  examples, count, height, width, _ = pixels.shape
  picture = pixels.transpose(0, 2, 1, 3, 4).reshape(examples * height, count * width, 3)
  return picture[: picture.shape[0] - gap_px, : picture.shape[1] - gap_px]
