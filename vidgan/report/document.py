"""The frame of every HTML page: one file without requests, whose content policy names what may run and style it."""

import base64
import hashlib
from html import escape

__all__ = ["html_document", "source_hash"]


def source_hash(text: str) -> str:
    """A style or script as a content policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def html_document(*, title: str, css: str, allowed: str, body: str, refresh: str = "") -> str:
    """The whole page as text.

    Args:
        title: of the window, not yet escaped.
        css: the only style sheet.
        allowed: directives of the content policy for styles and scripts. Of all else, only embedded images are allowed.
        body: HTML.
        refresh: seconds after which a browser reloads the page; empty: never.
    """
    policy = f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'"
    reload = f'\n<meta http-equiv="refresh" content="{refresh}">' if refresh else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">{reload}
<title>{escape(title)}</title>
<style>{css}</style>
</head>
<body>
{body}
</body>
</html>
"""
