"""Worker processes decode, and run nothing of the script that started them."""

import os
import subprocess
import sys
from multiprocessing import spawn

import pytest
from conftest import REPOSITORY

from contrastive_jax.data import workers

# Without a main guard, and with a source of its own.
SCRIPT = """
import numpy as np
from contrastive_jax.data import pipeline

print("begun", flush=True)


class Images:
  num_classes, label_names, factors, native_size_px = 0, (), {}, 2

  def __len__(self):
    return 5

  def __getitem__(self, index):
    return {"image": np.zeros((2, 2, 3), np.uint8), "label": -1, "index": index}


batches = pipeline.eval_batches(Images(), batch_size=2, cache="none", num_workers=2)
print([batch["index"].tolist() for batch in batches], flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("given", ["file", "stdin"])
def test_a_script_without_a_main_guard_may_have_workers(given, tmp_path):
  script = tmp_path / "script.py"
  script.write_text(SCRIPT)
  done = subprocess.run(
    [sys.executable, str(script) if given == "file" else "-"],
    input=SCRIPT if given == "stdin" else "",
    env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.stdout == "begun\n[[0, 1], [2, 3], [4, -1]]\n", done.stderr
  assert "Traceback" not in done.stderr


def test_only_workers_do_without_main_and_only_meanwhile(monkeypatch):
  monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
  monkeypatch.setattr(sys.modules["__main__"], "__file__", "script.py", raising=False)

  def imports_main(name):
    return "init_main_from_path" in spawn.get_preparation_data(name)

  original = spawn.get_preparation_data
  with workers.without_main():
    with workers.without_main():
      assert not imports_main("grain-process-prefetch-0")
    assert not imports_main("grain-process-prefetch-0")
    assert imports_main("Process-1")
  assert spawn.get_preparation_data is original
  assert imports_main("grain-process-prefetch-0")
