"""A deterministic OpenAI-compatible server in a process of its own, for kill and fault tests and for benchmarks.

    python tests/support/stand_in_model.py --port 0 --log asked.jsonl [--delay 0.01] [--spread 0.5]
        [--faults faults.json]

It prints its url when it listens. What it answers is a function of the call's key alone: X-Request-Id without its last
"-n", or the hash of the body where there is none. It writes plain tags: a sum of the numbers in the question, worked
out with <python> where the prompt offers it; how often it is right without depends on the question.

Faults are shares of the keys, {"429": 0.1, "hang": 0.02}, at most one fault a key. Those of PASSING hit the first one
or two tries of a key, those of LASTING every try. {"down_after": N}: after N completions it says 503 to everything;
{"page_after": N}: it answers every request for a completion with a page of HTML and 200.

Every request is two lines of JSON in the log, {"event": "asked" | "answered", "key", "id", "time", "fault"}: when it
has come, and when the whole reply has been handed to the socket (a client may have it a moment before the line is
there). `fault` is "" for a reply as it should be.
"""

import argparse
import asyncio
import hashlib
import json
import math
import os
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Self

MODEL = "stand-in"
PASSING = ("429", "500", "503", "reset", "hang", "truncated", "empty_choices", "big")
LASTING = ("context_length", "malformed", "cut", "wrong_model")
HANG_S = 600.0
CONTEXT = 4096


def draw(*parts: str) -> float:
    """A number in [0, 1), the same for the same parts."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:7]) / 2**56


def text_of(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(b["text"] for b in content if b["type"] == "text")


def reply_text(key: str, messages: list[dict[str, Any]]) -> str:
    """What the model says."""
    turns = [(message["role"], text_of(message)) for message in messages]
    offered = any(role == "system" and "<python>" in text for role, text in turns)
    last = turns[-1][1]
    if last.startswith("<result>"):
        printed = last.removeprefix("<result>").removesuffix("</result>").strip().split("\n")[-1]
        right, wrong = printed, f"{printed}1"
        chance = 0.95
    else:
        # after a reminder the question is further up
        asked = [text for role, text in turns if role == "user" and not text.startswith("<result>")]
        question = next((text for text in reversed(asked) if re.search(r"\d", text)), last)
        numbers = [int(number) for number in re.findall(r"-?\d+", question)]
        if offered and last == question and draw(key, "calls") < 0.85:
            return f"I add them up.\n<python>\nprint({' + '.join(map(str, numbers)) or 0})\n</python>"
        right, wrong = str(sum(numbers)), str(sum(numbers) + 1)
        chance = draw(question, "pass rate")
    return f"That makes <answer>{right if draw(key, 'right') < chance else wrong}</answer>"


def completion(key: str, body: dict[str, Any], cut: bool = False) -> dict[str, Any]:
    """The whole reply, as vLLM would give it: stop strings and max_tokens are heeded."""
    text, reason = reply_text(key, body["messages"]), "stop"
    ends = [(text.find(stop), stop) for stop in body.get("stop") or [] if stop in text]
    if ends:
        at, stop = min(ends)
        text = text[: at + len(stop) * bool(body.get("include_stop_str_in_output"))]
    tokens = len(text) // 4 + 1
    most = 1 if cut else body.get("max_tokens", CONTEXT)
    if tokens > most:
        text, tokens, reason = text[: 4 * most], most, "length"
    prompt = sum(len(text_of(message)) // 4 + 4 for message in body["messages"])
    return {
        "id": f"chatcmpl-{key}",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens},
    }


def error(message: str, kind: str, status: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


class Server:
    def __init__(self, log: Path, delay: float, faults: dict[str, float], spread: float = 0.0) -> None:
        if unknown := set(faults) - {*PASSING, *LASTING, "down_after", "page_after"}:
            raise SystemExit(f"unknown faults: {', '.join(sorted(unknown))}")
        self.delay, self.faults, self.spread = delay, faults, spread
        self.down_after = faults.get("down_after", float("inf"))
        self.page_after = faults.get("page_after", float("inf"))
        self.answered = 0
        self.tries: Counter[str] = Counter()
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)  # a write is a whole line, whoever else writes

    def note(self, event: str, key: str, request_id: str, fault: str) -> None:
        line = {"event": event, "key": key, "id": request_id, "time": time.time(), "fault": fault}
        os.write(self.log, (json.dumps(line) + "\n").encode())

    def times(self, key: str) -> float:
        """How many times the delay the reply to a key takes."""
        if not self.spread:
            return 1 + 0.5 * draw(key, "delay")
        drawn = min(max(draw(key, "delay"), 1e-9), 1 - 1e-9)
        return math.exp(self.spread * statistics.NormalDist().inv_cdf(drawn))

    def fault(self, key: str) -> str:
        """The fault of this try."""
        at = draw(key, "fault")
        for name in (*PASSING, *LASTING):
            if at < (share := self.faults.get(name, 0.0)):
                passed = name in PASSING and self.tries[key] > 1 + (draw(key, "tries") < 0.5)
                return "" if passed else name
            at -= share
        return ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request by request."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = head[0].split(" ")
                if not await self.respond(method, path, headers, body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()

    async def send(self, writer: asyncio.StreamWriter, status: int, reply: Any, *headers: str) -> bool:
        data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        head = [f"HTTP/1.1 {status} -", "Content-Type: application/json", f"Content-Length: {len(data)}", *headers]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
        await writer.drain()
        return True

    async def respond(
        self, method: str, path: str, headers: dict[str, str], raw: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        """Answer one request; False when the connection is at its end."""
        if method == "POST" and path == "/v1/chat/completions":
            return await self.complete(headers.get("x-request-id", ""), raw, writer)
        if self.answered >= self.down_after:
            return await self.send(writer, 503, error("the server is down", "ServiceUnavailable", 503))
        if path == "/health":
            return await self.send(writer, 200, b"")
        if path == "/v1/models":
            card = {"id": MODEL, "object": "model", "created": 0, "owned_by": MODEL, "root": f"{MODEL}-weights",
                    "parent": None, "max_model_len": CONTEXT}  # fmt: skip
            return await self.send(writer, 200, {"object": "list", "data": [card]})
        return await self.send(writer, 404, {"detail": "Not Found"})

    async def complete(self, request_id: str, raw: bytes, writer: asyncio.StreamWriter) -> bool:
        key = request_id.rpartition("-")[0] or request_id or hashlib.sha256(raw).hexdigest()
        self.tries[key] += 1
        fault = "down" if self.answered >= self.down_after else self.fault(key)
        fault = "page" if self.answered >= self.page_after else fault
        self.note("asked", key, request_id, fault)
        if self.delay:
            await asyncio.sleep(self.delay * self.times(key))
        stays = await self.answer(key, fault, json.loads(raw), writer)
        if stays:
            self.answered += fault in ("", "cut")
            self.note("answered", key, request_id, fault)
        return stays

    async def answer(self, key: str, fault: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> bool:
        """Send the reply or what the fault makes of it; False when that was no whole reply."""
        if fault == "down" or fault == "503":
            return await self.send(writer, 503, error("the server is overloaded", "ServiceUnavailable", 503))
        if fault == "429":
            after = "1" if draw(key, "after") < 0.2 else "0.2"
            return await self.send(writer, 429, error("slow down", "TooManyRequests", 429), f"Retry-After: {after}")
        if fault == "500":
            return await self.send(writer, 500, error("EngineCore encountered an issue", "InternalServerError", 500))
        if fault == "hang":
            await asyncio.sleep(HANG_S)
            return False
        if fault == "wrong_model" or body.get("model") != MODEL:
            said = f"The model `{body.get('model')}` does not exist. Valid aliases: {MODEL}."
            return await self.send(writer, 404, error(said, "NotFoundError", 404))
        if fault == "context_length":
            said = (
                f"This model's maximum context length is {CONTEXT} tokens. However, your prompt contains {CONTEXT + 1} "
                "input tokens, which exceeds this limit even without any output tokens. Please reduce the length of "
                "the input prompt."
            )
            return await self.send(writer, 400, error(said, "BadRequestError", 400))
        if fault in ("malformed", "page"):
            return await self.send(writer, 200, b"<html>not a completion</html>")
        reply = completion(key, body, cut=fault == "cut")
        data = json.dumps(reply).encode()
        if fault == "reset":
            writer.write(f"HTTP/1.1 200 -\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[: len(data) // 2])
            await writer.drain()
            # With a linger time of 0 a close is a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return False
        if fault == "truncated":
            return await self.send(writer, 200, data[: len(data) // 2])
        if fault == "empty_choices":
            return await self.send(writer, 200, reply | {"choices": []})
        if fault == "big":
            reply["choices"][0]["message"]["content"] = "x" * 1_000_000
        return await self.send(writer, 200, reply)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 picks one")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for a reply, to half as much again")
    parser.add_argument("--spread", type=float, default=0.0, help="standard deviation of the delay's logarithm instead")
    parser.add_argument("--faults", type=Path)
    parser.add_argument("--end-with-stdin", action="store_true", help="end when stdin does: with whoever started it")
    options = parser.parse_args()
    faults = json.loads(options.faults.read_text()) if options.faults else {}
    server = Server(options.log, options.delay, faults, options.spread)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", options.port, backlog=1024)
    if options.end_with_stdin:
        asyncio.get_running_loop().add_reader(0, os._exit, 0)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1", flush=True)
    await listening.serve_forever()


class ModelStandIn:
    """The server in the hands of a test: `with ModelStandIn(folder) as server`. Stopped or killed, it can start again.

    Args:
        folder: where its log and its faults lie; a log that is there is added to.
        delay, spread: seconds per reply, and the standard deviation of their logarithm.
        faults: see the module.
    """

    def __init__(
        self, folder: Path, delay: float = 0.0, faults: dict[str, float] | None = None, spread: float = 0.0
    ) -> None:
        self.log, self.delay, self.faults = folder / "model_stand_in.jsonl", delay, faults or {}
        self.spread = spread
        self.port, self.url = 0, ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Returns its url when it listens; the port stays the same from one start to the next."""
        assert self._process is None, "it is running"
        faults = self.log.with_suffix(".faults.json")
        faults.write_text(json.dumps(self.faults))
        command = [sys.executable, __file__, "--port", str(self.port), "--log", str(self.log), "--end-with-stdin"]
        command += ["--delay", str(self.delay), "--spread", str(self.spread), "--faults", str(faults)]
        deadline = time.monotonic() + 120
        while True:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if url := process.stdout.readline().strip():
                break
            process.wait()
            assert time.monotonic() < deadline, "the stand-in does not start"
            time.sleep(0.05)  # a client that tried the port meanwhile may hold it for a moment
        self._process, self.url, self.port = process, url, int(url.split(":")[2].split("/")[0])
        return url

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.communicate()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, replies half sent."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.kill()
        self.start()

    def events(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def asked(self) -> Counter[str]:
        """How often each key was asked for."""
        return Counter(line["key"] for line in self.events() if line["event"] == "asked")

    def answered(self) -> dict[str, list[float]]:
        """When (time.time()) each key got a reply that ends the call: one without a fault, or with a lasting one."""
        times: dict[str, list[float]] = {}
        for line in self.events():
            if line["event"] == "answered" and line["fault"] in ("", *LASTING):
                times.setdefault(line["key"], []).append(line["time"])
        return times

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


if __name__ == "__main__":
    asyncio.run(main())
