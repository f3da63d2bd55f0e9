"""Who may ask what of the studio: the server in front of Gradio's pages.

- A request needs the cookie of a session. The first page sets it; with a token, only a page that was opened with it.
- On loopback, the Host header must name this machine, so that a foreign page cannot reach the studio by its own name.
- A request that names the page it comes from (Origin) must come from the studio's own.
- Uploads and results pass through the routes below, with our own limits; Gradio's routes for files are closed, since
  they know no sessions and fetch addresses.
- A content policy makes the browser refuse every request to another machine.
"""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, quote, urlencode

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from vidgan.errors import UserError
from vidgan.studio.saving import FORMATS, open_result
from vidgan.studio.sessions import MAX_UPLOAD_BYTES, Session, Sessions, examine_upload, safe_name

__all__ = ["LOOPBACK", "Gate", "cookie_name", "file_url", "is_loopback"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
MAX_BODY_BYTES: Final = 1_000_000  # of a request that is no upload: values of controls
UPLOAD_URL, FILE_URL = "/studio/upload", "/studio/file/"

# Of Gradio: the page, its assets, its configuration, events and the connection that shows that a page is open.
OPEN_PREFIXES: Final = ("/assets/", "/static/", "/svelte/", "/gradio_api/heartbeat/", "/gradio_api/queue/")
OPEN_PATHS: Final = frozenset(
    (
        *("/", "/config", "/theme.css", "/favicon.ico", "/robots.txt"),
        *("/gradio_api/config", "/gradio_api/info", "/gradio_api/app_id", "/gradio_api/startup-events"),
        *("/gradio_api/cancel", "/gradio_api/reset", "/gradio_api/reset/"),
    )
)

POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",  # Gradio's page has inline scripts, its charts compile
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self' data: blob:",
        "frame-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'self'",
        "object-src 'none'",
    )
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own, which no other machine reaches."""
    return host in LOOPBACK


def cookie_name(port: int) -> str:
    """Name of the cookie: browsers send cookies to every port of a machine."""
    return f"vidgan-studio-{port}"


class Gate:
    """ASGI application that answers or passes on each request.

    Args:
        app: Gradio's.
        sessions: of the browsers.
        port: that the studio listens on.
        hosts: accepted names in the Host header; empty: any.
        token: needed to open the page; None: not needed.
    """

    def __init__(
        self, app: Any, sessions: Sessions, *, port: int, hosts: Sequence[str] = (), token: str | None = None
    ) -> None:
        self.app = app
        self.sessions = sessions
        self.port = port
        self.hosts = frozenset(hosts)
        self.token = token
        self._examinations = CapacityLimiter(1)  # those that wait take no thread of other requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        if self.hosts and _host(headers) not in self.hosts:
            await PlainTextResponse("wrong host name", 421)(scope, receive, send)
            return
        origin = headers.get(b"origin")
        if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
            await PlainTextResponse("a request from a page of another site", 403)(scope, receive, send)
            return
        if scope["path"] == "/manifest.json":  # browsers ask for it without cookies
            await JSONResponse({"name": "vidgan studio"})(scope, receive, send)
            return
        session = self.sessions.get(self._cookie(headers))
        if session is None:
            await self._admit(scope)(scope, receive, send)
            return
        await self._serve(scope, receive, send, session)

    def _cookie(self, headers: dict[bytes, bytes]) -> str | None:
        try:
            cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
        except CookieError:
            return None
        morsel = cookies.get(cookie_name(self.port))
        return None if morsel is None else morsel.value

    def _admit(self, scope: Scope) -> Response:
        """The answer to a browser without a session: on the first page, one that sets the cookie."""
        if scope["path"] != "/" or scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("open the studio's page first", 403)
        query = parse_qs(scope["query_string"].decode("latin-1"))
        token = query.pop("token", [""])[0]
        if self.token is not None and not secrets.compare_digest(token.encode(), self.token.encode()):
            return PlainTextResponse(
                "This studio needs its token: open the address that `vidgan studio` printed, with ?token=...", 401
            )
        try:
            cookie = self.sessions.create()
        except UserError as error:
            return PlainTextResponse(str(error), 503)
        response = RedirectResponse("/" + (f"?{urlencode(query, doseq=True)}" if query else ""), 303)
        response.set_cookie(cookie_name(self.port), cookie, httponly=True, samesite="lax")
        return response

    async def _serve(self, scope: Scope, receive: Receive, send: Send, session: Session) -> None:
        """Answer a request of a known browser."""
        path, method = scope["path"], scope["method"]
        if path == UPLOAD_URL and method == "POST":
            await (await self._upload(scope, receive, session))(scope, receive, send)
        elif path.startswith(FILE_URL) and method == "GET":
            await (await anyio.to_thread.run_sync(_file_response, path, session))(scope, receive, send)
        elif path not in OPEN_PATHS and not path.startswith(OPEN_PREFIXES):
            await PlainTextResponse("no such page", 404)(scope, receive, send)
        elif path.startswith("/gradio_api/heartbeat/"):
            session.open_pages += 1
            try:
                await self.app(scope, receive, send)
            finally:
                session.open_pages -= 1
        else:
            await self.app(scope, _limited(receive), _with_headers(send))

    async def _upload(self, scope: Scope, receive: Receive, session: Session) -> Response:
        """Store the body of a request as a file of the session, once its content has been examined."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        name = safe_name(query.get("name", ["video"])[0])
        try:
            stored = session.new_folder()
        except OSError as error:
            return JSONResponse({"error": f"{name}: cannot be stored ({error.strerror})"}, 507)
        target = stored.path / name
        try:
            await _receive_file(receive, target)
            text = await anyio.to_thread.run_sync(examine_upload, target, limiter=self._examinations)
        except (UserError, OSError) as error:
            session.drop(stored.id)
            return JSONResponse({"error": str(error).replace(str(target), name)}, 422)
        except BaseException:
            session.drop(stored.id)
            raise
        return JSONResponse({"id": stored.id, "name": name, "text": text})


async def _receive_file(receive: Receive, target: Path) -> None:
    """Write the body of a request to a file.

    Raises:
        UserError: it is too large, or the browser left.
    """
    received = 0
    async with await anyio.open_file(target, "wb") as file:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                raise UserError(f"{target.name}: the upload was interrupted")
            received += len(message.get("body", b""))
            if received > MAX_UPLOAD_BYTES:
                raise UserError(
                    f"{target.name}: larger than {MAX_UPLOAD_BYTES // 10**6} MB, the most that is accepted; cut or"
                    " scale the video down"
                )
            await file.write(message.get("body", b""))
            if not message.get("more_body", False):
                return


def _file_response(path: str, session: Session) -> Response:
    """A file of the session, at FILE_URL + ID / NAME; the formats of a result are made when they are asked for."""
    identifier, _, name = path.removeprefix(FILE_URL).partition("/")
    try:
        folder = session.find(identifier)
        file = open_result(folder, name) if Path(name).suffix.lstrip(".") in FORMATS else folder / name
        if "/" in name or not file.is_file() or file.resolve().parent != folder.resolve():
            return PlainTextResponse("no such file", 404)
    except (UserError, ValueError, OSError) as error:
        return PlainTextResponse(str(error), 404)
    disposition = f"attachment; filename*=utf-8''{quote(name)}"
    return FileResponse(file, headers={"content-disposition": disposition, "x-content-type-options": "nosniff"})


def _limited(receive: Receive) -> Receive:
    """`receive` that ends a body larger than MAX_BODY_BYTES."""
    received = 0

    async def limited() -> MutableMapping[str, Any]:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        return message if received <= MAX_BODY_BYTES else {"type": "http.disconnect"}

    return limited


def _with_headers(send: Send) -> Send:
    """`send` that adds HEADERS to a response."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sending


def _host(headers: dict[bytes, bytes]) -> str:
    """The host name that a request was sent to, without its port."""
    host = headers.get(b"host", b"").decode("latin-1")
    return host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]


def file_url(identifier: str, name: str) -> str:
    """Address of a file of a session."""
    return f"{FILE_URL}{identifier}/{quote(name)}"
