"""The page under load: many visitors at once, and the server's memory over many drawings.

    python benchmarks/page.py queue --visitors 50
    python benchmarks/page.py memory --draws 500
    python benchmarks/page.py start

`queue` draws for all visitors at the same moment, two steps each, and counts those that got their
own image. `memory` draws in small size, for one visitor after the other, and prints the resident
memory of the server. `start` prints the seconds from the command to the first image in a browser;
--install also makes an empty environment with `pip install 'adhere[app]'` first.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
ANIMALS = ("cat", "dog", "frog", "lion", "bear")


class Page:
    """`adhere app` in a process of its own."""

    def __init__(self, python: str = sys.executable) -> None:
        with socket.socket() as tried:
            tried.bind(("127.0.0.1", 0))
            port = tried.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [python, "-m", "adhere", "app", "--port", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:
            try:
                self.config = json.loads(self.read("/config"))
                break
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("adhere app did not start")
                time.sleep(0.1)
        inputs = max((f["inputs"] for f in self.config["dependencies"]), key=len)
        self.draws = next(f for f in self.config["dependencies"] if f["inputs"] == inputs)
        self.fields = {c["id"]: c["props"] for c in self.config["components"]}

    def read(self, path: str, value: object = None) -> str:
        """The text of an answer."""
        data = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(
            self.url + path, data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=3_600) as answer:
            return answer.read().decode()

    def draw(self, prompt: str, session: str, **given: object) -> str:
        """What the page answers to a press of Draw."""
        data = []
        for one in self.draws["inputs"]:
            label = self.fields[one].get("label")
            wanted = {"Prompt": prompt, **given}
            data.append(wanted.get(str(label), self.fields[one].get("value")))
        call = {"fn_index": self.draws["id"], "data": data, "session_hash": session}
        self.read("/gradio_api/queue/join?", call)
        return self.read(f"/gradio_api/queue/data?session_hash={session}")

    def megabytes(self) -> float:
        """Resident memory of the server."""
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", said)[1]) / 1024

    def close(self) -> None:
        """Ends the server, which then deletes its temporary folder."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def own(prompt: str, said: str) -> bool:
    """Whether a visitor got the image of the own prompt, and nobody else's."""
    return set(re.findall(r"adhere\.draw\('([^']+)'", html.unescape(said))) == {prompt}


def queue(visitors: int) -> None:
    page = Page()
    prompts = [
        f"a {ANIMALS[i % 5]} and a {ANIMALS[(i + 1 + i // 5) % 5]}" for i in range(visitors)
    ]
    started = time.perf_counter()
    with ThreadPoolExecutor(visitors) as pool:
        answers = list(
            pool.map(lambda i: page.draw(prompts[i], f"visitor{i}", Steps=2), range(visitors))
        )
    seconds = time.perf_counter() - started
    served = sum(own(*pair) for pair in zip(prompts, answers, strict=True))
    print(f"{served} of {visitors} visitors got their own images; {seconds:.1f} s for all")
    page.close()
    if served < visitors:
        sys.exit(1)


def memory(draws: int) -> None:
    page = Page()
    shown = {0, *range(50, draws + 1, 50)}
    for number in range(draws + 1):
        size = {"Steps": 2, "Width": 32, "Height": 32}
        said = page.draw("a cat and a frog", f"visitor{number}", **size, Seed=number)
        assert own("a cat and a frog", said), said[-500:]
        if number in shown:
            print(f"after {number + 1:3} draws: {page.megabytes():.0f} MB", flush=True)
    page.close()


def start(install: bool) -> None:
    from playwright.sync_api import sync_playwright

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        python = sys.executable
        if install:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            python = f"{folder}/bin/python"
            constraints = str(ROOT / "constraints.txt")
            install_words = ["install", "-q", "-c", constraints, f"{ROOT}[app]"]
            subprocess.run([python, "-m", "pip", *install_words], check=True)
            os.environ.pop("PYTHONPATH", None)
            print(f"installed after {time.perf_counter() - started:.1f} s", flush=True)
        page = Page(python)
        print(f"served after {time.perf_counter() - started:.1f} s", flush=True)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        opened = browser.new_page()
        opened.set_default_timeout(600_000)
        opened.goto(page.url)
        opened.wait_for_selector("#words .highlighted")
        opened.get_by_role("button", name="Draw", exact=True).click()
        opened.wait_for_selector(".slider img")
        print(f"first image after {time.perf_counter() - started:.1f} s")
        opened.wait_for_selector(".maps")
        print(f"both images after {time.perf_counter() - started:.1f} s")
        browser.close()
        page.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["queue", "memory", "start"])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--install", action="store_true")
    chosen = parser.parse_args()
    if chosen.what == "queue":
        queue(chosen.visitors)
    elif chosen.what == "memory":
        memory(chosen.draws)
    else:
        start(chosen.install)
