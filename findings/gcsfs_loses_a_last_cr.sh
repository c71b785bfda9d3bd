#!/bin/sh
# gcsfs puts a small object so that a reader that follows the standard drops a last byte of 13 (CR).
#
# Version:  gcsfs 2026.10.1 (`simple_upload`), Python 3.11, with
#           gcp-storage-emulator 2026.7.19, whose parser is Python's own `email`.
# Expected: what was put comes back: b"abc\r".
# Seen:     b"abc", and no error, since gcsfs compares no digest unless asked to (consistency="md5").
#           One file in 256 ends so. An object with a line --==0== in it is cut off there.
# Why:      up to 5 MB (put_file) or 50 MB (pipe_file) go as one part of a multipart/related message, with
#           LF before the border "--==0==". RFC 2046 (5.1.1) gives CR LF there, so CR, LF and border
#           after content that ends in CR are read as the border alone. What Google's own server
#           makes of it was not tried.
# For us:   such content is put as a resumable upload (contrastive_jax/buckets/objects.py), and every
#           file of a checkpoint is read back before its marker is written.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check gcsfs==2026.10.1 \
  gcp-storage-emulator==2026.7.19
"$work/env/bin/python" - <<'PYTHON'
import socket

from gcp_storage_emulator.server import create_server
from gcsfs.core import GCSFileSystem

with socket.socket() as free:
  free.bind(("127.0.0.1", 0))
  port = free.getsockname()[1]
server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
server.start()
system = GCSFileSystem(token="anon", endpoint_url=f"http://127.0.0.1:{port}")
found = {}
for content in (b"abc", b"abc\r", b"abc\n", b"abc\r\n", b"a\n--==0==\nb"):
  system.pipe_file("bucket/x", content)
  one_request = system.cat_file("bucket/x")
  system.pipe_file("bucket/x", content, chunksize=len(content))
  found[content] = one_request, system.cat_file("bucket/x")
  print(f"{content!r:16} comes back as {one_request!r}, put as a resumable upload {found[content][1]!r}")
server.stop()
assert found[b"abc\r"] == (b"abc", b"abc\r"), found
assert all(resumable == content for content, (_, resumable) in found.items()), found
print("as described")
PYTHON
