"""The server of the window: for one person on this computer, and for nobody else.

It answers only requests to its own address, by a browser that has opened the address with the
token; what other pages of that browser send is refused by its origin.
"""

import asyncio
import base64
import contextlib
import json
import re
import secrets
import socket
import sys
import threading
import traceback
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from myelin.app.study import Study
from myelin.app.window import Window
from myelin.runtime.cli import UserError, exit_code_and_messages

PAGE = Path(__file__).with_name("page")
# Canvas and scatter plot are those of the report.
PAGES = (PAGE, Path(__file__).parents[1] / "report" / "page")
PAGE_NAME = re.compile(r"[a-z]+\.(js|css|svg)")
MAX_BODY_BYTES = 2**22
EVENT_S = 0.25
POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# What malformed requests raise.
MALFORMED = (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError)


class Guard:
    """Refuse requests to another host, from another origin, and without the token."""

    def __init__(self, app: ASGIApp, port: int, token: str) -> None:
        self.app, self.token = app, token
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self.cookie = f"myelin_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        response = await self.refuse(scope, receive, send) if scope["type"] == "http" else None
        if response is not None:
            await response(scope, receive, send)

    async def refuse(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Return the response to a request that is refused or redirected; serve any other."""
        request = Request(scope)
        hosts, origins = (request.headers.getlist(name) for name in ("host", "origin"))
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return Response("this address is not served here", 421, HEADERS)
        if any(origin.removeprefix("http://") not in self.hosts for origin in origins):
            return Response("another page may not do this", 403, HEADERS)
        given = request.query_params.get("token", "")
        if scope["path"] == "/" and scope["method"] == "GET" and self.matches(given):
            response = RedirectResponse("/", 303, HEADERS)
            response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
            return response
        if not self.matches(request.cookies.get(self.cookie, "")):
            return Response("open the address that app.py has printed", 403, HEADERS)
        await self.app(scope, receive, send)
        return None

    def matches(self, given: str) -> bool:
        """Return whether a text is the token."""
        return secrets.compare_digest(given.encode(), self.token.encode())


def answer(error: Exception) -> Response:
    """Return the response to a mistake: of the user, of the request, or of the program."""
    code, messages = exit_code_and_messages(error)
    if code is not None:
        texts = [message.removeprefix("error: ") for message in messages]
        return JSONResponse({"error": texts}, 409, HEADERS)
    if isinstance(error, MALFORMED):
        return JSONResponse({"error": [f"request: not understood ({error!r:.100})"]}, 400, HEADERS)
    traceback.print_exception(error)
    return JSONResponse({"error": [f"defect of the program: {error!r:.200}"]}, 500, HEADERS)


async def body_of(request: Request) -> dict:
    """Return the JSON object in the body of a request."""
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise ValueError("too long")
    body = json.loads(content)
    if not isinstance(body, dict):
        raise TypeError("no object")
    return body


def endpoint(window: Window, call: Callable, locked: bool) -> Callable:
    """Return the handler that calls a function of the window in a thread."""

    def run(values: dict) -> Response:
        with window.lock if locked else contextlib.nullcontext():
            return response_to(call(values))

    async def handle(request: Request) -> Response:
        try:
            is_post = request.method == "POST"
            values = await body_of(request) if is_post else dict(request.query_params)
            return await run_in_threadpool(run, values)
        except Exception as error:
            return answer(error)

    return handle


def response_to(result: dict | bytes | Path) -> Response:
    """Return the response with JSON values, a picture or a file; a zip is temporary."""
    if isinstance(result, bytes):
        is_png = result.startswith(b"\x89PNG")
        return Response(result, 200, HEADERS, "image/png" if is_png else "image/jpeg")
    if isinstance(result, Path):
        if not result.is_file():
            return Response("", 204, HEADERS)
        # A page of results may hold scripts of its own; it is kept apart from this one.
        apart = {"content-security-policy": "sandbox allow-scripts allow-downloads"}
        headers = HEADERS | (apart if result.suffix == ".html" else {})
        if result.suffix != ".zip":
            return FileResponse(result, headers=headers)
        done = BackgroundTask(result.unlink)
        return FileResponse(result, headers=headers, filename="results.zip", background=done)
    content = json.dumps(result, default=packed, separators=(",", ":"))
    return Response(content, 200, HEADERS, "application/json")


def packed(array: np.ndarray) -> dict:
    """Return an array of numbers or texts as JSON values: 32-bit floats, or places in `words`."""
    words = {}
    if array.dtype == object:
        texts = array.tolist()
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        array, words = np.array([places[text] for text in texts]), {"words": [*places]}
    return {"floats": base64.b64encode(array.astype("<f4")).decode("ascii")} | words


# ---------------------------------------------------------------- what is served


def page_file(request: Request) -> Response:
    """Serve a file of the page."""
    name = request.path_params.get("name", "index.html")
    if name != "index.html" and not PAGE_NAME.fullmatch(name):
        return Response("no such file", 404, HEADERS)
    for path in (folder / name for folder in PAGES):
        if path.is_file():
            return FileResponse(path, headers=HEADERS)
    return Response("", 404, HEADERS)


async def upload(request: Request, window: Window) -> Response:
    """Take an image file, the body of the request, as it comes."""
    loop = asyncio.get_running_loop()
    stream = request.stream().__aiter__()

    def chunks() -> Iterator[bytes]:
        while True:
            try:
                yield asyncio.run_coroutine_threadsafe(anext(stream), loop).result()
            except StopAsyncIteration:
                return

    try:
        given = request.query_params["name"]
        name = await run_in_threadpool(window.study.add, given, chunks())
    except Exception as error:
        return answer(error)
    return JSONResponse({"id": name}, headers=HEADERS)


def events(window: Window, ending: threading.Event) -> Callable:
    """Return the handler of the stream of events: run and changes, whenever they differ."""

    async def handle(request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            last = None
            while not ending.is_set() and not await request.is_disconnected():
                status = json.dumps(await run_in_threadpool(window.status))
                if status != last:
                    yield f"data: {status}\n\n"
                last = status
                await asyncio.sleep(EVENT_S)

        return StreamingResponse(stream(), 200, HEADERS, "text/event-stream")

    return handle


def make_app(window: Window, port: int, token: str, ending: threading.Event) -> ASGIApp:
    """Return the application with its guard."""
    posts = {
        "describe": window.describe,
        "step": window.step,
        "run": window.start,
        "set": window.set,
        "stop": window.stop,
        "propose": window.propose,
    }
    gets = {
        "study": lambda _: window.table(),
        "image": lambda query: window.view(query.get("id")),
        "size": window.size,
        "at": window.at,
        "outline": window.outline,
        "corners": window.corners,
        "results": window.results,
        "tile": window.tile,
        "thumbnail": window.thumbnail,
        "threshold": window.threshold_picture,
        "overlay": window.overlay,
        "training": window.training_picture,
        "file": window.result,
        "download": lambda query: (window.result if "name" in query else window.zip_results)(query),
    }
    needs_lock = {"image", "at", "outline", "corners", "step"}  # or hold it themselves

    async def take(request: Request) -> Response:
        return await upload(request, window)

    routes = [
        Route("/", page_file),
        Route("/page/{name}", page_file),
        Route("/api/events", events(window, ending)),
        Route("/api/upload", take, methods=["POST"]),
        *(
            Route(f"/api/{name}", endpoint(window, call, name in needs_lock), methods=[method])
            for method, calls in (("GET", gets), ("POST", posts))
            for name, call in calls.items()
        ),
    ]
    return Guard(Starlette(routes=routes), port, token)


class Server(uvicorn.Server):
    """A server that ends its streams of events first."""

    ending = threading.Event()

    def handle_exit(self, *arguments: object) -> None:
        self.ending.set()
        super().handle_exit(*arguments)


def serve(study: Study, port: int, browser: bool) -> None:
    """Serve a study until Ctrl-C; print the address."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, sys.platform != "win32")
    try:
        listening.bind(("127.0.0.1", port))
    except OSError:
        raise UserError(f"--port {port}: in use by another program, choose another") from None
    listening.listen(128)  # from now on a browser waits instead of being refused
    port, token = listening.getsockname()[1], secrets.token_urlsafe(24)
    window = Window(study)
    app = make_app(window, port, token, Server.ending)
    settings = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none")
    settings.timeout_graceful_shutdown = 2
    address = f"http://127.0.0.1:{port}/?token={token}"
    print(f"open {address} in a browser; Ctrl-C ends", flush=True)
    if browser:
        threading.Timer(0.3, webbrowser.open, [address]).start()
    Server(settings).run(sockets=[listening])
