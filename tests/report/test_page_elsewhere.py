"""The page, and the exported backbone, of a run in a bucket and of one of several processes."""

import pathlib
import sys

import members
import pytest
import tiny_config
import whole_runs
from bucket_servers import on_s3_slowly as pytest_generate_tests  # noqa: F401

from contrastive_jax import errors
from contrastive_jax.buckets import address
from contrastive_jax.buckets.objects import Objects
from contrastive_jax.report import write
from contrastive_jax.training import trainer
from contrastive_jax.weights import export, folder, start
from contrastive_jax.workdir import loading

FILES = {"model.safetensors": b"1", "training_config.json": b"{}", "preprocessing.json": b"{}"}


def test_an_export_in_a_bucket_is_replaced_and_its_mark_comes_last(server, monkeypatch):
  place = server.address("run/export/own")
  folder.check(place)
  folder.write(place, FILES | {"config.json": b"{}"})
  folder.check(place)
  there, put = [], Objects.put

  def seen(self, name, content):
    there.append(sorted(server.objects()))
    put(self, name, content)

  monkeypatch.setattr(Objects, "put", seen)
  folder.write(place, FILES | {"model.safetensors": b"2"})
  assert len(there) == 3 and not any("preprocessing.json" in " ".join(names) for names in there)
  names = sorted(FILES)
  assert sorted(server.objects()) == [f"run/export/own/{name}" for name in names]
  assert server.objects()["run/export/own/model.safetensors"] == b"2"


def test_a_killed_export_is_replaced_and_what_others_put_there_is_not(server, monkeypatch):
  place = server.address("run/export/own")
  real, count = Objects.put, []

  def killed(self, name, content):
    count.append(name)
    if len(count) == 2:
      raise KeyboardInterrupt
    real(self, name, content)

  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(Objects, "put", killed)
    folder.write(place, FILES)
  folder.check(place)
  folder.write(place, FILES)
  assert server.objects()["run/export/own/model.safetensors"] == b"1"
  for name in ("mine.txt", "preprocessing.json"):
    Objects(address.parsed(server.address("other"), "it")).put(name, b"mine")
    with pytest.raises(errors.UserError, match=r"other holds other files \(mine.txt\), which an"):
      folder.check(server.address("other"))
  Objects(address.parsed(server.address("hub"), "it")).put("model.safetensors", b"theirs")
  with pytest.raises(errors.UserError, match=r"hub holds other files \(model.safetensors\)"):
    folder.check(server.address("hub"))


def test_an_export_in_a_bucket_is_not_taken_for_a_run_nor_trained_in(server):
  place = server.address("run/export/own")
  folder.write(place, FILES | {"config.json": b'{"architecture": "resnet18"}'})
  for read in (loading.load_run, start.read):
    with pytest.raises(errors.UserError) as refused:
      read(place)
    assert str(refused.value).removeprefix(f"init.path {place}: ") == (
      f"{place} is what contrastive_jax export has written, and no run; give the workdir of the "
      "run itself, or as init.path the weights alone: a copy of its model.safetensors"
    )
  before = Objects(address.parsed(place, "it")).listed()
  with pytest.raises(errors.UserError, match="is what contrastive_jax export has written"):
    trainer.train(tiny_config.tiny(), place, whole_runs.one_device())
  assert Objects(address.parsed(place, "it")).listed() == before


@pytest.mark.slow
@pytest.mark.s3_thorough
def test_a_run_in_a_bucket_leaves_its_page_and_its_backbone_there(server, tmp_path, caplog):
  workdir = server.address("run")
  config = tiny_config.tiny(epochs=1, checkpoint__export=("own",), log__tensorboard=True)
  trainer.train(config, workdir, whole_runs.one_device())
  before = set(server.objects())
  write.at_end(workdir)
  assert "cannot be drawn" not in caplog.text
  new = set(server.objects()) - before
  assert "run/report/index.html" in new and sum("run/tensorboard/" in name for name in new) == 1
  page = server.objects()["run/report/index.html"].decode()
  assert f"contrastive_jax eval --workdir={workdir}" in page and "could not be drawn" not in page
  assert "<h1>Run run</h1>" in page and str(tmp_path) not in page
  assert "Where the time went" in page and "no time.jsonl" not in page
  Objects(address.parsed(server.address("site"), "it")).put("index.html", b"theirs")
  with pytest.raises(errors.UserError, match="site/index.html is there, and nothing tells that"):
    write.write(workdir, out=server.address("site"), images=32)
  assert server.objects()["site/index.html"] == b"theirs"
  written = write.write(workdir, out=str(tmp_path / "page"), images=32)
  assert pathlib.Path(written).read_text().endswith("</html>\n")
  found = export.run(workdir, "own", out=str(tmp_path / "own"))
  there = server.objects()
  for path in pathlib.Path(found).iterdir():
    if path.name != "README.md":  # which has the command
      assert path.read_bytes() == there[f"run/export/own/{path.name}"], path.name


@pytest.mark.slow
def test_a_run_of_two_processes_leaves_its_page_and_its_backbone(tmp_path):
  code = """
import logging
import tiny_config
from contrastive_jax.report import write
from contrastive_jax.training import trainer
logging.basicConfig(level=logging.WARNING)
trainer.train(tiny_config.tiny(epochs=1, checkpoint__export=("own",)), sys.argv[3])
write.at_end(sys.argv[3])
"""
  said = members.two(code, str(tmp_path))
  assert not any("cannot be drawn" in text for text in said), said
  page = (tmp_path / "report" / "index.html").read_text()
  assert "could not be drawn" not in page and "Of 32 images of split" in page
  assert (tmp_path / "export" / "own" / "preprocessing.json").exists()
  command = "import sys; from contrastive_jax import cli; sys.stdout = sys.stderr; cli.main()"
  words = ["report", str(tmp_path), f"--out={tmp_path / 'again'}", "--num_processes=2"]
  words += [f"--coordinator=127.0.0.1:{members.free_port()}"]
  started = [
    members.start(sys.executable, "-c", command, *words, f"--process_id={i}") for i in range(2)
  ]
  codes, said = members.ends(started)
  assert codes == [0, 0], said
  assert [text.count("report: ") for text in said] == [1, 0], said
  assert "could not be drawn" not in (tmp_path / "again" / "index.html").read_text()
