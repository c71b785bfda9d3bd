"""Runs in buckets beside runs of this machine: the same tables, called by their addresses."""

import pathlib

import pytest
import run_folders
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401

from contrastive_jax import cli, paths
from contrastive_jax.buckets import objects
from contrastive_jax.buckets.address import parsed


def test_a_run_in_a_bucket_is_compared_as_a_local_one(server, tmp_path, capfd):
  for name, top1 in (("first", 0.5), ("second", 0.6)):
    run_folders.write_run(tmp_path / name, top1=top1)
  there = objects.Objects(parsed(server.address("runs"), "run"))
  for path in (tmp_path / "second").rglob("*"):
    if path.is_file():
      there.put(str(path.relative_to(tmp_path)), path.read_bytes())
  local = [str(tmp_path / name) for name in ("first", "second")]
  cli.main(["compare", *local])
  expected = capfd.readouterr().out
  given = server.address("runs/second")
  cli.main(["compare", local[0], given, f"--out={tmp_path / 'out'}"])
  assert capfd.readouterr().out.partition("\nwritten: ")[0] == expected
  assert f",{given}," in (tmp_path / "out" / "table.csv").read_text()
  assert not list(pathlib.Path(paths.cache(), "reads").iterdir()), "nothing stays"


def test_a_bucket_without_a_run_is_one_line_with_its_address(server, tmp_path, capfd):
  run_folders.write_run(tmp_path / "first", top1=0.5)
  given = server.address("nothing")
  for words, said in (
    ([given], f"{given} holds no run"),
    ([given] * 2, f"run {given} is given twice"),
  ):
    with pytest.raises(SystemExit) as left:
      cli.main(["compare", str(tmp_path / "first"), *words])
    (line,) = capfd.readouterr().err.splitlines()
    assert left.value.code == 2 and said in line
