"""The server of the studio: Gradio's application behind the gate, in one process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from vidgan.studio.context import Studio
from vidgan.studio.gate import LOOPBACK, Gate, is_loopback

__all__ = ["build_app", "sweeping"]

MAX_WAITING: Final = 200  # actions in the queue
SWEEP_SECONDS: Final = 20.0


def build_app(studio: Studio, *, host: str, token: str | None) -> Gate:
    """The application for an ASGI server.

    Args:
        studio: its state.
        host: address that it is bound to.
        token: needed to open the page; None: not needed.
    """
    import gradio as gr
    from fastapi import FastAPI

    from vidgan.studio.layout.page import CSS, HEAD, THEME, build_page

    page = build_page(studio)
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=4, api_open=False)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    mounted: Any = gr.mount_gradio_app(
        app,
        page,
        path="/",
        server_name=host,
        server_port=studio.port,
        footer_links=[],
        run_history=False,
        max_file_size=1,  # its own uploads are closed
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        theme=THEME,
        css=CSS,
        head=HEAD,
        show_error=False,
    )
    hosts = LOOPBACK if is_loopback(host) else ()
    return Gate(mounted, studio.sessions, port=studio.port, hosts=hosts, token=token)


@contextmanager
def sweeping(studio: Studio) -> Iterator[None]:
    """End abandoned sessions from time to time inside; afterwards, stop the trainings that pages started."""
    over = threading.Event()

    def sweep() -> None:
        while not over.wait(SWEEP_SECONDS):
            studio.sessions.sweep()

    thread = threading.Thread(target=sweep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        studio.trainings.close()
