"""What is no place in a bucket is told in a line, before anything is asked or made."""

import importlib.util
import os
import pathlib

import pytest

from contrastive_jax import errors
from contrastive_jax.buckets import address


@pytest.fixture(autouse=True)
def installed(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "s3fs" else name)


@pytest.mark.parametrize(
  "given, said",
  [
    ("gs://x/run", "'x' is no name of a bucket"),
    ("gs://", "'' is no name of a bucket"),
    ("gs://Bucket/run", "'Bucket' is no name of a bucket"),
    ("gs://bucket/a//b", "leave out empty parts"),
    ("gs://bucket/../b", "leave out empty parts"),
    ("gs://bucket/a*", "letter by letter"),
    ("gs://bucket/" + "a" * 801, "801 bytes; use at most 800"),
    ("s3://bucket/run", "pip install 'contrastive_jax[s3]'"),
    ("hdfs://bucket/run", "give a local or mounted directory"),
    ("az://bucket/run", "give a local or mounted directory"),
    ("https://bucket/run", "give a local or mounted directory"),
    ("gs:/bucket/run", "give gs://bucket/run"),
    (pathlib.Path("s3://bucket/run"), "give s3://bucket/run"),
  ],
)
def test_no_address_is_named_with_its_flag(given, said):
  with pytest.raises(errors.UserError) as refused:
    address.checked(given, "--workdir")
  assert str(refused.value).startswith("--workdir ") and said in str(refused.value)


def test_slashes_at_the_end_make_no_other_place():
  found = address.parsed("gs://bucket/a/run/", "--workdir")
  assert str(found) == "gs://bucket/a/run" and str(found / "x") == "gs://bucket/a/run/x"
  assert str(address.parsed("gs://bucket", "--workdir")) == "gs://bucket"


def test_two_addresses_never_share_a_local_folder():
  given = ("gs://bucket/a-b", "gs://bucket/a/b", "gs://bucket/a_b", "gs://bucket-a/b")
  slugs = {address.parsed(g, "--workdir").slug for g in given}
  assert len(slugs) == len(given) and not any("/" in slug for slug in slugs)


def test_etils_never_reads_buckets_with_tensorflow():
  assert os.environ["EPATH_USE_TF"] == "false"
