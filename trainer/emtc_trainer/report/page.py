"""The page: HTML without anything from elsewhere, and the same as Markdown without the plots."""

from __future__ import annotations

import html
import itertools
from collections.abc import Sequence

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: .85rem; margin: .8rem 0; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #eee; }
th:first-child, td:first-child { text-align: left; }
tr.ours { background: #eef4fa; font-weight: 600; }
svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
p.note { color: #555; font-size: .85rem; }
"""


class Page:
    """Collects sections.

    Args:
        title: Title of the page.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._html: list[str] = []
        self._markdown: list[str] = []

    def heading(self, text: str) -> None:
        """A section begins."""
        self._html.append(f"<h2>{html.escape(text)}</h2>")
        self._markdown.append(f"## {text}")

    def text(self, text: str) -> None:
        """A paragraph."""
        self._html.append(f"<p>{html.escape(text)}</p>")
        self._markdown.append(text)

    def note(self, text: str) -> None:
        """A paragraph in small print."""
        self._html.append(f'<p class="note">{html.escape(text)}</p>')
        self._markdown.append(text)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], ours: str = "") -> None:
        """A table; the row that begins with ``ours`` stands out."""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
        body = "".join(
            f'<tr class="{"ours" if row[0] == ours else ""}">'
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in rows
        )
        self._html.append(f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>')
        lines = [header, ["---"] * len(header), *rows]
        self._markdown.append("\n".join(f"| {' | '.join(line)} |" for line in lines))

    def plot(self, svg: str, caption: str) -> None:
        """A plot with what it shows; HTML only."""
        self._html.append(f'<div class="scroll">{svg}</div><p class="note">{html.escape(caption)}</p>')

    def html(self) -> str:
        """The whole page."""
        title = html.escape(self._title)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
            f"<body><h1>{title}</h1>{''.join(self._html)}</body></html>\n"
        )

    def markdown(self) -> str:
        """The same without plots, and without headings of plots only."""
        parts = [f"# {self._title}"]
        for part, following in itertools.pairwise([*self._markdown, "## "]):
            if not (part.startswith("## ") and following.startswith("## ")):
                parts.append(part)
        return "\n\n".join(parts) + "\n"
