"""The page with its tabs."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import gradio as gr

from vidgan.studio.context import Studio
from vidgan.studio.layout import compare, data, forecast, runs, synthesis, transform
from vidgan.studio.layout.parts import Restored, estimated

__all__ = ["CSS", "HEAD", "THEME", "build_page"]

TABS: Final = (
    ("forecast", "Forecast", forecast.build),
    ("synthesis", "Synthesis", synthesis.build),
    ("transform", "Transform", transform.build),
    ("compare", "Compare", compare.build),
    ("data", "Data", data.build),
    ("runs", "Runs", runs.build),
)

THEME: Final = gr.themes.Base(
    primary_hue="blue",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
    radius_size=gr.themes.sizes.radius_sm,
    spacing_size=gr.themes.sizes.spacing_sm,
)

# The first tab is selected before the page has restored what its address asks for.
HEAD: Final = "<script>window.vidganQuery = window.location.search;</script>" + compare.KEYS
_SELECT_SCRIPT: Final = """() => {
  if (window.vidganIsRestored && new URLSearchParams(location.search).get('tab') !== 'NAME')
    history.replaceState(null, '', '?tab=NAME');
}"""

CSS: Final = """
.gradio-container { max-width: 1500px !important; padding: 12px 16px !important; }
.vg-head { display: flex; gap: 12px; align-items: baseline; flex-wrap: wrap; }
.vg-head h1 { font-size: 1.25rem; font-weight: 650; margin: 0; }
.vg-head p { margin: 0; opacity: .7; font-size: .9rem; }
.vg-drop { display: block; border: 1.5px dashed var(--border-color-primary); border-radius: 6px; padding: 10px 12px;
  cursor: pointer; background: var(--block-background-fill); }
.vg-drop:hover, .vg-drop:focus-within { border-color: var(--color-accent); }
.vg-drop input { position: absolute; opacity: 0; width: 1px; height: 1px; }
.vg-drop span { display: block; overflow-wrap: anywhere; }
.vg-drop-note, .vg-note { font-size: .8rem; opacity: .75; margin: 2px 0 0; }
.vg-drop-clear { font-size: .8rem; text-decoration: underline; }
.vg-film { position: relative; touch-action: none; user-select: none; cursor: ew-resize; overflow: hidden;
  border-radius: 4px; background: var(--border-color-primary); }
.vg-film img { display: block; min-height: 28px; }
.vg-film div { position: absolute; top: 0; bottom: 0; box-sizing: border-box; }
.vg-context { border: 3px solid #2563eb; background: #2563eb33; }
.vg-horizon { border: 3px solid #ea580c; background: #ea580c33; }
.vg-key-context, .vg-key-horizon { display: inline-block; width: .7em; height: .7em; background: #2563eb; }
.vg-key-horizon { background: #ea580c; }
.vg-player { width: 100%; border: 0; min-height: 120px; display: block; }
.vg-files { display: flex; gap: 6px; align-items: center; flex-wrap: wrap; }
.vg-files a { border: 1px solid var(--border-color-primary); border-radius: 5px; padding: 3px 10px; }
.vg-error { color: #b91c1c; font-weight: 550; margin: 0; overflow-wrap: anywhere; }
.dark .vg-error { color: #fca5a5; }
.vg-table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.vg-table th, .vg-table td { padding: 3px 12px; text-align: left;
  border-bottom: 1px solid var(--border-color-primary); }
.vg-table th small { display: block; font-weight: 400; opacity: .75; white-space: nowrap; }
.vg-wide { overflow-x: auto; max-width: 100%; }
#compare-result dt { font-weight: 600; margin-top: 6px; }
#compare-result dd { margin: 0 0 0 12px; overflow-wrap: anywhere; }
.vg-output pre { max-height: 240px; overflow: auto; font-size: .8rem; white-space: pre-wrap; }
.vg-status, .vg-trust { margin: 0; }
@media (max-width: 640px) { .gradio-container { padding: 8px 2px !important; } }
"""


def build_page(studio: Studio) -> gr.Blocks:
    """The whole page."""
    restored: dict[str, Restored] = {}
    with gr.Blocks(title="vidgan studio", analytics_enabled=False) as page:
        gr.HTML('<div class="vg-head"><h1>vidgan studio</h1><p>Everything stays on this machine.</p></div>')
        query = gr.Textbox(visible=False)
        with gr.Tabs(elem_id="tabs") as tabs:
            for name, title, build in TABS:
                with gr.Tab(title, id=name, elem_id=f"tab-{name}") as tab:
                    build(studio, restored)
                tab.select(None, js=_SELECT_SCRIPT.replace("NAME", name))
                for one in restored[name].estimates:
                    tab.select(estimated(studio, one), one.inputs, one.output, show_progress="hidden")

        def restore(text: str) -> list[Any]:
            studio.catalogue.refresh()
            values: Mapping[str, str] = dict(parse_qsl((text or "").removeprefix("?")[:4000]))
            names = [name for name, _, _ in TABS]
            chosen = values.get("tab") if values.get("tab") in names else names[0]
            updates: list[Any] = [gr.Tabs(selected=chosen)]
            for name, one in restored.items():
                updates += one.function(values if name == chosen else {})
            return updates

        estimates = [(name, one) for name, _, _ in TABS for one in restored[name].estimates]

        def estimate_opened(request: gr.Request, text: str, *values: Any) -> list[Any]:
            chosen = dict(parse_qsl((text or "").removeprefix("?")[:4000])).get("tab", TABS[0][0])
            rest, lines = list(values), []
            for name, one in estimates:
                own, rest = rest[: len(one.inputs)], rest[len(one.inputs) :]
                lines.append(estimated(studio, one)(request, *own) if name == chosen else gr.skip())
            return lines

        outputs = [tabs, *(control for one in restored.values() for control in one.controls)]
        loaded = page.load(restore, query, outputs, js="() => [window.vidganQuery]", show_progress="hidden")
        loaded.then(None, js="() => { window.vidganIsRestored = true; }")
        loaded.then(
            estimate_opened,
            [query, *(control for _, one in estimates for control in one.inputs)],
            [one.output for _, one in estimates],
            js="(text, ...values) => [window.vidganQuery, ...values]",
            show_progress="hidden",
        )
        for tab_values in restored.values():
            if tab_values.afterwards is not None:
                function, inputs, results = tab_values.afterwards
                loaded.then(function, inputs, results, show_progress="hidden")
    return page
