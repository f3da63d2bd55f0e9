"""Who may ask what of the studio: sessions, tokens, host names, uploads, and files of other browsers."""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio")

from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from vidgan.commands.studio import searched_folders, studio
from vidgan.errors import ConfigError, DataError
from vidgan.studio import gate as gates
from vidgan.studio.gate import Gate
from vidgan.studio.jobs import CancelledError, Job
from vidgan.studio.saving import Result, save_result
from vidgan.studio.sessions import GRACE_SECONDS, Sessions, safe_name
from vidgan.video.encode import write_gif, write_mp4

PORT = 7999
CLIP = np.random.default_rng(0).integers(0, 255, (6, 32, 48, 3), np.uint8)


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path / "sessions", Clock())


def client_of(sessions: Sessions, **options: Any) -> TestClient:
    """A browser in front of an application that answers every request it gets."""
    app = Gate(PlainTextResponse("page"), sessions, port=PORT, **options)
    return TestClient(app, base_url=f"http://127.0.0.1:{PORT}")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_mp4(tmp_path / "clip.mp4", CLIP, fps=8)


def send(client: TestClient, name: str, content: bytes) -> Any:
    return client.post("/studio/upload", params={"name": name}, content=content)


def test_a_session_begins_with_the_page(sessions: Sessions) -> None:
    client = client_of(sessions, hosts=gates.LOOPBACK)
    assert client.get("/config").status_code == 403
    assert client.post("/").status_code == 403
    first = client.get("/?tab=runs", follow_redirects=False)
    assert first.status_code == 303 and first.headers["location"] == "/?tab=runs"
    assert "HttpOnly" in first.headers["set-cookie"] and "samesite=lax" in first.headers["set-cookie"].lower()
    page = client.get("/")
    assert page.text == "page" and "default-src 'self'" in page.headers["content-security-policy"]
    assert client.get("/config").text == "page"


def test_programs_that_keep_no_cookie_do_not_use_up_the_sessions(sessions: Sessions, monkeypatch: Any) -> None:
    monkeypatch.setattr("vidgan.studio.sessions.MAX_SESSIONS", 3)
    ann = client_of(sessions)
    assert ann.get("/").text == "page"
    for _ in range(5):
        assert client_of(sessions).get("/", follow_redirects=False).status_code == 303
    assert ann.get("/config").text == "page"
    bob, eve, more = client_of(sessions), client_of(sessions), client_of(sessions)
    assert bob.get("/").text == eve.get("/").text == "page"
    assert more.get("/").status_code == 503, "three browsers are in use"


def test_a_foreign_host_name_is_refused(sessions: Sessions) -> None:
    client = client_of(sessions, hosts=gates.LOOPBACK)
    for host in ("evil.example", "127.0.0.1.evil.example", ""):
        assert client.get("/", headers={"host": host}).status_code == 421
    for host in ("localhost:1", "[::1]:1"):
        assert client.get("/", headers={"host": host}).status_code == 200


def test_a_request_from_a_foreign_page_is_refused(sessions: Sessions) -> None:
    client = client_of(sessions)
    client.get("/")
    for origin in ("http://evil.example", f"http://127.0.0.1:{PORT + 1}", "null", ""):
        assert client.post("/gradio_api/queue/join", headers={"origin": origin}).status_code == 403, origin
    assert client.post("/gradio_api/queue/join", headers={"origin": f"http://127.0.0.1:{PORT}"}).text == "page"


def test_the_token_opens_the_page(sessions: Sessions) -> None:
    client = client_of(sessions, token="correct-horse-battery")
    for address in ("/", "/?token=wrong", "/?token=", "/?token=%C3%A9"):
        assert client.get(address).status_code == 401
    opened = client.get("/?token=correct-horse-battery&tab=data", follow_redirects=False)
    assert opened.headers["location"] == "/?tab=data", "the token leaves the address"
    assert client.get("/").text == "page"


def test_routes_of_files_are_closed(sessions: Sessions, tmp_path: Path) -> None:
    client = client_of(sessions)
    client.get("/")
    for path in (
        "/gradio_api/file=/etc/passwd", "/gradio_api/file=http://127.0.0.1:1/x", "/gradio_api/upload", "/file=/etc/x",
        "/gradio_api/proxy=http://127.0.0.1", "/gradio_api/stream/a/b/1/playlist.m3u8", "/monitoring", "/docs",
        "/gradio_api/component_server", "/gradio_api/call/run", "/gradio_api/run/predict", "/login",
    ):  # fmt: skip
        assert client.get(path).status_code == 404, path
        assert client.post(path).status_code == 404, path


def test_an_upload_is_examined_and_belongs_to_its_browser(sessions: Sessions, video: Path) -> None:
    ann, bob = client_of(sessions), client_of(sessions)
    ann.get("/"), bob.get("/")
    answer = send(ann, "../../my clip;.MP4", video.read_bytes())
    assert answer.status_code == 200
    assert answer.json()["name"] == "my clip.mp4" and "48x32 pixels, 6 frames, 8 frames/s" in answer.json()["text"]
    address = f"/studio/file/{answer.json()['id']}/my%20clip.mp4"
    session = sessions.get(ann.cookies[gates.cookie_name(PORT)])
    assert session is not None and session.find(answer.json()["id"]).is_dir()
    other = sessions.get(bob.cookies[gates.cookie_name(PORT)])
    assert other is not None
    with pytest.raises(DataError, match="no longer here"):
        other.find(answer.json()["id"])
    assert bob.get(address).status_code == 404
    assert client_of(sessions).get(address).status_code == 403


def test_results_are_made_when_they_are_asked_for(sessions: Sessions) -> None:
    import torch

    client, other = client_of(sessions), client_of(sessions)
    client.get("/"), other.get("/")
    session = sessions.get(client.cookies[gates.cookie_name(PORT)])
    assert session is not None
    stored = session.new_folder()
    clip = torch.from_numpy(CLIP).permute(0, 3, 1, 2)
    save_result(stored.path, Result("made", clip, clip[0], 8.0, {}, {}))
    gif = client.get(f"/studio/file/{stored.id}/made.gif")
    assert gif.content[:4] == b"GIF8" and "attachment" in gif.headers["content-disposition"]
    assert other.get(f"/studio/file/{stored.id}/made.gif").status_code == 404
    for wrong in ("none.gif", "made.exe", "..%2Fmade.gif", "%2Fetc%2Fpasswd", "made.gif%00", ""):
        assert client.get(f"/studio/file/{stored.id}/{wrong}").status_code == 404, wrong
    (stored.path / "link.json").symlink_to("/etc/hostname")
    assert client.get(f"/studio/file/{stored.id}/link.json").status_code == 404


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims this size and holds a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def test_a_video_of_too_many_pixels_is_refused(sessions: Sessions, tmp_path: Path, monkeypatch: Any) -> None:
    """The examination runs under a limit of memory, whatever the frames claim."""
    client = client_of(sessions)
    client.get("/")
    write_mp4(tmp_path / "wide.mp4", np.zeros((2, 2048, 2048, 3), np.uint8), fps=8)
    monkeypatch.setattr("vidgan.studio.sessions.EXAMINE_MEMORY", 20 << 20)
    answer = send(client, "wide.mp4", (tmp_path / "wide.mp4").read_bytes())
    assert answer.status_code == 422 and answer.json()["error"].startswith("wide.mp4: ")
    assert not [path for path in sessions.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/cron.d/x.mp4", "x.mp4"),
        ("C:\\temp\\x.mp4", "x.mp4"),
        ("/abs/x.MP4", "x.mp4"),
        ("..", "video."),
        ("a\x00b\n.mp4", "a_x00b_x0a.mp4"),
        ("<img src=x>.mp4", "img src_x.mp4"),
        ("\u202egpm.4pm.mp4", "u202egpm.4pm.mp4"),
        ("x" * 500 + ".mp4", "x" * 60 + ".mp4"),
    ],
)
def test_names_of_uploads_are_harmless(name: str, kept: str) -> None:
    assert safe_name(name) == kept
    assert "/" not in safe_name(name) and "\\" not in safe_name(name)


def test_hostile_uploads_are_refused(sessions: Sessions, video: Path, tmp_path: Path, monkeypatch: Any) -> None:
    client = client_of(sessions)
    client.get("/")
    content = video.read_bytes()
    refused = {
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "sdp.mp4": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "cut.mp4": content[: len(content) // 2],
        "empty.mp4": b"",
        "page.html": b"<script>alert(1)</script>",
        "script.mp4": b"<script>alert(1)</script>",
        "weights.pkl": content,
        "clip": content,
        "array.npz": b"PK\x03\x04",
        "broken.png": b"\x89PNG\r\n\x1a\n" + os.urandom(64),
        "notes.mp4": b"Meeting on Monday at ten.\n" * 40,
        # A few bytes that stand for gigabytes of pixels
        "bomb.gif": b"GIF89a" + struct.pack("<HHBBB", 65_000, 65_000, 0x80, 0, 0) + bytes(6) + b"\x2c" + bytes(20),
        "bomb.png": png_header(60_000, 60_000),
    }
    for name, body in refused.items():
        answer = send(client, name, body)
        assert answer.status_code == 422 and answer.json()["error"].startswith(safe_name(name)), name
        assert str(tmp_path) not in answer.text, "paths of this machine are not shown"
    monkeypatch.setattr(gates, "MAX_UPLOAD_BYTES", 1000)
    assert "larger than" in send(client, "clip.mp4", content).json()["error"]
    assert not [path for path in sessions.root.rglob("*") if path.is_file()], "nothing of them is kept"


def test_other_videos_and_images_are_accepted(sessions: Sessions, tmp_path: Path) -> None:
    client = client_of(sessions)
    client.get("/")
    gif = write_gif(tmp_path / "a.gif", CLIP, fps=8)
    assert send(client, "a.gif", gif.read_bytes()).json()["text"].startswith("48x32 pixels, 6 frames")
    Image.fromarray(CLIP[0]).save(tmp_path / "a.png")
    assert send(client, "a.png", (tmp_path / "a.png").read_bytes()).json()["text"] == "48x32 pixels"


def test_sessions_end_with_their_files(sessions: Sessions) -> None:
    clock = sessions.clock
    assert isinstance(clock, Clock)
    open_session, closed = (sessions.get(sessions.create()) for _ in range(2))
    assert open_session is not None and closed is not None
    folders = [session.new_folder().path for session in (open_session, closed)]
    job = closed.begin("forecast")
    open_session.open_pages = 1
    clock.now += GRACE_SECONDS - 1
    sessions.sweep()
    assert all(folder.is_dir() for folder in folders), "a reload may come"
    clock.now += 2
    sessions.sweep()
    assert [folder.is_dir() for folder in folders] == [True, False]
    with pytest.raises(CancelledError):
        job.step(0, "")


def test_a_new_job_of_a_tab_cancels_the_old_one(sessions: Sessions) -> None:
    session = sessions.get(sessions.create())
    assert session is not None and not session.cancel("forecast")
    old = session.begin("forecast")
    new, other = session.begin("forecast"), session.begin("synthesis")
    with pytest.raises(CancelledError):
        old.step(0, "")
    new.step(0, ""), other.step(0, "")
    new.is_over = True
    assert not session.cancel("forecast") and session.cancel("synthesis")
    assert isinstance(other, Job)


def test_the_oldest_files_of_a_full_session_go(sessions: Sessions, monkeypatch: Any) -> None:
    monkeypatch.setattr("vidgan.studio.sessions.MAX_SESSION_BYTES", 2500)
    monkeypatch.setattr("vidgan.studio.sessions.MAX_UPLOAD_BYTES", 500)
    session = sessions.get(sessions.create())
    assert session is not None
    stored = []
    for _ in range(4):
        stored.append(session.new_folder())
        (stored[-1].path / "data").write_bytes(b"x" * 1000)
    assert [one.path.is_dir() for one in stored] == [False, True, True, True]


def test_runs_are_searched_once(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert searched_folders([tmp_path]) == [tmp_path, Path("runs")], "a training may make it"
    (tmp_path / "runs").mkdir()
    assert searched_folders([tmp_path / "runs"]) == [tmp_path / "runs"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folders": ["no/such/folder"]}, "no/such/folder"),
        ({"token": "short"}, "16 or more"),
        ({"host": "no.such.host.invalid"}, "--host no.such.host.invalid"),
    ],
)
def test_wrong_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        studio(**options)
