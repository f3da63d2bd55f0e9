"""Send many requests to a studio at once: forecasts of several browsers, and what each of them waits.

    python tools/load_studio.py [--requests 100] [--browsers 10] [--horizon 1]

It starts `vidgan studio` on a free port. Every browser has a cookie of its own, sends its forecasts one after the other
through the queue as the page does, and checks that it gets a result. Printed: failures, and percentiles of the waiting
time in seconds.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import httpx

TIMEOUT = 1200.0


HORIZON = 5  # place among the values of the controls


async def browse(
    address: str, number: int, requests: int, horizon: int, waits: list[float], failures: list[str]
) -> None:
    """One browser: opens the page and forecasts."""
    async with httpx.AsyncClient(base_url=address, timeout=TIMEOUT, follow_redirects=True) as client:
        page = await client.get("/")
        assert page.status_code == 200, page.status_code
        config = (await client.get("/config")).json()
        target, inputs = forecast_call(config)
        inputs[HORIZON] = horizon
        for request in range(requests):
            started = time.monotonic()
            session = f"load{number}x{request}"
            body = {"data": inputs, "fn_index": target, "session_hash": session, "event_data": None}
            joined = await client.post("/gradio_api/queue/join", json=body)
            if joined.status_code != 200:
                failures.append(f"join: {joined.status_code} {joined.text[:200]}")
                continue
            result = await finished(client, session)
            waits.append(time.monotonic() - started)
            if "vg-player" not in result:
                failures.append(result[:300])


def forecast_call(config: dict[str, Any]) -> tuple[int, list[Any]]:
    """The number of the forecast's function, and the values of its controls on a fresh page."""
    values = {component["id"]: component["props"].get("value") for component in config["components"]}
    names = {component["id"]: component["props"].get("elem_id") for component in config["components"]}
    for dependency in config["dependencies"]:
        if any(names.get(target[0]) == "forecast-go" for target in dependency["targets"]):
            return dependency["id"], [values[number] for number in dependency["inputs"]]
    raise LookupError("the page has no forecast")


async def finished(client: httpx.AsyncClient, session: str) -> str:
    """All that the queue sends until the action is complete."""
    received = []
    async with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:"):
                received.append(line)
                if json.loads(line[5:]).get("msg") in ("process_completed", "close_stream"):
                    break
    return "".join(received)


async def run(address: str, requests: int, browsers: int, horizon: int) -> None:
    """All browsers at once."""
    waits: list[float] = []
    failures: list[str] = []
    started = time.monotonic()
    each = requests // browsers
    await asyncio.gather(*(browse(address, n, each, horizon, waits, failures) for n in range(browsers)))
    seconds = time.monotonic() - started
    print(f"{len(waits)} forecasts of {browsers} browsers in {seconds:.1f} s, {len(failures)} failed")
    if waits:
        low, middle, high = min(waits), statistics.median(waits), max(waits)
        print(f"waiting time: shortest {low:.2f} s, median {middle:.2f} s, longest {high:.2f} s")
    for failure in failures[:3]:
        print(failure)


def main() -> None:
    """Start a studio and load it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--browsers", type=int, default=10)
    parser.add_argument("--horizon", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "vidgan", "studio", "--port", "0"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            print(f"started in {time.monotonic() - started:.1f} s")
            asyncio.run(run(address, options.requests, options.browsers, options.horizon))
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()
