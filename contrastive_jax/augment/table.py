"""The figures of every named recipe, one row each, with the source of the row.

`contrastive_jax.augment.recipes` turns a row into operations.
"""

import dataclasses

_ORDER = ("crop", "flip", "jitter", "grey", "blur", "solarize")


@dataclasses.dataclass(frozen=True)
class Row:
  """One recipe's figures. Of a pair of probabilities the second belongs to every second view."""

  order: tuple[str, ...] = _ORDER
  sampler: str = "torchvision"  # of the crop
  interpolation: str = "bilinear"
  antialias: bool = True  # False: tf.image.resize as it is called without this argument
  min_area: float | None = 0.08  # None: no crop, the whole image is resized
  max_area: float = 1.0
  min_covered: float = 0.0  # with sampler "tf": smaller boxes are drawn again
  flip_p: float = 0.5
  jitter_family: str = "torchvision"
  jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)  # b, c, s, h at strength 1
  strength: float = 1.0
  jitter_p: float = 0.8
  grey_p: float = 0.2
  blur_family: str = "pillow"
  blur_p: tuple[float, ...] = (0.0, 0.0)  # of each of two views, or of one local view
  solarize_p: tuple[float, ...] = (0.0, 0.0)
  normalize: str = "imagenet"
  # Local views, where a method asks for them: SwAV's areas. They are not solarised.
  local_area: tuple[float, float] = (0.05, 0.14)
  local_blur_p: float | None = None  # None: as the first view


# SimCLR: Chen et al., ICML 2020, appendix A; CIFAR-10: appendix B.9; data_util.py of the authors.
# Its crop asks for areas of 0.08 to 1, but also for a box that covers a tenth of the image. Resized
# as by tf2/data_util.py; the older data_util.py samples from pixels' corners, with a = -3/4.
_SIMCLR = Row(
  sampler="tf",
  min_covered=0.1,
  interpolation="bicubic",
  antialias=False,
  jitter_family="simclr_v2",
  jitter=(0.8, 0.8, 0.8, 0.2),
  blur_family="tf",
  blur_p=(0.5, 0.5),
  normalize="none",
)
# MoCo v2: Chen et al., arXiv:2003.04297; main_moco.py --aug-plus. SimSiam (Chen & He, CVPR 2021) is
# alike; main_simsiam.py.
_MOCO_V2 = Row(
  order=("crop", "jitter", "grey", "blur", "solarize", "flip"),
  min_area=0.2,
  blur_p=(0.5, 0.5),
)
# BYOL: Grill et al., NeurIPS 2020, table 6; utils/augmentations.py and utils/dataset.py. Its code
# draws a crop once and cuts it off at the border of the image; here such a box is drawn again.
_BYOL = Row(
  interpolation="bicubic",
  antialias=False,
  jitter_family="simclr_v1",
  jitter=(0.4, 0.4, 0.2, 0.1),
  blur_family="tf",
  blur_p=(1.0, 0.1),
  solarize_p=(0.0, 0.2),
)
# Barlow Twins: Zbontar et al., ICML 2021; main.py. VICReg (Bardes et al., ICLR 2022) is alike.
_BARLOW = dataclasses.replace(
  _BYOL, antialias=True, jitter_family="torchvision", blur_family="pillow"
)
# solo-learn: da Costa et al., JMLR 2022; scripts/pretrain/cifar/augmentations.
_SOLO_CIFAR = dataclasses.replace(
  _MOCO_V2,
  interpolation="bicubic",
  min_area=0.08,
  jitter=(0.8, 0.8, 0.8, 0.2),
  normalize="cifar",
)
_PLAIN = dataclasses.replace(_SIMCLR, jitter_p=0.0, grey_p=0.0, blur_p=(0.0, 0.0))

ROWS = {
  "simclr": _SIMCLR,
  "simclr_cifar": dataclasses.replace(_SIMCLR, strength=0.5, blur_p=(0.0, 0.0)),
  # InstDisc (Wu et al., CVPR 2018) and MoCo v1 (He et al., CVPR 2020): grey comes before jitter.
  "moco_v1": Row(
    order=("crop", "grey", "jitter", "blur", "solarize", "flip"),
    min_area=0.2,
    jitter=(0.4, 0.4, 0.4, 0.4),
    jitter_p=1.0,
  ),
  "moco_v2": _MOCO_V2,
  "simsiam": _MOCO_V2,
  "byol": _BYOL,
  # MoCo v3 (Chen et al., ICCV 2021), ResNet: BYOL's figures, flip last. ViT: min_area 0.08.
  "moco_v3": dataclasses.replace(
    _MOCO_V2, jitter=(0.4, 0.4, 0.2, 0.1), blur_p=(1.0, 0.1), solarize_p=(0.0, 0.2)
  ),
  "barlow": _BARLOW,
  "vicreg": _BARLOW,
  # SupCon: Khosla et al., NeurIPS 2020; main_supcon.py.
  "supcon_cifar": Row(min_area=0.2, normalize="cifar"),
  # SwAV: Caron et al., NeurIPS 2020, section 4; src/multicropdataset.py. Six local views of 96 px.
  "swav": Row(
    min_area=0.14,
    jitter=(0.8, 0.8, 0.8, 0.2),
    blur_p=(0.5, 0.5),
    local_area=(0.05, 0.14),
  ),
  # DINO: Caron et al., ICCV 2021; main_dino.py. Eight local views of 96 px.
  "dino": dataclasses.replace(_BARLOW, min_area=0.4, local_area=(0.05, 0.4), local_blur_p=0.5),
  # W-MSE: Ermolov et al., ICML 2021, CIFAR. Its code takes the crop after the colours, not before.
  "w_mse_cifar": Row(
    order=("crop", "jitter", "grey", "blur", "solarize", "flip"),
    interpolation="bicubic",
    min_area=0.2,
    grey_p=0.1,
    normalize="cifar",
  ),
  "solo_cifar": _SOLO_CIFAR,
  "solo_cifar_asym": dataclasses.replace(
    _SOLO_CIFAR, jitter=(0.4, 0.4, 0.2, 0.1), blur_p=(0.0, 0.0), solarize_p=(0.0, 0.2)
  ),
  "crop_only": _PLAIN,
  "none": dataclasses.replace(_PLAIN, antialias=True, min_area=None, flip_p=0.0),
}
NAMES = tuple(ROWS)
