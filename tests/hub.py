"""A hub of models on this machine that answers as the Hugging Face hub does."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def hub(models: Mapping[str, Path]) -> Iterator[str]:
    """Serve folders by the models' names; the value is the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            self.answer(has_body=True)

        def do_HEAD(self):  # noqa: N802
            self.answer(has_body=False)

        def answer(self, has_body):
            path = self.path.partition("?")[0].strip("/")
            for name, folder in models.items():
                files = sorted(file for file in folder.rglob("*") if file.is_file())
                names = [str(file.relative_to(folder)) for file in files]
                if path in (f"api/models/{name}", f"api/models/{name}/revision/main"):
                    siblings = [{"rfilename": each} for each in names]
                    return self.send({"id": name, "sha": COMMIT, "siblings": siblings}, has_body)
                if path.startswith(f"api/models/{name}/tree/"):
                    tree = [
                        {"type": "file", "path": each, "size": file.stat().st_size, "oid": each}
                        for each, file in zip(names, files, strict=True)
                    ]
                    return self.send(tree, has_body)
                for head in (f"{name}/resolve/main/", f"{name}/resolve/{COMMIT}/"):
                    if path.startswith(head) and path.removeprefix(head) in names:
                        return self.send(folder / path.removeprefix(head), has_body)
            self.send_error(404)

        def send(self, content, has_body):
            is_file = isinstance(content, Path)
            data = content.read_bytes() if is_file else json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("Content-Type", "application/octet-stream")
            self.end_headers()
            if has_body:
                self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
