"""`vidgan studio`: serve the studio, a page in the browser, until it is interrupted."""

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from vidgan.errors import ConfigError
from vidgan.files import temporary_folder

__all__ = ["DEFAULT_PORT", "studio"]

DEFAULT_PORT: Final = 7860
DEFAULT_FOLDER: Final = "runs"
MIN_TOKEN: Final = 16  # characters


def studio(
    folders: Sequence[Path | str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    token: str | None = None,
    echo: Callable[[str], None] = print,
) -> None:
    """Serve the studio until Ctrl-C.

    Shipped weights and rendered examples are always there. On loopback no token is needed. On another address, who
    opens the page needs a token; the printed address holds it.

    Args:
        folders: training runs, model folders, prepared data, videos, or folders of these; `runs/` is added.
        host: address to bind to.
        port: number to listen on; 0: any free one.
        token: needed to open the page, MIN_TOKEN characters or more; None: none on loopback, a random one elsewhere.
        echo: called with the address of the page.

    Raises:
        ConfigError: gradio is missing, a folder does not exist, the port is in use, or the token is too short.
    """
    from vidgan.studio.gradio_import import import_gradio

    try:
        import_gradio()
        import uvicorn
    except ModuleNotFoundError as error:
        raise ConfigError(f"vidgan studio needs {error.name}; install it with pip install 'vidgan[studio]'") from None
    from vidgan.studio.context import open_studio
    from vidgan.studio.gate import is_loopback
    from vidgan.studio.serve import build_app, sweeping

    chosen = searched_folders(folders)
    if token is not None and len(token) < MIN_TOKEN:
        raise ConfigError(f"--share-token: has {len(token)} characters; accepted are {MIN_TOKEN} or more")
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
    with listening(host, port) as listener, temporary_folder() as scratch:
        os.environ["GRADIO_TEMP_DIR"] = str(scratch / "gradio")
        number = listener.getsockname()[1]
        state = open_studio(chosen, scratch, number)
        app = build_app(state, host=host, token=token)
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host
        shown = f"[{name}]" if ":" in name else name
        echo(f"vidgan studio: http://{shown}:{number}/" + (f"?token={token}" if token else ""))
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=2
        )
        with sweeping(state), ending_on_sigterm():
            uvicorn.Server(config).run(sockets=[listener])


def searched_folders(folders: Sequence[Path | str]) -> list[Path]:
    """The given folders, and `runs/`, in which trainings that pages start appear; it need not exist yet.

    Raises:
        ConfigError: a given folder does not exist.
    """
    chosen = [Path(folder) for folder in folders]
    for folder in chosen:
        if not folder.exists():
            raise ConfigError(f"{folder}: no such file or folder; accepted are runs, models, prepared data and videos")
    if Path(DEFAULT_FOLDER).resolve() not in [folder.resolve() for folder in chosen]:
        chosen.append(Path(DEFAULT_FOLDER))
    return chosen


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """SIGTERM raises SystemExit inside, so that temporary files are removed; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens on an address.

    Raises:
        ConfigError: the address or port cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"--host {host} --port {port}: {reason}; choose another --port, or 0 for any") from None
    return listener
