"""A hub on this machine that speaks as much of huggingface.co's protocol as huggingface_hub needs to fetch a model."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `folders` (name -> folder) at the revisions main and v1; `asked` lists the files that were fetched.

    Of a file in `cut` no more is sent than that part of it (0 to 1), after which the connection is closed or, where
    `stalls` is set, stays silent until that is cleared.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders = folders
        self.asked: list[str] = []
        self.cut: dict[str, float] = {}
        self.stalls = False
        # name -> status and X-Error-Code, as huggingface.co gives them
        self.refused = {
            "someone/gated": (403, "GatedRepo"),
            "someone/gated-to-strangers": (401, "GatedRepo"),
            "someone/broken": (500, ""),
            "someone/forbidden": (403, ""),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(folders: dict[str, Path]) -> Iterator[Hub]:
    with Hub(folders) as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        if path.startswith("api/models/"):
            self._api(path.removeprefix("api/models/"))
        else:
            name, _, rest = path.partition("/resolve/")
            self._file(name, rest.partition("/")[2])

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _api(self, path: str) -> None:
        what = "tree" if "/tree/" in path else "revision"
        name, _, revision = path.partition(f"/{what}/")
        if name in self.server.refused:
            self._refuse(*self.server.refused[name])
        elif name not in self.server.folders:
            self._refuse(401, "RepoNotFound")
        elif revision not in ("main", "v1", COMMIT):
            self._refuse(404, "RevisionNotFound")
        elif what == "tree":
            files = sorted(path for path in self.server.folders[name].iterdir() if path.is_file())
            self._json(
                [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _digest(file)}
                    for file in files
                ]
            )
        else:
            siblings = [{"rfilename": path.name} for path in self.server.folders[name].iterdir()]
            self._json({"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": [], "downloads": 0})

    def _file(self, name: str, file: str) -> None:
        path = self.server.folders.get(name, Path()) / file
        if name not in self.server.folders or not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        content = path.read_bytes()
        if self.command == "GET":
            self.server.asked.append(file)
        sent = int(len(content) * self.server.cut.get(file, 1))
        self._answer(200, content, {"ETag": f'"{_digest(path)}"', "X-Repo-Commit": COMMIT}, sent)
        while sent < len(content) and self.server.stalls:
            time.sleep(0.01)

    def _json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code} if code else {})

    def _answer(self, status: int, content: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[:sent])
        if sent is not None and sent < len(content):
            self.close_connection = True


def _digest(path: Path) -> str:
    return hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
