"""Installs contrastive_jax; what each dependency is for stands in CONTRIBUTING.md."""

import pathlib

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent

INSTALL = [
  "jax>=0.10.2,<0.13",
  "flax>=0.12.8,<0.13",
  "optax>=0.2.8,<0.3",
  "orbax-checkpoint>=0.12.8,<0.13",
  "grain>=0.2.18,<0.3",
  "array-record>=0.8",
  "cloudpickle>=3.1",
  "dm-pix>=0.4.5,<0.5",
  "etils[epath]>=1.12",
  "ml-collections>=1.1",
  "absl-py>=2.1",
  "jaxtyping>=0.3",
  "numpy>=2.0",
  "xxhash>=3.4",
  "scipy>=1.13",
  "pillow>=11",
  "matplotlib>=3.9",
  "tensorboardX>=2.6",
]
GCS, S3 = ["gcsfs>=2026.9"], ["s3fs>=2026.9"]
TFDS = ["tensorflow-datasets>=4.9.10", "array-record>=0.8", "importlib-resources>=6.4"]
PARQUET, SCANS = ["pyarrow>=18"], ["tifffile>=2024.8.10", "imagecodecs>=2024.6.1"]
# cykooz.resizer has no wheel for Linux on ARM.
FAST = [
  "simplejpeg>=1.9",
  "cykooz.resizer>=4.0; sys_platform != 'linux' or platform_machine == 'x86_64'",
]
ONNX, STABLEHLO = ["onnx>=1.17", "onnxruntime>=1.20"], ["flatbuffers>=24.3"]

setup(
  name="contrastive_jax",
  version="0.1.0",
  description="Contrastive learning of image representations in JAX, from a laptop to a TPU pod",
  long_description=(HERE / "README.md").read_text(encoding="utf-8"),
  long_description_content_type="text/markdown",
  author="The contrastive_jax maintainers",
  license="Apache-2.0",
  license_files=["LICENSE"],
  keywords=[
    "self-supervised learning",
    "contrastive learning",
    "representation learning",
    "computer vision",
    "jax",
    "flax",
    "tpu",
  ],
  classifiers=[
    "Development Status :: 4 - Beta",
    "Environment :: Console",
    "Intended Audience :: Science/Research",
    "Operating System :: MacOS",
    "Operating System :: POSIX :: Linux",
    "Programming Language :: Python :: 3",
    "Programming Language :: Python :: 3.11",
    "Programming Language :: Python :: 3.12",
    "Programming Language :: Python :: 3.13",
    "Topic :: Scientific/Engineering :: Artificial Intelligence",
    "Topic :: Scientific/Engineering :: Image Recognition",
  ],
  python_requires=">=3.11",
  packages=find_packages(include=["contrastive_jax", "contrastive_jax.*"]),  # configs by its link
  entry_points={"console_scripts": ["contrastive_jax = contrastive_jax.cli:main"]},
  install_requires=INSTALL,
  extras_require={
    "tfds": TFDS,
    "parquet": PARQUET,
    "scans": SCANS,
    "gcs": GCS,
    "s3": S3,
    "tpu": ["jax[tpu]>=0.10.2,<0.13"],
    "cuda13": ["jax[cuda13]>=0.10.2,<0.13"],
    "ray": ["ray>=2.50"],
    "prepare": [*TFDS, "tensorflow>=2.18"],
    "fast": FAST,
    "tsne": ["scikit-learn>=1.5"],
    "umap": ["umap-learn>=0.5.7"],
    "wandb": ["wandb>=0.19"],
    "slurm": ["submitit>=1.5"],
    "search": ["optuna>=4.0"],
    "convert": ["torch>=2.5"],
    "onnx": ONNX,
    "stablehlo": STABLEHLO,
    "oracle": ["torch>=2.5"],
    "test": [
      *(*TFDS, *PARQUET, *SCANS, *GCS, *S3, *ONNX, *STABLEHLO, *FAST, "safetensors>=0.6"),
      *("gcp-storage-emulator>=2026.7.19", "moto[s3]>=5.2.5", "flask>=3.1", "flask-cors>=6.0"),
      *("pytest>=8.3", "pytest-xdist>=3.6", "ruff==0.17.6", "setuptools>=77"),
    ],
    "docs": ["sphinx>=9.0", "myst-parser>=5.0", "furo>=2025.12"],
  },
)
