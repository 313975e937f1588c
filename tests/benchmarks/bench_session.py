"""How long a vote takes when fifty people rate at once.

Serves the whole studio in a process of its own and lets fifty raters press as fast as they are answered, over HTTP, each with a
connection of their own: 5,000 votes. Then it counts what is in the database. Prints milliseconds from pressing to the next pair
(p50, p95, worst), votes per second, and votes lost or doubled, which have to be none. At most 300 ms for the p95 are asked for.

``--pace S`` lets each rater think for S seconds on average, as people do; without it, all fifty press without pause, which
measures how many votes the studio takes in at most. Clients run beside the studio on the same processors.

Run it with ``python tests/benchmarks/bench_session.py [--raters N] [--pairs N] [--pace S] [--json]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx

from studio.compare import blind
from studio.settings import Settings
from studio.store import Store
from tests.compare.conftest import stored_comparison

ROOT = Path(__file__).resolve().parents[2]
CHOICES = ("left", "right", "tie", "both_bad", "skip")


def seeded(home: Path, raters: int, pairs: int) -> tuple[str, list[str]]:
    """A session with its raters' tokens."""
    store = Store(Settings(home=home).database)
    made = stored_comparison(store, [(f"One answer, number {i}. " * 20, f"Another, number {i}. " * 20) for i in range(pairs)])
    session = blind.open_session(store, made, "local").id
    tokens = [blind.invite(store, session, "local", f"Rater {i}").token for i in range(raters)]
    store.close()
    return session, tokens


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def served(home: Path, port: int) -> subprocess.Popen[bytes]:
    """The studio, once it answers."""
    environment = os.environ | {"STUDIO_HOME": str(home), "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment | {"STUDIO_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/rate/config", timeout=5).status_code == 200:
                return process
        except httpx.HTTPError:
            time.sleep(0.3)
    process.kill()
    raise SystemExit("The studio did not start.")


async def rates(base: str, token: str, pairs: int, pace: float, taken: list[float], ready: asyncio.Barrier) -> None:
    """One rater from the first pair to the last, pressing every tenth button twice."""
    chance = random.Random(token)
    async with httpx.AsyncClient(base_url=base, timeout=120) as client:
        # Everybody opens the page before the first one votes.
        event = {"seat": token, "name": "open", "value": "", "position": -1, "turn": "0"}
        body = {"data": [], "event_data": event, "fn_index": 0, "session_hash": token[:8]}
        (await client.post("/rate/gradio_api/run/predict", json=body)).raise_for_status()
        await ready.wait()
        position = 0
        for turn in range(pairs):
            if pace:
                await asyncio.sleep(chance.expovariate(1 / pace))
            for _ in range(2 if turn % 10 == 0 else 1):
                event = {"seat": token, "name": "vote", "value": CHOICES[turn % 5], "position": position, "turn": str(turn)}
                began = time.perf_counter()
                body = {"data": [], "event_data": event, "fn_index": 0, "session_hash": token[:8]}
                answer = await client.post("/rate/gradio_api/run/predict", json=body)
                taken.append(time.perf_counter() - began)
                answer.raise_for_status()
            found = re.search(r'data-screen=\\"(\w+)\\".*?data-position=\\"(-?\d+)\\"', answer.text)
            if not found or (found[1] == "guess") != (turn == pairs - 1):
                raise SystemExit(f"An unexpected screen after vote {turn}: {answer.text[:300]}")
            position = int(found[2])


async def everybody(base: str, tokens: list[str], pairs: int, pace: float) -> tuple[list[float], float]:
    taken: list[float] = []
    ready = asyncio.Barrier(len(tokens))
    began = time.perf_counter()
    await asyncio.gather(*(rates(base, token, pairs, pace, taken, ready) for token in tokens))
    return taken, time.perf_counter() - began


def counted(home: Path, session: str, raters: int, pairs: int) -> tuple[int, int]:
    """Votes lost and votes doubled."""
    store = Store(Settings(home=home).database)
    found = Counter((one.rater_id, one.position) for one in store.ratings.votes(session))
    store.close()
    return raters * pairs - len(found), sum(found.values()) - len(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        session, tokens = seeded(home, asked.raters, asked.pairs)
        port = free_port()
        process = served(home, port)
        try:
            taken, wall = asyncio.run(everybody(f"http://127.0.0.1:{port}", tokens, asked.pairs, asked.pace))
        finally:
            process.terminate()
            process.wait(30)
        lost, doubled = counted(home, session, asked.raters, asked.pairs)
    cuts = statistics.quantiles(taken, n=100)
    result: dict[str, Any] = {
        "raters": asked.raters,
        "votes": asked.raters * asked.pairs,
        "p50_ms": round(1000 * statistics.median(taken), 1),
        "p95_ms": round(1000 * cuts[94], 1),
        "worst_ms": round(1000 * max(taken), 1),
        "per_second": round(len(taken) / wall, 1),
        "lost": lost,
        "doubled": doubled,
        "load": os.getloadavg()[0],
    }
    print(json.dumps(result) if asked.json else "\n".join(f"{name:>12}  {value}" for name, value in result.items()))
    return int(lost > 0 or doubled > 0)


if __name__ == "__main__":
    sys.exit(main())
