"""What is printed for schedulers, what is planned, and what each place of a machine gets."""

import json
import pathlib
import re
import subprocess
import sys

import commands
import pytest
import small
import stand_in

from contrastive_jax import errors
from contrastive_jax.study import cells, place, plans, runner, submit
from contrastive_jax.study import config as study_config

TINY = "--config=studies/quickstart:tiny"


def test_a_slurm_array_has_a_task_for_each_shard(capfd, tmp_path):
  commands.run("study", [TINY, "--workdir=runs/a b", "--jobs=2", "--shard=0/9", "--slurm=4"])
  out = capfd.readouterr().out
  assert out.startswith("#!/bin/bash\n#SBATCH --job-name=quickstart\n#SBATCH --array=0-3\n")
  (line,) = [line for line in out.splitlines() if line.startswith("srun ")]
  assert line == (
    f"srun contrastive_jax study {TINY} '--workdir=runs/a b' --jobs=2"
    " --shard=$SLURM_ARRAY_TASK_ID/4"
  )
  script = tmp_path / "script"
  script.write_text(out)
  subprocess.run(["bash", "-n", script], check=True)


def test_a_jobset_has_a_completion_index_for_each_shard(capfd):
  commands.run("study", [TINY, "--workdir=/mnt/runs", "--jobset=4"])
  out = capfd.readouterr().out
  assert "completionMode: Indexed\n        completions: 4\n        parallelism: 4\n" in out
  (command,) = re.findall(r"command: (\[.*\])", out)
  assert json.loads(command) == [
    "/bin/sh",
    "-c",
    f"exec contrastive_jax study {TINY} --workdir=/mnt/runs --shard=$JOB_COMPLETION_INDEX/4",
  ]


def test_shards_are_submitted_as_jobs_and_give_one_report(tmp_path):
  pytest.importorskip("submitit")
  words = ["--submit=2", "--submit_to=local", "--submit_with=timeout_min=5", "--shard=1/9"]
  done = small.start(small.write(tmp_path), tmp_path / "study", *words)
  said = done.communicate(timeout=300)[0]
  assert done.returncode == 0, said
  assert len(re.findall(r"^shard [01]/2: job \d+", said, re.MULTILINE)) == 2, said
  rows = (tmp_path / "study" / "report" / "table.csv").read_text().splitlines()
  assert len(rows) > 4


def test_a_job_fails_with_its_command():
  with pytest.raises(RuntimeError, match="study --jbos=3 ended with 2"):
    submit.Shard(["study", "--jbos=3"])()


def test_what_cannot_be_submitted_is_told_in_a_line(monkeypatch, tmp_path):
  with pytest.raises(errors.UserError, match="--submit_with=timeout is not KEY=VALUE"):
    submit._setting("timeout")
  monkeypatch.setitem(sys.modules, "submitit", None)
  with pytest.raises(errors.UserError, match=r"pip install -e '.\[slurm\]'"):
    submit.submit(["study"], 2, tmp_path, "name", "slurm", [])


def test_cells_whose_steps_are_alike_share_a_plan_and_a_table_says_what_fits(tmp_path, monkeypatch):
  asked = []

  def compile_plan(command, **options):
    (folder,) = [w.removeprefix("--workdir=") for w in command if w.startswith("--workdir=")]
    asked.append([word for word in command if "batch_size" in word or "--plan" in word])
    limit = 2**30 * 10
    fits = {"memory": {"total": limit / 4}, "memory_limit": limit, "warnings": ["is slow"]}
    small_chip = {"memory": {"total": limit * 2}, "warnings": ["does not fit: needs 20 GiB"]}
    found = [
      {"topology": "v5e:4x4", "hours_at_least": 1.5} | fits,
      {"topology": "cpu:8", "memory_limit": None} | fits | {"memory_limit": None},
      {"topology": "v4:2x2x1", "memory_limit": limit} | small_chip,
    ]
    (tmp_path / "plans").mkdir(exist_ok=True)
    pathlib.Path(folder).mkdir()
    pathlib.Path(folder, "plan.json").write_text(json.dumps({"plans": found}))
    return subprocess.CompletedProcess(command, 0, "", "")

  monkeypatch.setattr(plans.subprocess, "run", compile_plan)
  found = list(plans.table(tmp_path, cells.cells(small.study()), "v5e:4x4,cpu:8", "100:10"))
  plan = ["--plan=v5e:4x4,cpu:8", "--plan_images=100:10"]
  assert asked == [[f"--config.batch_size={batch}", *plan] for batch in (64, 128)]
  assert found[0].startswith("| cell | topology |")
  first = "batch=64,rate=0.1,seed=0 (and 3 like it)"
  assert found[2:5] == [
    f"| {first} | v5e:4x4 | 2.50 | 10.00 | yes | 1.50 | 1 |",
    f"| {first} | cpu:8 | 2.50 | - | - | - | 1 |",
    f"| {first} | v4:2x2x1 | 20.00 | 10.00 | no | - | 1 |",
  ]


def test_a_plan_that_cannot_be_made_is_told_with_its_cell(tmp_path, monkeypatch):
  answer = subprocess.CompletedProcess([], 2, "", "error: --plan=v9:4x4: 'v9' is unknown\n")
  monkeypatch.setattr(plans.subprocess, "run", lambda *_, **__: answer)
  with pytest.raises(errors.UserError) as refused:
    list(plans.table(tmp_path, cells.cells(small.study()), "v9:4x4"))
  assert str(refused.value).startswith("plan of cell batch=64,rate=0.1,seed=0: --plan=v9:4x4")


def test_each_place_of_a_machine_has_its_number_in_the_environment(tmp_path):
  seen = []

  class Children(stand_in.Children):
    def run(self, words, log, held, extra):
      seen.append(dict(extra))
      return super().run(words, log, held, extra)

  made = study_config.resolve(small.study(choose=(), line="rate"))
  variables = ["CUDA_VISIBLE_DEVICES={job}", "PORT=80{job}0"]
  run = runner.Runner(
    made, place.Place(tmp_path), cells.cells(made), Children(), jobs=2, variables=variables
  )
  run.run()
  assert {"CUDA_VISIBLE_DEVICES": "0", "PORT": "8000"} in seen
  assert all(set(extra) == {"CUDA_VISIBLE_DEVICES", "PORT"} for extra in seen)
