"""Commands that the window runs in a process of their own, with progress; one at a time.

Their output goes to a file: the command goes on if the window is closed or killed, and a run that
the machine has ended is taken up again by the next window.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from myelin.app.study import STATE
from myelin.runtime.cli import UserError, quote
from myelin.runtime.files import write_json

ROOT = Path(__file__).resolve().parents[2]
BAR = re.compile(r"([\w ]+): +(\d+)%.*?(\d+)/(\d+) \[([\d:]+)<([\d:?]+)")
EPOCH = re.compile(r"^Epoch (\d+)/(\d+)$", re.MULTILINE)  # of Keras
EPOCH_S = re.compile(r"^about (\d+) s per epoch", re.MULTILINE)
PATIENCE_S = 10.0  # from the stop signal until a run is killed


class Run:
    """The command that runs now or ran last.

    Attributes
    ----------
    facts : dict or None
        "command", "what", "pid", "began", and at its end "code"; kept in a file.
    """

    def __init__(self) -> None:
        self.path, self.log = STATE / "run.json", STATE / "run.log"
        self.process: subprocess.Popen | None = None
        self.facts = None
        with contextlib.suppress(OSError, ValueError):
            self.facts = json.loads(self.path.read_text(encoding="utf-8"))
        if self.facts and "code" not in self.facts and not is_alive(self.facts["pid"]):
            if "resume" in self.facts:
                self.start(self.facts["what"], self.facts["resume"], self.facts["resume"])
            else:
                self.end(-1)

    def start(
        self,
        what: str,
        words: list[str],
        resume: list[str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """Start a command of the suite, in a folder.

        `resume` are its words to go on after it was killed.
        """
        if self.is_running():
            raise UserError(f"{self.facts['what']}: still running, wait for its end or stop it")
        STATE.mkdir(exist_ok=True)
        command = [sys.executable, str(ROOT / words[0]), *words[1:]]
        settings = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "100"}
        settings.pop("TQDM_DISABLE", None)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=settings,
                cwd=folder,
                start_new_session=True,
            )
        self.facts = {"what": what, "command": quote(["python", *words]), "began": time.time()}
        self.facts |= {"pid": self.process.pid} | ({"resume": resume} if resume else {})
        write_json(self.path, self.facts)

    def end(self, code: int) -> None:
        """Note how the command ended."""
        self.facts["code"] = code
        write_json(self.path, self.facts)

    def is_running(self) -> bool:
        """Return whether the command is under way; note its end."""
        if self.facts is None or "code" in self.facts:
            return False
        code = self.process.poll() if self.process else None
        if self.process is None and not is_alive(self.facts["pid"]):
            code = 0 if "error:" not in self.text() else 2  # another window has started it
        if code is None:
            return True
        self.end(code)
        return False

    def stop(self) -> None:
        """Stop the command as Ctrl-C does: it keeps what is finished.

        Not by SIGINT, which commands ignore if the window runs behind a shell.
        """
        if not self.is_running():
            return
        end = time.monotonic() + PATIENCE_S
        with contextlib.suppress(OSError):
            os.kill(self.facts["pid"], signal.SIGTERM)
        while self.is_running() and time.monotonic() < end:
            time.sleep(0.05)
        if self.is_running():
            os.kill(self.facts["pid"], getattr(signal, "SIGKILL", signal.SIGTERM))

    def text(self) -> str:
        """Return the end of the command's output."""
        with contextlib.suppress(OSError), open(self.log, "rb") as log:
            log.seek(max(self.log.stat().st_size - 20_000, 0))
            return log.read().decode(errors="replace")
        return ""

    def status(self) -> dict:
        """Return what the page shows of the command, JSON values."""
        running = self.is_running()
        if self.facts is None:
            return {"running": False}
        text = self.text()
        lines = [line.rsplit("\r", 1)[-1].strip() for line in text.split("\n")]
        status = {key: self.facts[key] for key in ("what", "command") if key in self.facts}
        status |= {"running": running, "code": self.facts.get("code")}
        status["lines"] = [line for line in lines if line and not BAR.match(line)][-12:]
        epochs = list(EPOCH.finditer(text))
        bars = BAR.findall(text, epochs[-1].end() if epochs else 0)
        if running and bars:
            what, percent, done, total, _, left = bars[-1]
            status |= {"step": what.strip(), "percent": int(percent), "left": left}
            status |= {"done": int(done), "total": int(total)}
        elif running and epochs:
            done, total = int(epochs[-1][1]) - 1, int(epochs[-1][2])
            status |= {"step": "epochs", "percent": 100 * done // total}
            status |= {"done": done, "total": total}
            if seconds := EPOCH_S.findall(text):
                minutes, rest = divmod(int(seconds[-1]) * (total - done), 60)
                status["left"] = f"{minutes:02}:{rest:02}"
        return status


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    if os.name == "nt":
        listed = subprocess.run(["tasklist", "/FI", f"PID eq {pid}"], capture_output=True)
        return str(pid).encode() in listed.stdout
    with contextlib.suppress(ChildProcessError, OSError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
