"""A hub on the loopback with one dataset in two commits, and a program that reads it: `datasets` and huggingface_hub
take the hub's address when they are imported, so the reading is a process of its own.
"""

import hashlib
import json
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

FIRST, SECOND = "1" * 40, "2" * 40


def rows(count, column="question"):
    return "\n".join(json.dumps({column: f"{n}+1?", "answer": str(n + 1)}) for n in range(count)).encode()


COMMITS = {FIRST: {"data/train.jsonl": rows(20)}, SECOND: {"data/train.jsonl": rows(25, "problem")}}
REVISIONS = {"main": SECOND, "v1": FIRST, FIRST: FIRST, SECOND: SECOND}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body=b"", **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, value, commit):
        self.answer(200, json.dumps(value).encode(), Content_Type="application/json", X_Repo_Commit=commit)

    @staticmethod
    def entry(commit, path):
        data = COMMITS[commit][path]
        return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def listed(self, commit, folder):
        inside = [path for path in COMMITS[commit] if path.startswith(folder)]
        folders = {path.split("/")[0] for path in inside if not folder}
        return [{"type": "directory", "path": f, "size": 0, "oid": "0" * 40} for f in folders] + [
            self.entry(commit, path) for path in inside if folder
        ]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        commit = REVISIONS[self.path.rsplit("/", 1)[1]]
        paths = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
        self.json([self.entry(commit, path) for path in paths if path in COMMITS[commit]], commit)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).strip("/")
        if path.startswith("api/datasets/lab/sums"):
            what, revision, *rest = [*path.removeprefix("api/datasets/lab/sums").strip("/").split("/"), "", ""]
            commit = REVISIONS.get(revision or "main")
            if commit is None:
                self.answer(404, X_Error_Code="RevisionNotFound")
            elif what == "tree":
                self.json(self.listed(commit, "/".join(rest).strip("/")), commit)
            else:
                files = [{"rfilename": name} for name in COMMITS[commit]]
                self.json({"id": "lab/sums", "sha": commit, "private": False, "tags": [], "siblings": files}, commit)
        elif path.startswith("datasets/lab/sums/resolve/"):
            revision, _, name = path.removeprefix("datasets/lab/sums/resolve/").partition("/")
            commit = REVISIONS.get(revision)
            data = COMMITS[commit].get(name) if commit else None
            if data is None:
                self.answer(404, X_Error_Code="EntryNotFound" if commit else "RevisionNotFound")
            else:
                self.answer(200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=commit)
        else:
            self.answer(404, X_Error_Code="RepoNotFound")


@contextmanager
def hub():
    """Its address, while it runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def main():
    from records.recipe import Source
    from records.recipe.section import RecipeError
    from sources.open import check_source, get_loader

    for options in json.loads(sys.argv[1]):
        spec = Source(name="src", loader="huggingface", limit=4, options={"task": "math", **options})
        try:
            opened = get_loader("huggingface").load(spec, check_source(spec, "recipe", 0), 0)
            texts = [draft.fields["text"] for draft in opened.drafts]
            print(json.dumps({"rows": opened.rows, "revision": opened.revision, "texts": texts}))
        except RecipeError as error:
            print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
