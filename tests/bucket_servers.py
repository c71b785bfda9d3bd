"""A GCS emulator and an S3 server on 127.0.0.1, in threads, and the variables that lead to them.

Both are real components from the package registry. They can be stopped and started again with what
they hold. The GCS emulator ignores `ifGenerationMatch`: here an upload that asks for it creates an
object that is not there, and is refused with 412 where there is one.
"""

import contextlib
import functools
import http.server
import logging
import pathlib
import socket
import threading
import time
import urllib.parse

import pytest

from contrastive_jax import paths
from contrastive_jax.buckets import lease, objects

BUCKET = "test-bucket"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
KINDS = ("gs", "s3")


class Server:
  """One of them; `environment` are the variables that a user of it sets.

  Attributes:
    requests: (method, path with its query) of every request.
    before: called with them; what it returns, if it does, is the status that is answered instead.
  """

  def __init__(self, kind: str):
    self.kind, self.requests, self.before = kind, [], lambda method, path: None
    self.port = _free_port()
    self.url = f"http://127.0.0.1:{self.port}"
    self._make, self.environment = (_gcs if kind == "gs" else _s3)(self)
    self._server = None
    self.start()

  def start(self) -> None:
    self._server = self._make()
    threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

  def stop(self) -> None:
    if self._server:
      self._server.shutdown()
      self._server.server_close()
      self._server = None

  @contextlib.contextmanager
  def away(self, seconds: float):
    """Stopped for so long, from now on; it is there again at the end of the context."""
    self.stop()
    timer = threading.Timer(seconds, self.start)
    timer.start()
    try:
      yield
    finally:
      timer.join()

  def address(self, path: str) -> str:
    return f"{self.kind}://{BUCKET}/{path}"


def on_both(metafunc) -> None:
  """Is `pytest_generate_tests` of a module whose tests take the fixture `server`."""
  if "bucket_server" in metafunc.fixturenames:
    metafunc.parametrize("bucket_server", KINDS, indirect=True, scope="session")


def on_s3_slowly(metafunc) -> None:
  """The same, where the second server takes time and shows little that the first does not."""
  if "bucket_server" in metafunc.fixturenames:
    marks = [pytest.mark.slow]
    if metafunc.definition.get_closest_marker("s3_thorough"):
      marks.append(pytest.mark.thorough)
    kinds = ["gs", pytest.param("s3", marks=marks)]
    metafunc.parametrize("bucket_server", kinds, indirect=True, scope="session")


@contextlib.contextmanager
def emptied(server: Server, monkeypatch, cache: pathlib.Path):
  """The server is empty, what this process asks goes there, and pauses and leases are short."""
  for name, value in server.environment.items():
    monkeypatch.setenv(name, value)
  monkeypatch.setenv(paths.CACHE, str(cache))
  monkeypatch.setattr(objects, "PAUSES_S", (0.05, 0.05))
  monkeypatch.setattr(lease, "LASTS_S", 6.0)
  monkeypatch.setattr(lease, "RENEWED_S", 0.2)
  for name in list(server.objects()):
    server.delete(name)
  server.before = lambda method, path: None
  server.requests.clear()
  yield
  server.before = lambda method, path: None


def needed(kind: str):
  """Skips where the packages of a server, or of the way to it, are absent."""
  for module in ("gcsfs", "gcp_storage_emulator") if kind == "gs" else ("s3fs", "moto.server"):
    pytest.importorskip(module, reason=f"{module} is absent: the extra test has it")


def _free_port() -> int:
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    return s.getsockname()[1]


def _gcs(server: Server):
  from gcp_storage_emulator import server as emulator
  from gcp_storage_emulator.handlers import buckets
  from gcp_storage_emulator.storage import Storage

  logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
  asked, one = threading.local(), threading.RLock()
  if_absent: set[str] = set()  # uploads in parts that are to create

  class Refused(Exception):
    pass

  class Generations(Storage):
    def create_file(self, bucket_name, file_name, content, file_obj, file_id=None):
      create = asked.create or (file_id in if_absent)
      if create and file_name in self.objects.get(bucket_name, {}):
        raise Refused
      file_obj["generation"] = str(time.time_ns())
      super().create_file(bucket_name, file_name, content, file_obj, file_id)

    def create_resumable_upload(self, *given):
      upload = super().create_resumable_upload(*given)
      if asked.create:
        if_absent.add(upload)
      return upload

    def _write_config_to_file(self):  # JSON of all objects, at every request
      pass

  class Handler(emulator.RequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open, as those of the real one
    disable_nagle_algorithm = True  # it writes head and body in two

    def handle_one_request(self):
      with contextlib.suppress(ConnectionError):
        super().handle_one_request()

    def answer(self, do):
      server.requests.append((self.command, self.path))
      status = server.before(self.command, self.path)
      if status:
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        return self.refuse(status)
      query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
      if self.command == "DELETE" and "upload_id" in query:  # an upload in parts is given up
        return self.refuse(204)
      with one:
        asked.create = query.get("ifGenerationMatch") == ["0"]
        try:
          do(self)
        except Refused:
          self.refuse(412)
      return None

    def refuse(self, status):
      self.send_response(status)
      self.send_header("Content-Length", "0")
      self.end_headers()

  for name in ("do_GET", "do_POST", "do_PUT", "do_DELETE", "do_PATCH"):
    do = getattr(emulator.RequestHandler, name)
    setattr(Handler, name, lambda self, do=do: self.answer(do))
  asked.create = False
  storage = Generations(use_memory_fs=True)
  buckets.create_bucket(BUCKET, storage)
  server.objects = lambda: {
    name: storage.get_file(BUCKET, name) for name in dict(storage.objects.get(BUCKET, {}))
  }

  def put(name, content):
    with one:
      storage._store.write_bytes(storage._object_path(BUCKET, name), content)
      storage.objects[BUCKET][name]["size"] = str(len(content))

  def delete(name):
    with one:
      storage.delete_file(BUCKET, name)

  server.put, server.delete = put, delete

  def make():
    handler = functools.partial(Handler, storage)
    return _Http(("127.0.0.1", server.port), handler)

  return make, {"STORAGE_EMULATOR_HOST": server.url}


class _Http(http.server.ThreadingHTTPServer):
  """Ends its open connections with itself: a server that is away answers nobody."""

  daemon_threads, allow_reuse_address = True, True

  def __init__(self, *given):
    super().__init__(*given)
    self.open = set()

  def process_request(self, request, client_address):
    self.open.add(request)
    super().process_request(request, client_address)

  def shutdown_request(self, request):
    self.open.discard(request)
    super().shutdown_request(request)

  def server_close(self):
    super().server_close()
    for request in list(self.open):
      with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


def _s3(server: Server):
  from moto.backends import get_backend
  from moto.core import DEFAULT_ACCOUNT_ID
  from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
  from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

  logging.getLogger("werkzeug").setLevel(logging.ERROR)
  app, one = DomainDispatcherApplication(create_backend_app), threading.RLock()
  backend = get_backend("s3")[DEFAULT_ACCOUNT_ID]["aws"]
  backend.reset()
  backend.create_bucket(BUCKET, "us-east-1")

  def counted(environment, respond):
    method = environment["REQUEST_METHOD"]
    path = f"{environment['PATH_INFO']}?{environment['QUERY_STRING']}"
    server.requests.append((method, path))
    status = server.before(method, path)
    if status:
      environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
      respond(f"{status} Refused", [("Content-Length", "0")])
      return [b""]
    with one:  # moto looks and writes in two steps
      return app(environment, respond)

  class S3(ThreadedWSGIServer, _Http):
    pass

  class Handler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log(self, *_):
      pass

  server.objects = lambda: {
    name: key.value for name, key in dict(backend.buckets[BUCKET].keys.items()).items()
  }
  server.put = lambda name, content: backend.put_object(BUCKET, name, content)
  server.delete = lambda name: backend.delete_object(BUCKET, name)
  server.uploads = lambda: list(backend.buckets[BUCKET].multiparts.values())

  def make():
    return S3("127.0.0.1", server.port, counted, Handler)

  return make, {"AWS_ENDPOINT_URL": server.url, **KEYS}


def environment_of(*servers: Server) -> dict[str, str]:
  return functools.reduce(lambda found, server: found | server.environment, servers, {})
