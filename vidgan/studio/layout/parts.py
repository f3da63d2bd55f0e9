"""Parts that several tabs use: drop zone, player, status line, files of a result, and the state in the address."""

import base64
import html
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from vidgan.errors import DataError, UserError
from vidgan.files import escape_controls
from vidgan.report.formatting import duration
from vidgan.report.player import PlayerClip, player_document
from vidgan.studio.context import Studio
from vidgan.studio.gate import UPLOAD_URL, cookie_name, file_url
from vidgan.studio.jobs import CancelledError
from vidgan.studio.saving import FORMATS
from vidgan.studio.sessions import MAX_UPLOAD_BYTES, Session

__all__ = [
    "Estimate",
    "Restored",
    "address",
    "canceller",
    "chosen_file",
    "code_line",
    "data_image",
    "drop_zone",
    "estimate_text",
    "estimated",
    "files_html",
    "guarded",
    "line_update",
    "links_html",
    "number_in",
    "page_view",
    "player",
    "player_view",
    "renew_estimate",
    "session_of",
    "status_html",
]

Values = Mapping[Any, Any]

_PROGRESS: Final = gr.Progress()


class Estimate(NamedTuple):
    """How long an action of a tab will take.

    Attributes:
        seconds: of the session and the values of the inputs; None where it is not known.
        inputs: controls that it depends on.
        output: receives the line.
    """

    seconds: Callable[..., float | None]
    inputs: list[Any]
    output: Any


class Restored(NamedTuple):
    """How a tab takes its values from an address.

    Attributes:
        function: of the values by name, returns an update for each control.
        controls: that it sets.
        afterwards: function, inputs and outputs of what is rendered then; None for nothing.
        estimates: of its actions, displayed when the tab is opened.
    """

    function: Callable[[Mapping[str, str]], list[Any]]
    controls: list[Any]
    afterwards: tuple[Callable[..., Any], list[Any], list[Any]] | None = None
    estimates: Sequence[Estimate] = ()


_DROP_TEMPLATE: Final = """
<label class="vg-drop">
  <input type="file" accept="${accept}" aria-label="${caption}">
  <span class="vg-drop-name">${value && value.name ? value.name : caption}</span>
  <span class="vg-drop-note">${value && value.text ? value.text : note}</span>
</label>
<button type="button" class="vg-drop-clear" ${value && value.name ? "" : "hidden"}>remove</button>
"""

_DROP_SCRIPT: Final = """
const note = text => { const line = element.querySelector('.vg-drop-note'); if (line) line.textContent = text; };
const send = async file => {
  if (file.size > MAX_BYTES) {
    note(`${file.name}: larger than ${MAX_BYTES / 1e6} MB, the most that is accepted`);
    return;
  }
  note(`${file.name}: being uploaded and checked ...`);
  try {
    const answer = await fetch(`UPLOAD_URL?name=${encodeURIComponent(file.name)}`, {method: 'POST', body: file});
    const content = await answer.json();
    if (content.error) { note(content.error); return; }
    props.value = content; trigger('change');
  } catch (error) { note(`the upload failed: ${error.message}`); }
};
element.addEventListener('change', event => {
  if (event.target.type !== 'file') return;
  event.stopPropagation();
  if (event.target.files.length) send(event.target.files[0]);
});
element.addEventListener('dragover', event => { event.preventDefault(); });
element.addEventListener('drop', event => {
  event.preventDefault();
  if (event.dataTransfer.files.length) send(event.dataTransfer.files[0]);
});
element.addEventListener('click', event => {
  if (event.target.classList.contains('vg-drop-clear')) { props.value = null; trigger('change'); }
});
""".replace("MAX_BYTES", str(MAX_UPLOAD_BYTES)).replace("UPLOAD_URL", UPLOAD_URL)

_PLAYER_SCRIPT: Final = """
const fit = () => {
  const frame = element.querySelector('iframe');
  if (!frame) return;
  const size = () => {
    const page = frame.contentDocument && frame.contentDocument.body;
    if (page) frame.style.height = `${page.scrollHeight + 8}px`;
  };
  frame.addEventListener('load', () => {
    size();
    new ResizeObserver(size).observe(frame.contentDocument.body);
  });
};
fit();
watch('value', fit);
"""


_ADDRESS_SCRIPT: Final = """(...values) => {
  const query = new URLSearchParams({tab: 'TAB'});
  NAMES.forEach((name, i) => {
    if (values[i] !== null && values[i] !== undefined && values[i] !== '') query.set(name, values[i]);
  });
  history.replaceState(null, '', '?' + query);
}"""


def drop_zone(name: str, caption: str = "Drop a video here, or choose a file", accept: str = "video/*,.gif") -> gr.HTML:
    """A place for a file. Its value is {"id", "name", "text"} of an upload of this browser, or None."""
    return gr.HTML(
        value=None,
        html_template=_DROP_TEMPLATE,
        js_on_load=_DROP_SCRIPT,
        elem_id=f"{name}-drop",
        caption=caption,
        note=f"at most {MAX_UPLOAD_BYTES // 10**6} MB; it stays on this machine and is removed after use",
        accept=accept,
    )


def player(name: str) -> gr.HTML:
    """A place for `player_view`."""
    return gr.HTML(elem_id=f"{name}-player", js_on_load=_PLAYER_SCRIPT)


def player_view(
    clips: Sequence[PlayerClip], *, fps: float, title: str, rows: Sequence[str] = (), columns: Sequence[str] = ()
) -> str:
    """Clips in the shared player, in a frame of its own, which lets its script run; arguments as of the player."""
    return page_view(player_document(clips, fps=fps, title=title, rows=rows, columns=columns), title)


def page_view(page: str, title: str) -> str:
    """A page in a frame of its own."""
    return f'<iframe class="vg-player" title="{html.escape(title)}" srcdoc="{html.escape(page)}"></iframe>'


def data_image(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 as the address of an image."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def files_html(identifier: str, name: str, extra: Sequence[str] = ()) -> str:
    """Links that save a result in each format."""
    return links_html(identifier, [*(f"{name}.{suffix}" for suffix in FORMATS), *extra])


def links_html(identifier: str, names: Sequence[str]) -> str:
    """Links that save files of a session, with the suffix alone where all share a name."""
    stem = names[0].rpartition(".")[0]
    links = "".join(
        f'<a download="{html.escape(name)}" href="{html.escape(file_url(identifier, name))}">'
        f"{html.escape(name.removeprefix(f'{stem}.'))}</a>"
        for name in names
    )
    return f'<div class="vg-files"><span>Save as</span>{links}</div>'


def code_line(name: str, label: str = "The same on the command line") -> gr.Code:
    """A place for the command line that does the same."""
    return gr.Code(
        value="",
        language="shell",
        label=label,
        interactive=False,
        wrap_lines=True,
        show_line_numbers=False,
        lines=1,
        visible=False,
        elem_id=f"{name}-line",
    )


def line_update(text: str) -> gr.Code:
    """A command line for the place of `code_line`."""
    return gr.Code(value=text, visible=True)


def status_html(text: str, *, is_error: bool = False) -> str:
    """The line below the buttons."""
    kind = ' class="vg-error" role="alert"' if is_error else ' class="vg-status" role="status"'
    return f"<p{kind}>{html.escape(escape_controls(text))}</p>" if text else ""


def estimate_text(seconds: float | None) -> str:
    """How long an action will take, as the line below its buttons."""
    if seconds is None:
        text = "The first run measures how long this takes here."
    elif seconds < 1:
        text = "Takes less than a second here."
    else:
        text = f"Takes about {duration(seconds)} here."
    return f'<p class="vg-note">{text}</p>'


def estimated(studio: Studio, one: Estimate) -> Callable[..., str]:
    """The line of an estimate as Gradio calls it; empty where the action would refuse the values."""

    def run(request: gr.Request, *values: Any) -> str:
        try:
            return estimate_text(one.seconds(session_of(studio, request), *values))
        except (UserError, ValueError, TypeError, OSError):  # the button says what is wrong
            return ""

    return run


def renew_estimate(studio: Studio, one: Estimate, *others: Any) -> Estimate:
    """Estimate again whenever the user changes an input, or after further events."""
    # Without preprocessing, which would complain about a number that is still being typed; a state needs it.
    raw = not any(isinstance(control, gr.State) for control in one.inputs)
    for control in one.inputs:
        event = control.change if isinstance(control, gr.HTML | gr.State) else control.input
        event(
            estimated(studio, one),
            one.inputs,
            one.output,
            preprocess=not raw,
            show_progress="hidden",
            trigger_mode="always_last",
        )
    for event in others:
        event(estimated(studio, one), one.inputs, one.output, preprocess=not raw, show_progress="hidden")
    return one


def session_of(studio: Studio, request: gr.Request) -> Session:
    """The session of the browser that made a request.

    Raises:
        DataError: it has ended.
    """
    session = studio.sessions.get(request.cookies.get(cookie_name(studio.port)))
    if session is None:
        raise DataError("this page is too old; reload it")
    return session


def guarded(
    studio: Studio, tab: str, status: gr.HTML, function: Callable[..., Iterator[Values]]
) -> Callable[..., Iterator[Values]]:
    """A generator of updates as Gradio calls it. A refusal becomes a line on the page; the job can be cancelled.

    Args:
        studio: the studio.
        tab: whose job it is.
        status: receives the line.
        function: called with the session, the job and the values of the controls.
    """

    # Gradio recognises by annotation and default what it has to pass.
    def run(request: gr.Request, progress: gr.Progress = _PROGRESS, *values: Any) -> Iterator[Values]:
        job = None
        try:
            session = session_of(studio, request)
            job = session.begin(tab, report=lambda share, text: progress(share, desc=text))
            yield from function(session, job, *values)
        except CancelledError as error:
            yield {status: status_html(str(error))}
        except (UserError, ValueError, OSError, RuntimeError, MemoryError) as error:
            yield {status: status_html(_plain(error), is_error=True)}
        finally:
            if job is not None:
                job.is_over = True

    return run


def _plain(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return "ran out of memory; choose fewer or smaller frames" if isinstance(error, MemoryError) else text


def address(tab: str, controls: Mapping[str, Any], others: Sequence[Any] = ()) -> None:
    """Keep the values that a user sets in the address of the page.

    Args:
        tab: name of the tab.
        controls: by their names in the address.
        others: further events after which the address is written.
    """
    names = "[" + ",".join(f"'{name}'" for name in controls) + "]"
    script = _ADDRESS_SCRIPT.replace("TAB", tab).replace("NAMES", names)
    for event in [*(control.input for control in controls.values()), *others]:
        event(None, inputs=list(controls.values()), js=script, show_progress="hidden", queue=False)


def number_in(query: Mapping[str, str], name: str, default: float | None, least: float, most: float) -> float | None:
    """A whole number of an address, or the default where it is missing or out of range."""
    text = query.get(name, "")
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    return default


def canceller(studio: Studio, *tabs: str) -> Callable[[gr.Request], str]:
    """What a Cancel button calls: asks the jobs of these names to stop; its `cancels` drops waiting ones."""

    def cancel(request: gr.Request) -> str:
        session = session_of(studio, request)
        for tab in tabs:
            session.cancel(tab)
        return status_html("cancelled")

    return cancel


def chosen_file(session: Session, upload: object, suffixes: Iterable[str]) -> Path | None:
    """The uploaded file of one of these kinds, None without an upload.

    Raises:
        DataError: it is of another browser or another kind.
    """
    if not isinstance(upload, dict):
        return None
    files = [file for file in session.find(upload.get("id")).iterdir() if file.suffix in suffixes]
    if len(files) != 1:
        raise DataError(f"{upload.get('name')}: not accepted here; accepted are {', '.join(sorted(suffixes))}")
    return files[0]
