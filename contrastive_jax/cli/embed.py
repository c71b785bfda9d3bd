"""`contrastive_jax embed`: features of images as a file, and `neighbours`: a search among them."""

from absl import flags

from contrastive_jax import config_files, errors, paths
from contrastive_jax.cli.command import Asked, Command
from contrastive_jax.evaluation import config
from contrastive_jax.evaluation.unread import of_evaluation


def _define_images(values: flags.FlagValues) -> None:
  given = {"flag_values": values}
  flags.DEFINE_string(
    "images", "config", "a folder of images; config: those of the run, or of config.data", **given
  )
  flags.DEFINE_string("split", "train", "train or test, as the config names them", **given)


def _define_embed(values: flags.FlagValues) -> None:
  _define_images(values)
  flags.DEFINE_string(
    "out", None, "the file: NAME.npz, NAME.safetensors or NAME.parquet", flag_values=values
  )
  flags.DEFINE_list("layers", [], "for --config.layers, e.g. h,z", flag_values=values)


def _define_neighbours(values: flags.FlagValues) -> None:
  _define_images(values)
  given = {"flag_values": values}
  flags.DEFINE_list("query", [], "files of images, or numbers of images of the set", **given)
  flags.DEFINE_integer("k", 8, "neighbours of each", lower_bound=1, **given)
  flags.DEFINE_string("out", "neighbours.png", "the picture, a PNG", **given)


def _embed(asked: Asked) -> None:
  from contrastive_jax.embedding import embed

  given, config = asked.flags, asked.config
  if not given["out"].value:
    raise errors.UserError("--out is missing; give a file, e.g. --out=features.npz")
  if given["layers"].value:
    config.layers = tuple(given["layers"].value)
  embed.run(
    config, given["workdir"].value, paths.local(given["out"].value, "--out"), **_images(given)
  )


def _neighbours(asked: Asked) -> None:
  from contrastive_jax.embedding import neighbours

  given = asked.flags
  if not given["query"].value:
    raise errors.UserError("--query is missing; give a file or a number, e.g. --query=cat.jpg,17")
  neighbours.run(
    asked.config,
    given["workdir"].value,
    given["query"].value,
    paths.local(given["out"].value, "--out"),
    k=given["k"].value,
    **_images(given),
  )


def _images(given: flags.FlagValues) -> dict[str, str]:
  images = given["images"].value
  if not images:
    raise errors.UserError("--images is empty; give a folder, or config for the run's own images")
  return {"images": images, "split": given["split"].value}


_COMMON = {
  "schema": config,
  "kind": config_files.EVALUATIONS,
  "unread": of_evaluation,
  "default_config": "eval/knn",
  "in_buckets": lambda given: True,
}

EMBED = Command(
  name="embed",
  line="Writes the features of images as a file.",
  example="contrastive_jax embed --workdir=runs/first --images=photos --out=features.npz",
  run=_embed,
  define=_define_embed,
  interrupted="what was computed lies beside --out, and the same command goes on from there",
  **_COMMON,
)

NEIGHBOURS = Command(
  name="neighbours",
  line="Draws the images that are nearest to a query.",
  example="contrastive_jax neighbours --workdir=runs/first --images=photos --query=cat.jpg",
  run=_neighbours,
  define=_define_neighbours,
  interrupted="nothing was written; the same command begins again",
  **_COMMON,
)
