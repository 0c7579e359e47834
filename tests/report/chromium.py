"""A page in headless Chromium, driven over its debugging pipe: what it asks for, complains of, and looks like."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars",    "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_S = 60.0


@dataclass
class Page:
    """What a page did at one width: the addresses it asked for, its complaints, its screenshot and its sizes."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    screenshot: bytes = b""
    scroll_width: int = 0
    text: str = ""


class Browser:
    """A Chromium whose debugging pipe is at hand: messages are JSON that end with a zero byte."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._waiting = b""
        self._n_sent = 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Send a command and give its result; events that come meanwhile are kept."""
        self._n_sent += 1
        message: dict[str, Any] = {"id": self._n_sent, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._n_sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, method: str) -> None:
        """Wait for an event."""
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE_S)
            piece = os.read(self._answers, 1 << 16) if ready else b""
            if not piece:
                raise RuntimeError("Chromium left or does not answer")
            self._waiting += piece
        message, _, self._waiting = self._waiting.partition(b"\0")
        return json.loads(message)


@contextmanager
def browser(program: str, profile: Path) -> Iterator[Browser]:
    """Start Chromium with a fresh profile, and end it."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()

    def place_pipes() -> None:
        # Chromium reads commands from descriptor 3 and answers on 4.
        os.dup2(command_read, 50)
        os.dup2(answer_write, 51)
        os.dup2(50, 3)
        os.dup2(51, 4)

    process = subprocess.Popen(
        (program, *FLAGS, f"--user-data-dir={profile}", "about:blank"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(3, 4),
        preexec_fn=place_pipes,
    )
    os.close(command_read)
    os.close(answer_write)
    try:
        yield Browser(command_write, answer_read)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(command_write)
        os.close(answer_read)


def look_at(running: Browser, path: Path, width: int) -> Page:
    """Open a file at a width in pixels, on a screen as tall as the page."""
    target = running.call("Target.createTarget", url="about:blank")["targetId"]
    session = running.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    running.events.clear()
    for domain in ("Page", "Network", "Runtime", "Log"):
        running.call(f"{domain}.enable", session)
    running.call(
        "Emulation.setDeviceMetricsOverride", session, width=width, height=900, deviceScaleFactor=1, mobile=False
    )
    running.call("Page.navigate", session, url=path.resolve().as_uri())
    running.wait_for("Page.loadEventFired")
    page = Page()
    page.scroll_width = _evaluate(running, session, "document.documentElement.scrollWidth")
    page.text = _evaluate(running, session, "document.body.innerText")
    height = _evaluate(running, session, "document.documentElement.scrollHeight")
    shot = running.call(
        "Page.captureScreenshot",
        session,
        format="png",
        captureBeyondViewport=True,
        clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
    )
    page.screenshot = base64.b64decode(shot["data"])
    for event in running.events:
        content = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            page.requests.append(content["request"]["url"])
        elif event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            page.complaints.append(json.dumps(content))
    running.call("Target.closeTarget", targetId=target)
    return page


def _evaluate(running: Browser, session: str, expression: str) -> Any:
    return running.call("Runtime.evaluate", session, expression=expression)["result"]["value"]
