"""The few operations on objects, on servers that refuse, are away, or are changed by others."""

import threading

import pytest
from bucket_servers import on_both as pytest_generate_tests  # noqa: F401

from contrastive_jax import errors
from contrastive_jax.buckets import address, objects

ODD = (b"", b"\r", b"a\r", b"\r\n", b"\n", b"--==0==", b"a\n--==0==--\n", bytes(range(256)) * 9)


@pytest.fixture
def place(server):
  return objects.Objects(address.parsed(server.address("place"), "--workdir"))


def test_what_is_put_comes_back_whatever_it_is(place):
  for number, content in enumerate(ODD):
    place.put(f"{number}", content)
    assert place.get(f"{number}") == content
  assert place.listed() == {f"{n}": len(content) for n, content in enumerate(ODD)}


def test_one_alone_can_create_an_object(place):
  won = []

  def create(number):
    try:
      place.put("claim", b"%d" % number, create=True)
    except FileExistsError:
      return
    won.append(number)

  threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert [b"%d" % n for n in won] == [place.get("claim")]


def test_a_create_whose_answer_was_lost_counts_as_done(place):
  place.put("claim", b"mine", create=True)
  place.put("claim", b"mine", create=True)


def test_listings_and_objects_are_never_stale(place, server):
  place.put("a", b"1")
  assert place.listed() == {"a": 1} and place.get("a") == b"1"
  another_process = objects._system.__wrapped__(server.kind)
  another_process.pipe_file(f"{place.address}/a", b"22")
  another_process.pipe_file(f"{place.address}/b", b"333")
  assert place.listed() == {"a": 2, "b": 3} and place.get("a") == b"22"
  server.delete("place/a")
  assert place.listed() == {"b": 3}
  with pytest.raises(FileNotFoundError):
    place.get("a")


def test_a_place_lists_nothing_of_those_whose_names_begin_alike(place):
  place.put("a", b"1")
  objects.Objects(address.parsed(f"{place.address}2", "--workdir")).put("b", b"1")
  assert place.listed() == {"a": 1} and place.listed("nothing") == {}


def test_a_folder_goes_up_and_comes_back(place, tmp_path):
  (tmp_path / "up" / "d").mkdir(parents=True)
  (tmp_path / "up" / "x").write_bytes(b"x" * 1000)
  (tmp_path / "up" / "d" / "y").write_bytes(b"")
  found = place.upload(tmp_path / "up", "there")
  assert sorted(found) == ["d/y", "x"]
  for name, expected in found.items():
    assert place.download(f"there/{name}", tmp_path / "down" / name, expected[0]) == expected
  assert (tmp_path / "down" / "x").read_bytes() == b"x" * 1000
  assert [p.name for p in (tmp_path / "down").rglob("*.part")] == []


@pytest.mark.filterwarnings("ignore:Sending a large body")  # aiohttp, of what gcsfs does
def test_a_large_file_goes_in_pieces(place, tmp_path, monkeypatch):
  monkeypatch.setattr(objects, "_PIECE", 2**22)
  content = bytes(range(256)) * 2**15 + b"\r"  # 8 MiB: above what gcsfs puts in one request
  (tmp_path / "x").write_bytes(content)
  found = place.upload(tmp_path, "there")
  assert place.get("there/x") == content and found["x"][0] == len(content)
  assert place.download("there/x", tmp_path / "y", len(content)) == found["x"]
  assert (tmp_path / "y").read_bytes() == content


def test_uploads_that_a_killed_process_left_open_are_given_up(place, server):
  if server.kind != "s3":
    return place.abandon_uploads()  # the other server drops them by itself
  for key in ("place/x", "another/x"):
    place._system.call_s3("create_multipart_upload", Bucket="test-bucket", Key=key)
  place.abandon_uploads()
  assert [upload.key_name for upload in server.uploads()] == ["another/x"]
  place._system.clear_multipart_uploads("test-bucket")


def test_an_upload_is_read_back_and_never_overwrites(place, tmp_path):
  (tmp_path / "x").write_bytes(b"mine")
  place.put("there/x", b"others")
  with pytest.raises(errors.SaveFailed, match="there/x is not what was written"):
    place.upload(tmp_path, "there")
  assert place.get("there/x") == b"others"


def test_no_bucket_is_made_for_a_name_that_is_wrong(server):
  wrong = objects.Objects(address.parsed(f"{server.kind}://no-such-bucket/run", "--workdir"))
  with pytest.raises(errors.UserError, match="there is no bucket no-such-bucket"):
    with objects.opening(wrong.address, "workdir"):
      wrong.listed()
  with pytest.raises(errors.SaveFailed, match="run/a: there is no bucket no-such-bucket"):
    with errors.saving("metrics"):  # of a bucket that is gone while a run goes on
      wrong.put("a", b"1")
  assert not any(
    "no-such-bucket" in path and m == "PUT" and path.count("/") < 2 for m, path in server.requests
  )


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_refused_is_not_asked_again(place, server, status):
  server.before = lambda method, path: status
  for act in (place.listed, lambda: place.get("a"), lambda: place.put("a", b"1")):
    server.requests.clear()
    with pytest.raises(PermissionError):
      act()
    assert len(server.requests) <= 2
  with pytest.raises(errors.UserError, match="may not be used .*set credentials and permissions"):
    with objects.opening(place.address, "workdir"):
      place.listed()


@pytest.mark.slow
def test_a_server_that_is_away_is_waited_for_or_named(place, server, monkeypatch):
  place.put("a", b"1")
  monkeypatch.setattr(objects, "PAUSES_S", (0.5,) * 20)
  with server.away(2.0):
    assert place.get("a") == b"1"
  if server.kind == "gs":
    return  # gcsfs itself waits for half a minute before it says so
  monkeypatch.setattr(objects, "PAUSES_S", ())
  server.stop()
  try:
    with pytest.raises(errors.SaveFailed, match="place/b cannot be written .*the same command"):
      place.put("b", b"1")
    with pytest.raises(errors.ReadFailed, match="place/a cannot be read .*the same command"):
      place.get("a")
  finally:
    server.start()
