"""Autoencoder on CIFAR-10.

python train.py --config=configs/autoencoder_cifar10.py --workdir=runs/autoencoder \\
  --config.data.tfds.path=DIR    # prepared: see "Data" in README.md
python train.py --config=configs/autoencoder_cifar10.py:cpu ...
"""

from configs import common


def get_config(size="gpu"):
  config = common.cifar10("autoencoder", "crop_only", size)
  if size == "cpu":
    config.method.decoder_width = 64
  return config
