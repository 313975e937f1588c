"""A small chat endpoint on this computer, as OpenAI-compatible servers speak, that answers what a test tells it to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
#: What a test decides: the body to send and the status.
Answer = Callable[[Body], "tuple[int, Body | str]"]


@dataclass
class Endpoint:
    """What it was asked, in order of arrival, and where it listens."""

    url: str
    bodies: list[Body] = field(default_factory=list[Body])
    keys: list[str] = field(default_factory=list[str])
    paths: list[str] = field(default_factory=list[str])
    lock: threading.Lock = field(default_factory=threading.Lock)


def completion(text: str, *, finish: str = "stop", **message: object) -> Body:
    """A reply as such a server writes it."""
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
    }


def parts(body: Body) -> tuple[str, str]:
    """The first and the second answer in a question."""
    text = body["messages"][-1]["content"]
    code = re.search(r"\[first answer (\w+)\]", text)
    assert code is not None
    found = [
        text.partition(f"[{name} {code[1]}]\n")[2].partition(f"\n[end of {name}")[0]
        for name in ("first answer", "second answer")
    ]
    return found[0], found[1]


def prefers(word: str) -> Answer:
    """A judge that always prefers the answer with this word in it, whichever stands first."""

    def answer(body: Body) -> tuple[int, Body | str]:
        first, second = (word in part for part in parts(body))
        verdict = "TIE" if first == second else "FIRST" if first else "SECOND"
        return 200, completion(f"Because I say so.\nVERDICT: {verdict}")

    return answer


@contextmanager
def serving(answer: Answer) -> Generator[Endpoint]:
    """The endpoint for as long as the block runs."""
    heard = Endpoint("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with heard.lock:
                heard.bodies.append(body)
                heard.keys.append(self.headers.get("authorization", ""))
                heard.paths.append(self.path)
            status, said = answer(body)
            raw = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            if status == 429:
                self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: object) -> None:
            del args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    heard.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
