"""Draws why crops alone are a shortcut: histograms of pixels of two crops of two images.

  python docs/draw/color_histograms.py     # into docs/pictures/augment/histograms.svg

As SimCLR's figure 6, with two of the built-in images: without colour distortion the crops of one
image share their histogram, and it tells them from another image; with it they do not.
"""

import pathlib

import jax
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from contrastive_jax import augment, data, keys

PICTURE = pathlib.Path(__file__).resolve().parent.parent / "pictures" / "augment" / "histograms.svg"
IMAGES, CROPS, BINS = (0, 1), 3, 32
COLORS = ("#0072b2", "#d55e00")  # of the images, told apart by all eyes
FRAMES = {"crops alone": 0.0, "crops and colour": 1.0}


def views(strength: float) -> np.ndarray:
  """Returns random views of the images, float32 [images, crops, 32, 32, 3]."""
  source = data.build("shapes", split="train")
  image = np.stack([source[i]["image"] for i in IMAGES])
  recipe = augment.recipe("simclr", 32, num_views=CROPS, color_strength=strength, blur=False)
  extent = np.full((len(IMAGES), 2), 32, np.int32)
  index = np.asarray(IMAGES, np.int32)
  shown = augment.views(recipe, keys.stream(0, "views"), 0, image, extent, index)
  return np.asarray(jax.device_get(shown))


def main():
  matplotlib.rcParams["svg.hashsalt"] = "histograms"
  figure = Figure(figsize=(8, 2.8), layout="constrained")
  both = figure.subplots(1, 2, sharey=True)
  for axes, (title, strength) in zip(both, FRAMES.items(), strict=True):
    for number, (crops, color) in enumerate(zip(views(strength), COLORS, strict=True)):
      for label, crop in zip([f"image {number + 1}"] + [None] * CROPS, crops, strict=False):
        share, edges = np.histogram(crop, BINS, (0, 1))
        axes.stairs(share / crop.size, edges, color=color, alpha=0.75, label=label)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("value of a pixel's channel")
  both[0].set_ylabel("share of values")
  both[0].legend(frameon=False)
  PICTURE.parent.mkdir(parents=True, exist_ok=True)
  figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
  main()
