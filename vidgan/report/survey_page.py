"""The page of a survey: pairs of clips side by side, votes by keyboard, which are downloaded as a JSON file.

One HTML file without any request. It holds the clips and no hint of their origin: left and right were drawn before, and
the key stays with the person who evaluates the votes.
"""

import base64
import json
from collections.abc import Sequence
from html import escape

from vidgan.report.document import html_document, source_hash

__all__ = ["survey_page"]

CSS = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 0 auto; padding: 1rem; text-align: center; }
h1 { font-size: 1.25rem; margin: .5rem 0; }
#bar { height: .4rem; background: #8883; border-radius: .2rem; overflow: hidden; }
#bar div { height: 100%; width: 0; background: #3a7bd5; }
#clips { margin: 1rem auto; line-height: 0; }
#clips img { max-width: 100%; height: auto; image-rendering: pixelated; }
button { font: inherit; padding: .5rem 1rem; margin: .25rem; cursor: pointer; }
kbd { border: 1px solid #8888; border-radius: .25rem; padding: 0 .35rem; font: .85em monospace; }
p.keys { color: #777; } input { font: inherit; padding: .4rem; } [hidden] { display: none; }
"""
SCRIPT = """
'use strict';
const survey = JSON.parse(document.getElementById('survey').textContent);
const at = id => document.getElementById(id), store = 'vidgan-survey-' + survey.id;
let votes = [], shown = 0;
try { votes = JSON.parse(localStorage.getItem(store)) || []; } catch (error) { votes = []; }
function keep() { try { localStorage.setItem(store, JSON.stringify(votes)); } catch (error) { /* no storage */ } }
function show() {
  const total = survey.clips.length, done = votes.length >= total;
  at('bar').firstElementChild.style.width = 100 * votes.length / total + '%';
  at('count').textContent = done
    ? 'All ' + total + ' pairs are done. Thank you.' : 'Pair ' + (votes.length + 1) + ' of ' + total;
  at('trial').hidden = done; at('end').hidden = votes.length === 0;
  at('back').disabled = votes.length === 0;
  if (!done) { at('pair').src = ''; at('pair').src = survey.clips[votes.length]; shown = performance.now(); }
}
function vote(choice) {
  if (votes.length >= survey.clips.length) return;
  const seconds = Math.round(performance.now() - shown) / 1000;
  votes.push({ trial: votes.length, choice: choice, seconds: seconds }); keep(); show();
}
function back() { votes.pop(); keep(); show(); }
function save() {
  const content = { vidgan_survey: 1, survey: survey.id, voter: at('voter').value.trim(), votes: votes };
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: 'application/json' }));
  const name = content.voter.replace(/[^A-Za-z0-9]+/g, '-');
  link.download = 'votes-' + survey.id + (name ? '-' + name : '') + '.json';
  document.body.append(link); link.click(); link.remove();
}
const keys = { ArrowLeft: () => vote('left'), ArrowRight: () => vote('right'), ArrowDown: () => vote('tie'),
  ' ': () => vote('tie'), Backspace: back };
document.addEventListener('keydown', event => {
  if (event.target.tagName === 'INPUT' || event.repeat || !(event.key in keys)) return;
  event.preventDefault(); keys[event.key]();
});
for (const choice of ['left', 'tie', 'right'])
  at(choice).addEventListener('click', event => { event.target.blur(); vote(choice); });
at('back').addEventListener('click', event => { event.target.blur(); back(); });
at('save').addEventListener('click', save);
show();
"""


def survey_page(survey: str, clips: Sequence[bytes], *, width: int, question: str) -> str:
    """The page as text.

    Args:
        survey: its id, which the votes repeat.
        clips: of each trial an animated WebP with both clips side by side.
        width: to which the images are magnified, in pixels.
        question: asked of each pair.
    """
    sources = [f"data:image/webp;base64,{base64.b64encode(clip).decode()}" for clip in clips]
    # "<" cannot end the script element: JSON of an id and of base64 holds none, but an escape costs nothing.
    content = json.dumps({"id": survey, "clips": sources}).replace("<", "\\u003c")
    return html_document(
        title="Which clip is better?",
        css=CSS,
        allowed=f"script-src {source_hash(SCRIPT)}; style-src-elem {source_hash(CSS)}; style-src-attr 'unsafe-inline'",
        body=f"""<h1>{escape(question)}</h1>
<div id="bar"><div></div></div>
<p id="count"></p>
<div id="trial">
<div id="clips"><img id="pair" width="{width}" alt="Two clips side by side"></div>
<button id="left">Left</button><button id="tie">No difference</button><button id="right">Right</button>
<p class="keys"><kbd>&larr;</kbd> left &nbsp; <kbd>&rarr;</kbd> right &nbsp; <kbd>&darr;</kbd> or <kbd>space</kbd> no
difference &nbsp; <kbd>backspace</kbd> back</p>
</div>
<button id="back">Back</button>
<div id="end" hidden>
<p><label>Your name (optional) <input id="voter" maxlength="60"></label>
<button id="save">Download the votes</button></p>
</div>
<noscript><p>This page needs JavaScript. It works offline and sends nothing.</p></noscript>
<script type="application/json" id="survey">{content}</script>
<script>{SCRIPT}</script>""",
    )
