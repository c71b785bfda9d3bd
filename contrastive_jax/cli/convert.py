"""`contrastive_jax convert FILE`: weights in a file that may hold programs, as arrays alone."""

from collections.abc import Sequence

from absl import flags

from contrastive_jax import errors, paths
from contrastive_jax.cli import alone, own_flags, texts
from contrastive_jax.cli.leave import leave

_EXAMPLE = "contrastive_jax convert resnet50.pth --out=resnet50.safetensors"


def main(words: Sequence[str]) -> None:
  """Does what the words after `convert` say."""
  rows = [("FILE", "of PyTorch, of Lightning, or a pickle of NumPy's arrays")]
  if any(word in texts.HELP for word in words):
    print(own_flags.help(texts.CONVERT, _EXAMPLE, _defined(), *rows), end="")
    return
  try:
    file, out = understood(words)
  except errors.UserError as error:
    leave(f"error: {error}", errors.EXIT_USER_ERROR)
  alone.run(lambda: _convert(file, out), "nothing was written")


def understood(words: Sequence[str]) -> tuple[str, str | None]:
  """Returns the file, and the one to write. Raises `UserError`."""
  given, rest = own_flags.understood("convert", words, _defined())
  if len(rest) != 1:
    said = "no file is given" if not rest else f"{len(rest)} files are given"
    raise errors.UserError(f"{said}; give one, e.g. {_EXAMPLE}")
  out = given["out"].value
  return paths.local(rest[0], "FILE"), out and paths.local(out, "--out")


def _convert(file: str, out: str | None) -> None:
  from contrastive_jax.weights import convert

  convert.run(file, out)


def _defined() -> flags.FlagValues:
  values = flags.FlagValues()
  flags.DEFINE_string("out", None, "file (default: FILE with .safetensors)", flag_values=values)
  return values
