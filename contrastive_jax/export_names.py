"""The files of an export, and how one is told from the run that it was made of."""

from collections.abc import Collection

from contrastive_jax import errors

MARK = "preprocessing.json"  # by which a folder is known as an export
FIRST = "training_config.json"  # in a bucket, by which one that was killed is known
FOLDER = "export"  # of a run, in which each form has a folder
WEIGHTS = "model.safetensors"
NAMES = (  # of all that any form writes
  *(MARK, FIRST, "README.md", "config.json"),
  *(WEIGHTS, "model.onnx", "model.stablehlo"),
)


def refuse(place: str, names: Collection[str]) -> None:
  """Raises `UserError` if a place that is asked for as a run is an export; timm has a config.json.

  Args:
    place: a folder, or gs://BUCKET/PATH.
    names: of what lies in it.
  """
  if not {MARK, FIRST} <= set(names):
    return
  file = f"a copy of its {WEIGHTS}" if "://" in place else f"{place.rstrip('/')}/{WEIGHTS}"
  other = f", or as init.path the weights alone: {file}" if WEIGHTS in names else ""
  raise errors.UserError(
    f"{place} is what contrastive_jax export has written, and no run; give the workdir of the run "
    f"itself{other}"
  )
