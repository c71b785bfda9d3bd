"""Published peaks of the chips that runs are planned for: the one table, with its sources."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Chip:
  """Peaks of one chip.

  Attributes:
    bf16_flops: a second, dense bfloat16.
    hbm_gib: capacity. The pages write GB; the compiler's own limit (`compiler_gib`) shows GiB.
    compiler_gib: of HBM that the compiler of libtpu 0.0.42 gives to one program; its refusal of a
      larger one says so. None: a device that is there tells.
    hbm_bytes: a second.
    ici_bytes: a second out of one chip over all its links, which is also what comes in.
    source: the vendor's page.
    dims: axes of a slice.
    example: a slice that the compiler takes.
    options: further arguments of the topology.
  """

  bf16_flops: float
  hbm_gib: float
  compiler_gib: float | None
  hbm_bytes: float
  ici_bytes: float
  source: str
  dims: int = 0
  example: str = ""
  options: tuple[tuple[str, object], ...] = ()


# Inter-chip bandwidth: the pages of v5e, v5p and v6e give both directions together (400, 1200 and
# 800 GB/s); half of it is counted here. That of v4 gives none: 1.1 PB/s of all-reduce bandwidth
# over 4096 chips, which is how the figures of v5e (51.2 TB/s, 256) and v6e (102.4, 256) relate.
CHIPS = {
  "v4": Chip(
    275e12,
    32,
    30.75,
    1200e9,
    1.1e15 / 4096,
    "https://cloud.google.com/tpu/docs/v4",
    3,
    "4x4x4",
    # Both cores of a chip as one device, as on the machines that are rented; else it is two.
    (("chip_config_name", "megacore"),),
  ),
  "v5e": Chip(197e12, 16, 15.75, 819e9, 200e9, "https://cloud.google.com/tpu/docs/v5e", 2, "4x4"),
  "v5p": Chip(
    459e12, 95, 95.74, 2765e9, 600e9, "https://cloud.google.com/tpu/docs/v5p-training", 3, "2x2x2"
  ),
  "v6e": Chip(
    918e12, 32, 31.25, 1638e9, 400e9, "https://docs.cloud.google.com/tpu/docs/v6e.md.txt", 2, "4x4"
  ),
}

# GPUs on SXM boards, for `--plan=here`. The pages give bfloat16 with sparsity, which is twice the
# dense peak, and NVLink in both directions together; half of each is counted here.
_NVIDIA = "https://www.nvidia.com/en-us/data-center"
GPUS = {
  "A100-40": Chip(312e12, 40, None, 1555e9, 300e9, f"{_NVIDIA}/a100/"),
  "A100-80": Chip(312e12, 80, None, 2039e9, 300e9, f"{_NVIDIA}/a100/"),
  "H100": Chip(989e12, 80, None, 3350e9, 450e9, f"{_NVIDIA}/h100/"),
  "H200": Chip(989e12, 141, None, 4800e9, 450e9, f"{_NVIDIA}/h200/"),
}
PEAKS = CHIPS | GPUS

_KINDS = {
  "TPU v4": "v4",
  "TPU v5 lite": "v5e",
  "TPU v5": "v5p",
  "TPU v6 lite": "v6e",
  "NVIDIA A100-SXM4-40GB": "A100-40",
  "NVIDIA A100-SXM4-80GB": "A100-80",
  "NVIDIA H100 80GB HBM3": "H100",
  "NVIDIA H200": "H200",
}


def of_device(device_kind: str) -> Chip | None:
  """Returns the chip that JAX calls `device_kind`, None if its peaks are not in the table."""
  return PEAKS.get(_KINDS.get(device_kind, ""))
