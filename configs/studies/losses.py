"""NT-Xent, NT-Logistic and the margin loss, with and without semi-hard mining (SimCLR, Table 4).

contrastive_jax study --config=studies/losses:cpu --workdir=runs/losses     # CIFAR-10, ResNet-8
contrastive_jax study --config=studies/losses --workdir=runs/losses_gpu     # ResNet-18
contrastive_jax study --config=studies/losses:paper --workdir=runs/losses_paper   # ImageNet

Each at its best learning rate, and at its best temperature or margin, among those that the paper
searched (Appendix B.10) or on a CPU some of them, chosen on training images held out. A label of
the axis scale is a temperature and a margin; each loss takes what it has. NT-Logistic's margin is
that of its mining, which the paper does not give, and 0.2 stands for the paper's 0.
"""

from contrastive_jax.configs import common
from contrastive_jax.study import config as study_config

PUBLISHED = {
  "margin": 50.9,
  "nt_logistic": 51.6,
  "margin_sh": 57.5,
  "nt_logistic_sh": 57.9,
  "nt_xent": 63.9,
}
RATES = {"cpu": (0.1, 0.3, 1.0), "gpu": (0.03, 0.06, 0.3), "paper": (0.01, 0.1, 0.3, 0.5, 1.0)}
SCALES = {  # temperature, margin
  "first": (0.2, 0.4),
  "second": (0.5, 0.8),
  "third": (0.1, 0.2),
  "fourth": (1.0, 1.6),
}
NUM_SCALES = {"cpu": 2, "gpu": 3, "paper": 4}


def get_config(size="gpu"):
  study = common.study("losses", "Losses, each at its best rate", size)
  folder, argument = {"cpu": ("cifar10", ":cpu"), "gpu": ("cifar10", "")}.get(
    size, ("imagenet", "")
  )

  def base(method, **changes):
    return {"config": f"{folder}/{method}{argument}", **changes}

  same = {"batch_size": 256} if size == "cpu" else {}
  study.changes = {**study.changes, **same}
  study.axes = {
    "loss": {
      "nt_xent": base("simclr"),
      "nt_logistic": base("nt_logistic"),
      "nt_logistic_sh": base("nt_logistic", **{"method.semi_hard": True}),
      "margin": base("margin", **{"method.semi_hard": False}),
      "margin_sh": base("margin", **{"method.semi_hard": True}),
    },
    "scale": {
      label: {"?method.temperature": SCALES[label][0], "?method.margin": SCALES[label][1]}
      for label in list(SCALES)[: NUM_SCALES[size]]
    },
    "rate": study_config.each("optimizer.base_lr", RATES[size]),
  }
  study.choose = ("scale", "rate")
  study.choose_seeds = 1
  study.x = "loss"
  study.published = [
    {"loss": loss, "value": value, "source": "SimCLR, Table 4"} for loss, value in PUBLISHED.items()
  ]
  return study
