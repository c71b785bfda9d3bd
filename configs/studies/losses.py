"""NT-Xent, NT-Logistic and the margin loss, with and without semi-hard mining (SimCLR, Table 4).

contrastive_jax study --config=studies/losses:cpu --workdir=runs/losses     # CIFAR-10, ResNet-8
contrastive_jax study --config=studies/losses --workdir=runs/losses_gpu     # ResNet-18
contrastive_jax study --config=studies/losses:paper --workdir=runs/losses_paper   # ImageNet

Each at its best learning rate, and at its best temperature or margin, among those that the paper
searched (Appendix B.10) or on a CPU two of them, chosen on training images held out.
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
SCALES = {"cpu": ("first", "second"), "gpu": ("first", "second", "third")}
TEMPERATURES = {"first": 0.2, "second": 0.5, "third": 0.1, "fourth": 1.0}
MARGINS = {"first": 0.4, "second": 0.8, "third": 0.0, "fourth": 1.6}


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
    "rate": study_config.each("optimizer.base_lr", RATES[size]),
  }
  study.choose = ("rate",)
  study.x = "loss"
  study.published = [
    {"loss": loss, "value": value, "source": "SimCLR, Table 4"} for loss, value in PUBLISHED.items()
  ]
  return study
