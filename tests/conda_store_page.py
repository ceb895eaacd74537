"""conda-store's page served as operators serve it: its files, and an `index.html` with settings."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

INDEX = """\
<!doctype html>
<meta charset="utf-8">
<title>conda-store</title>
<script>var condaStoreConfig = {settings};</script>
<script defer src="/main.js"></script>
<link href="/main.css" rel="stylesheet">
<body></body>
"""


def index(settings: dict[str, str]) -> bytes:
    return INDEX.replace("{settings}", json.dumps(settings)).encode()


class Handler(SimpleHTTPRequestHandler):
    """Every address but those of its files is one of the page's own."""

    def __init__(self, *given: object, page: bytes, **more: object) -> None:
        self.page = page
        super().__init__(*given, **more)  # type: ignore[arg-type]  # as the server calls it

    def do_GET(self) -> None:
        if self.path.partition("?")[0] in ("/main.js", "/main.css"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def served(folder: Path, address: str, settings: dict[str, str]) -> Iterator[None]:
    handler = partial(Handler, page=index(settings), directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", urlsplit(address).port or 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
