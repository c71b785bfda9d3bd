"""A state as files: open to other programs, and nothing but what all processes wrote."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import states
from damage import restore, same, save

from contrastive_jax import errors
from contrastive_jax.workdir import boxes, manifest, packed, part_files, state_files


def test_a_part_that_process_0_does_not_see_is_not_committed(tmp_path):
  """As where each host has a disk of its own under that name."""
  part = state_files.part_of(states.state(1))
  tables = state_files.write_part(tmp_path, part)
  (tmp_path / "parts" / "0").rename(tmp_path / "parts" / "1")
  with pytest.raises(OSError, match="model.safetensors is not there .* the same disk"):
    state_files.complete(tmp_path, part, tables, 1, None)
  assert not (tmp_path / manifest.NAME).exists()


def test_a_form_of_a_later_version_is_refused_and_no_damage(tmp_path):
  save(tmp_path, states.state(1))
  path = tmp_path / "checkpoints" / "1" / manifest.NAME
  later = json.loads(path.read_text()) | {"form": 99}
  del later["sha256"]
  path.write_text(json.dumps(later | {"sha256": manifest._digest_of_text(later)}))
  with pytest.raises(errors.UserError, match="has form 99.* use the one that wrote it, or a later"):
    restore(tmp_path, states.state(1))
  assert path.exists()


def test_a_manifest_of_the_form_before_is_read_and_so_is_its_damage_seen(tmp_path, capfd):
  """It had a line for each piece, as `part_files.write` returns it."""
  save(tmp_path, states.state(1), states.state(2))
  directory = tmp_path / "checkpoints" / "2"
  listed = manifest.read(directory)
  before = {key: value for key, value in listed.items() if key != "sha256"} | {"form": 2}
  before["files"] = {
    name: part_files.parsed(table, listed["leaves"]) for name, table in listed["files"].items()
  }
  before = json.loads(json.dumps(before))
  manifest.write(directory, before | {"sha256": manifest._digest_of_text(before)})
  assert same(restore(tmp_path, states.state(1)), states.state(2))
  path = directory / "parts/0/model.safetensors"
  content = path.read_bytes()
  path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
  assert int(restore(tmp_path, states.state(1)).step) == 1
  assert "checkpoint 2 is skipped: leaf" in capfd.readouterr().err


def test_two_arrays_of_one_name_are_refused_before_one_is_lost(tmp_path):
  state = states.state(1)
  scale = state.params["scale"]
  state = dataclasses.replace(state, memory={"bank": {"mean": scale}, "bank.mean": 2 * scale})
  with pytest.raises(errors.UserError, match="named memory.bank.mean; use keys without dots"):
    save(tmp_path, state)
  assert not (tmp_path / "checkpoints" / "1").exists()


def test_a_packed_table_is_what_it_was():
  forms = {"a": {"shape": [6, 4], "dtype": "float32"}, "b": {"shape": [], "dtype": "bfloat16"}}
  pieces = [
    part_files.Piece("a", boxes.Box((0, 2), (6, 2)), 10, ["0" * 31 + "1", "f" * 32, "1" * 32]),
    part_files.Piece("a", boxes.Box((1, 0), (2, 2)), 58, ["2" * 32]),
    part_files.Piece("b", boxes.whole(()), 74, ["3" * 32]),
  ]
  table = {"bytes": 76, "block_bytes": 16, "header": [10, "4" * 32], "pieces": pieces}
  kept = json.loads(json.dumps(packed.pack(table, sorted(forms), forms)))
  assert part_files.parsed(kept, forms) == table


def test_the_files_are_safetensors(tmp_path):
  """By the format's own words: 8 bytes of length, JSON, then the numbers without a gap."""
  state = states.state(1)
  save(tmp_path, state)
  content = (tmp_path / "checkpoints/1/parts/0/model.safetensors").read_bytes()
  length = int.from_bytes(content[:8], "little")
  header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
  assert set(header) == {"params.dense.kernel", "params.scale", "stats.mean"}
  entry = header["params.scale"]
  begin, end = entry["data_offsets"]
  assert (entry["dtype"], entry["shape"]) == ("BF16", [7])
  assert numbers[begin:end] == np.asarray(state.params["scale"]).tobytes()
  assert sorted(e["data_offsets"] for e in header.values())[0][0] == 0
  assert sum(np.diff(e["data_offsets"])[0] for e in header.values()) == len(numbers)


def test_its_library_reads_them(tmp_path):
  library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
  state = states.state(1)
  save(tmp_path, state)
  # The one leaf of bfloat16, which the library's NumPy side does not know, is in the other file.
  state = state.replace(params={"kernel": state.params["dense"]["kernel"]}, opt_state=())
  save(tmp_path / "float32", state)
  read = library.load_file(tmp_path / "float32/checkpoints/1/parts/0/model.safetensors")
  np.testing.assert_array_equal(read["params.kernel"], jax.device_get(state.params["kernel"]))
