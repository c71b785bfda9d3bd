"""The figures of every ImageNet recipe, written down a second time from papers and released code.

Rates are those after scaling by the batch. Figures that a config's docstring calls recalled are
recalled here as well.
"""

import dataclasses

KERNELS = {"kernel", "patch/kernel"}
BUT_PATCH = {"kernel", "dense/bias", "norm/scale", "norm/bias"}
ALL = BUT_PATCH | {"patch/kernel"}
# MLP heads: hidden widths, output, batch norm in hidden layers, batch norm after the last.
MOCO_HEAD = ((2048,), 128, False, "none")
HAIKU = {"model.weight_init": "haiku"}
SIMCLR_HEAD = ((2048,), 128, True, "scale")


@dataclasses.dataclass(frozen=True)
class Row:
  """A recipe; the defaults are those most of them share."""

  optimiser: str
  peak: float
  epochs: int
  batch: int
  decay: float
  decayed: set
  heads: dict
  warmup: float = 10
  end: float = 0.0  # of the cosine
  start: float = 0.0  # of the warm-up
  drops: tuple = ()  # epochs at which the rate falls to a tenth; none: a cosine
  per_epoch: bool = False
  adapted: set | None = None  # of LARS and LARC; None: kernels
  method: dict = dataclasses.field(default_factory=dict)
  zero_gamma: bool | None = True  # None: no ResNet
  bn_groups: int = 1
  size_px: int = 224
  more: dict = dataclasses.field(default_factory=dict)  # other keys of the config


def simclr(**change):
  row = Row("lars", 4.8, 100, 4096, 1e-6, KERNELS, {"z": SIMCLR_HEAD})
  return dataclasses.replace(row, **change)


def moco(**change):
  figures = {"temperature": 0.2, "queue_size": 65_536, "momentum": 0.999}
  row = Row(
    *("sgd", 0.03, 200, 256, 1e-4, ALL, {"z": MOCO_HEAD}),
    warmup=0,
    per_epoch=True,
    method=figures,
    zero_gamma=False,
    bn_groups=8,
  )
  return dataclasses.replace(row, **change)


def byol(epochs, peak, decay, momentum):
  head = ((4096,), 256, True, "none")
  row = Row("lars_outside", peak, epochs, 4096, decay, KERNELS, {"z": head, "p": head})
  return dataclasses.replace(row, method={"momentum": momentum}, more=HAIKU)


def moco_v3(epochs, peak, decay, momentum):
  heads = {"z": ((4096,), 256, True, "plain"), "q": ((4096,), 256, True, "none")}
  row = Row("lars_outside", peak, epochs, 4096, decay, KERNELS, heads)
  return dataclasses.replace(row, method={"momentum": momentum, "temperature": 1.0})


def vit():
  heads = {"z": ((4096, 4096), 256, True, "plain"), "q": ((4096,), 256, True, "plain")}
  return Row(
    *("adamw", 2.4e-3, 300, 4096, 0.1, BUT_PATCH, heads),
    warmup=40,
    method={"momentum": 0.99, "temperature": 0.2},
    zero_gamma=None,
    more={"model.frozen_patch_projection": True, "augment.min_area": 0.08},
  )


def wide(decay, method):
  head = ((8192, 8192), 8192, True, "none")
  return Row(
    *("lars_outside", 1.6, 1000, 2048, decay, KERNELS, {"z": head}), end=0.0016, method=method
  )


def swav(**change):
  figures = {"prototypes": 3000, "temperature": 0.1, "epsilon": 0.05, "sinkhorn_iterations": 3}
  row = Row(
    *("larc", 4.8, 800, 4096, 1e-6, ALL, {"z": ((2048,), 128, True, "none")}),
    start=0.3,
    end=0.0048,
    adapted=ALL,
    method=figures | {"local_views": 6, "freeze_steps": 313, "queue_size": 0},
    zero_gamma=False,
    bn_groups=8,
    more={"optimizer.trust_coefficient": 0.001, "optimizer.trust_clip": False},
  )
  return dataclasses.replace(row, **change)


def dino(**change):
  figures = {"outputs": 65_536, "student_temperature": 0.1, "teacher_start": 0.04}
  figures |= {"center_momentum": 0.9, "momentum": 0.996, "freeze_epochs": 1.0, "local_views": 8}
  row = Row(
    *("adamw", 2e-3, 800, 1024, 0.04, KERNELS, {"z": ((2048, 2048), 256, False, "none")}),
    end=1e-6,
    method=figures | {"teacher_temperature": 0.07},
    zero_gamma=None,
    more={"optimizer.final_weight_decay": 0.4, "optimizer.clip_norm": 3.0},
  )
  return dataclasses.replace(row, **change)


def lejepa(decay, zero_gamma):
  return Row(
    *("adamw", 5e-4, 100, 512, decay, ALL, {"z": ((2048, 2048), 128, True, "none")}),
    warmup=1,
    end=5e-7,
    method={"sigreg_weight": 0.05, "slices": 1024, "local_views": 6},
    zero_gamma=zero_gamma,
    more={"augment.min_area": 0.3, "augment.local_max_area": 0.3, "augment.local_min_area": 0.05},
  )


def nnclr(epochs):
  heads = {"z": ((2048, 2048), 256, True, "affine"), "p": ((4096,), 256, True, "none")}
  method = {"temperature": 0.1, "queue_size": 98_304}
  return Row("lars_outside", 4.8, epochs, 4096, 1e-6, KERNELS, heads, method=method, more=HAIKU)


def pretext(head, batch=256, peak=0.1, size_px=224, more=None):
  return Row(
    *("sgd", peak, 35, batch, 1e-4, KERNELS, head),
    warmup=5,
    drops=(15, 25),
    zero_gamma=False,
    size_px=size_px,
    more={"model.bn_momentum": 0.99, "model.bn_eps": 1e-3} | (more or {}),
  )


ROWS = {
  "simclr": simclr(method={"temperature": 0.1, "loss_factor": "code"}),
  "simclr:1000": simclr(epochs=1000),
  "simclr_v2": simclr(
    peak=6.4,
    epochs=800,
    warmup=40,
    decay=1e-4,
    heads={"z": ((2048, 2048), 128, True, "scale")},
    method={"temperature": 0.1, "loss_factor": "code"},
    more={"model.sk_ratio": 0.0625},
  ),
  "triplet": simclr(method={"margin": 0.2}),
  "nt_logistic": simclr(),
  "margin": simclr(),
  "dcl": simclr(peak=1.2, epochs=200, batch=256, method={"temperature": 0.1}),
  "sogclr": simclr(
    peak=1.2,
    epochs=800,
    batch=256,
    method={"temperature": 0.1, "gamma": 0.9, "loss_factor": "code"},
  ),
  "siglip": Row(
    *("adamw", 1e-3, 100, 1024, 1e-4, KERNELS, {"z": SIMCLR_HEAD}),
    method={"scale": 10, "bias": -10},
    more={"optimizer.b2": 0.95},
  ),
  "infonce": Row(
    *("lars_outside", 4.8, 100, 4096, 1e-6, KERNELS, {"z": ((2048, 2048), 128, True, "affine")}),
    end=0.0048,
    method={"temperature": 0.2},
  ),
  "supcon": simclr(
    peak=7.2,
    epochs=700,
    batch=6144,
    heads={"z": MOCO_HEAD},
    method={"temperature": 0.1, "base_temperature": 0.07},
    zero_gamma=False,
  ),
  "moco_v1": moco(
    per_epoch=False,
    drops=(120, 160),
    heads={"z": ((), 128, False, "none")},
    method={"temperature": 0.07, "queue_size": 65_536, "momentum": 0.999},
  ),
  "moco_v2": moco(),
  "moco_v2:800": moco(epochs=800),
  "moco_v3": moco_v3(100, 9.6, 1e-6, 0.99),
  "moco_v3:300": moco_v3(300, 4.8, 1e-6, 0.99),
  "moco_v3:1000": moco_v3(1000, 4.8, 1.5e-6, 0.996),
  "moco_v3_vit": vit(),
  "moco_v3_vit:vit_base": vit(),
  "byol": byol(100, 7.2, 1e-6, 0.99),
  "byol:40": byol(40, 7.2, 1e-6, 0.97),
  "byol:300": byol(300, 4.8, 1e-6, 0.99),
  "byol:1000": byol(1000, 3.2, 1.5e-6, 0.996),
  "simsiam": Row(
    *("sgd", 0.1, 100, 512, 1e-4, ALL),
    {"z": ((2048, 2048), 2048, True, "plain"), "p": ((512,), 2048, True, "none")},
    warmup=0,
    per_epoch=True,
    more={"optimizer.lr_rules": (("^p/", 1.0, True),)},
  ),
  "barlow": wide(1.5e-6, {"redundancy_weight": 0.0051}),
  "vicreg": wide(1e-6, {"invariance_weight": 25, "variance_weight": 25, "covariance_weight": 1}),
  "instdisc": moco(
    per_epoch=False,
    drops=(120, 160),
    heads={"z": ((), 128, False, "none")},
    method={"temperature": 0.07, "num_noise": 4096, "momentum": 0.5, "proximal": 0.0},
    bn_groups=1,
  ),
  "looc": moco(
    epochs=500,
    per_epoch=False,
    drops=(300, 400),
    heads={name: MOCO_HEAD for name in ("z0", "z1", "z2")},
    method={"temperature": 0.2, "queue_size": 16_384, "momentum": 0.999},
  ),
  "swav": swav(),
  "swav:256": swav(
    peak=0.6,
    start=0.6,
    end=0.0006,
    epochs=400,
    batch=256,
    warmup=0,
    method={"queue_size": 3840, "queue_from_epoch": 15, "freeze_steps": 5005},
    bn_groups=1,
  ),
  "lejepa": lejepa(5e-4, zero_gamma=False),
  "lejepa:deit_small": lejepa(5e-2, zero_gamma=None),
  "dino": dino(),
  "dino:vit_base": dino(),
  "dino:resnet50": dino(
    optimiser="sgd",
    peak=0.12,
    decay=1e-4,
    zero_gamma=False,
    method={"teacher_temperature": 0.04},
    more={},
  ),
  "nnclr": nnclr(100),
  "nnclr:1000": nnclr(1000),
  "patches": moco(method={"temperature": 0.2}, bn_groups=1),
  "patches:feature_map": moco(
    method={"temperature": 0.07, "stop_keys": True},
    heads={"z": ((256,), 256, False, "none")},
    bn_groups=1,
  ),
  "supervised": Row("sgd", 0.4, 90, 1024, 1e-4, KERNELS, {}, warmup=5),
  "rotation": pretext(
    {"rotation": ((), 4, False, "none")},
    more={"augment.min_area": 0.765625, "augment.max_area": 0.765625},  # 224 px of 256
  ),
  "exemplar": pretext(
    {"z": ((), 1000, False, "none")},
    batch=64,
    peak=0.025,
    more={"augment.min_area": 0.05, "augment.grey_p": 0.66, "augment.normalize": "imagenet"},
  ),
  "relative_patch": pretext({}, size_px=255),
  "jigsaw": pretext({}, size_px=255),
  "autoencoder": pretext({}),
  "context_encoder": pretext({}),
}
