"""`contrastive_jax compare` prints, writes, and answers mistakes with one line."""

import pytest
import run_folders

from contrastive_jax import cli


@pytest.fixture
def runs(tmp_path):
  for name, top1 in (("first", 0.5), ("second", 0.6)):
    run_folders.write_run(tmp_path / name, top1=top1)
  return [str(tmp_path / "first"), str(tmp_path / "second")]


def test_tables_are_printed(runs, capfd):
  cli.main(["compare", *runs])
  out = capfd.readouterr().out
  assert "\n  run     first  at 25 %" in out
  assert "knn/knn.h.checkpoint  50.00 ± 1.58 (1,000 images)  60.00 ± 1.55 (1,000 images)" in out


def test_files_are_written_wherever_the_flag_stands(runs, tmp_path, capfd):
  out = tmp_path / "out"
  cli.main(["compare", runs[0], f"--out={out}", runs[1], "--metric=loss"])
  printed = capfd.readouterr().out
  assert f"{out / 'index.html'}" in printed and "contrastive_accuracy" not in printed
  page = (out / "index.html").read_text()
  assert f"contrastive_jax compare {runs[0]} --out={out} {runs[1]} --metric=loss" in page


def test_help_names_its_flags(capfd):
  cli.main(["compare", "--help"])
  out = capfd.readouterr().out
  assert "--out=..." in out and "--metric=..." in out and "RUN ..." in out


@pytest.mark.parametrize(
  ("words", "said"),
  [
    ([], "no run is given; e.g. contrastive_jax compare runs/first runs/second"),
    (["--out=x"], "no run is given"),
    (["{first}", "--oput=x"], "there is no flag --oput; did you mean --out?"),
    (["{first}", "--config=x"], "Unknown command line flag 'config'"),
    (["{first}", "--metric"], "Missing value for flag --metric"),
    (["{first}", "--metric=nothing"], "no run has the metric nothing; there are "),
    (["{first}", "{first}"], "is given twice; give each once"),
    (["{first}", "az://bucket/run"], "run az://bucket/run is no path of a file system"),
    (["{first}", "{first}/config.json"], "config.json is no folder"),
    (["{first}", "--out={first}/config.json"], "config.json (File exists); give another --out"),
  ],
)
def test_a_mistake_is_answered_by_one_line(words, said, runs, capfd):
  with pytest.raises(SystemExit) as left:
    cli.main(["compare", *(word.format(first=runs[0]) for word in words)])
  shown = capfd.readouterr()
  (line,) = shown.err.splitlines()
  assert left.value.code == 2 and line.startswith("error: ") and said in line
  assert shown.out == ""
