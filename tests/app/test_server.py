"""The server of the window: whom it answers, what it refuses, and that nothing crashes it."""

import http.client
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from measuring import rings, save

from myelin.images.image import write_image

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (160, 300)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of a study with one image; its port, token, process and folder."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "raw/test").mkdir(parents=True)
    (folder / "secret.tif").write_bytes(b"secret")
    mask = rings(SHAPE, [(60, 60), (150, 60)], 16, 26)
    write_image(folder / "raw/test/one.tif", np.where(mask, 200, 90).astype(np.uint8))
    save(folder / "preds/one_mask.tif", mask)
    call = [sys.executable, str(ROOT / "app.py"), "--no-browser"]
    process = subprocess.Popen(call, cwd=folder, stdout=subprocess.PIPE, text=True)
    port, token = re.search(r"127\.0\.0\.1:(\d+)/\?token=(\S+)", process.stdout.readline()).groups()
    yield int(port), token, process, folder
    process.terminate()
    process.communicate(timeout=20)


def ask(served, path, body=None, **headers):
    """Return status, headers and body of the answer; a header None is left out."""
    port, token = served[:2]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {"Host": f"127.0.0.1:{port}", "Cookie": f"myelin_{port}={token}"} | headers
    connection.putrequest("GET" if body is None else "POST", path, skip_host=True)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    if content is not None:
        connection.putheader("Content-Length", str(len(content)))
    connection.endheaders(content)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def test_the_address_gives_a_cookie_and_the_cookie_the_page(served):
    status, headers, _ = ask(served, f"/?token={served[1]}", Cookie=None)
    assert status == 303 and headers["location"] == "/"
    assert "SameSite=strict" in headers["set-cookie"] and "HttpOnly" in headers["set-cookie"]
    status, headers, body = ask(served, "/")
    assert status == 200 and b"Myelin" in body
    assert "default-src 'self'" in headers["content-security-policy"]
    assert ask(served, "/page/app.js")[0] == 200
    assert json.loads(ask(served, "/api/study")[2])["images"][0]["id"] == "one"


def test_strangers_are_refused(served):
    port = served[0]
    for headers in (
        {"Cookie": None},
        {"Cookie": f"myelin_{port}=wrong"},
        {"Host": "evil.example"},
        {"Host": None},
        {"Host": f"127.0.0.1:{port + 1}"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{port}"},
    ):
        for path, body in (("/", None), ("/api/study", None), ("/api/step", {"id": "one"})):
            status, _, content = ask(served, path, body, **headers)
            assert status in (400, 403, 421) and b"images" not in content, headers
    own = {"Origin": f"http://127.0.0.1:{port}"}
    assert ask(served, "/api/stop", {}, **own)[0] == 200
    assert ask(served, "/?token=wrong", Cookie=None)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2f..%2fserver.py",
        "/page/server.py",
        "/api/file?name=../secret.tif",
        "/api/file?name=/etc/passwd",
        "/api/download?name=../raw/test/one.tif",
        "/api/image?id=../../secret",
        "/api/thumbnail?id=..%2F..%2Fsecret",
        "/api/tile?id=one&kind=image&level=99&x=0&y=0&mode=state",
        "/api/tile?id=one&kind=overlay&level=0&x=-1&y=0&mode=state",
        "/api/tile?id=one&kind=overlay&level=0&x=0&y=0&mode=__class__",
        "/api/nothing",
    ],
)
def test_nothing_else_is_served(served, path):
    status, _, content = ask(served, path)
    assert 400 <= status < 500 and b"secret" not in content


def test_uploads_stay_in_the_folder_of_the_images(served):
    for name in ("../x.tif", "..", "/etc/x.tif", "a/../../x.png", "x.py", "x_\u202e.tif"):
        path = "/api/upload?name=" + "".join(f"%{byte:02x}" for byte in name.encode())
        assert ask(served, path, b"content")[0] == 409
    assert not list(served[3].rglob("x*"))


def mutated(random_numbers):
    """Return a request that no page sends: path and body."""
    values = [None, -1, 1e308, float("nan"), "", "one", [], {}, [[1, 2]], True, "\x00", 10**30]
    body = {"id": "one", "tool": "brush", "part": "myelin", "width": 3, "row": 0, "x": 5, "y": 5}
    body |= {"points": [[1, 1], [9, 9]], "axon": [[1, 1], [9, 9], [1, 9]], "what": "nothing"}
    body["tool"] = random_numbers.choice(
        ["brush", "draw", "split", "merge", "delete", "axon", "nerve", "exclude", "class", "x"]
    )
    for _ in range(random_numbers.randint(1, 3)):
        body[random_numbers.choice(list(body))] = random_numbers.choice(values)
    content = bytearray(json.dumps(body).encode())
    if random_numbers.random() < 0.3:
        content[random_numbers.randrange(len(content))] = random_numbers.randrange(256)
    path = random_numbers.choice(["step", "step", "propose", "describe", "run", "set", "study"])
    return f"/api/{path}", bytes(content)


def test_mutated_requests_crash_nothing(served):
    random_numbers = random.Random(0)
    statuses = [ask(served, *mutated(random_numbers))[0] for _ in range(150)]
    assert set(statuses) <= {200, 400, 405, 409}
    assert served[2].poll() is None and ask(served, "/api/study")[0] == 200
