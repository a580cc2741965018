"""A document of headings, paragraphs, tables and images, as HTML that needs nothing else, as Markdown, and its tables as CSV."""

import csv
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from lsd_experiments.errors import without_passwords

NONE = "–"

MARK = '<meta name="generator" content="lsd-experiments report">'  # of a page that may be written over
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 2em auto; max-width: 78em; padding: 0 1em; }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto; }
th, td { padding: .25em .7em; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { border-bottom: 2px solid #888; }
img { max-width: 100%; }
figure { margin: 1em 0; }
figcaption { color: #555; }
h2 { margin-top: 2em; border-top: 1px solid #ccc; padding-top: .7em; }
""".strip()
NUMBER = re.compile(r"[-+]?[\d,.]+(e[-+]?\d+)?( ± [\d.]+)?( %)?")


@dataclass(frozen=True)
class Heading:
    """A heading of level 1, 2 or 3."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Some sentences."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Table:
    """``name``: of its CSV file."""

    name: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Image:
    """``file``: beside the page. ``text``: what one sees."""

    file: str
    text: str


Element: TypeAlias = Heading | Paragraph | Points | Table | Image


@dataclass
class Document:
    """Elements in order."""

    title: str
    elements: list[Element] = field(default_factory=list)

    def add(self, *elements: Element) -> None:
        """Put ``elements`` at the end."""
        self.elements.extend(elements)

    @property
    def tables(self) -> list[Table]:
        """Its tables."""
        return [element for element in self.elements if isinstance(element, Table)]

    def html(self) -> str:
        """One page; its images lie beside it."""
        parts = "\n".join(_html(element) for element in self.elements)
        return without_passwords(
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}\n<link rel="icon" '
            f'href="data:,">\n<title>{_escaped(self.title)}'
            f"</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<h1>{_escaped(self.title)}</h1>\n{parts}\n</body>\n</html>\n"
        )

    def markdown(self) -> str:
        """The same as Markdown."""
        return without_passwords("\n\n".join([f"# {self.title}", *map(_markdown, self.elements)]) + "\n")


def as_csv(table: Table) -> str:
    """A table as CSV; what is not known is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows([["" if cell == NONE else cell for cell in row] for row in table.rows])
    return without_passwords(stream.getvalue())


def number(value: float | int | None, digits: int = 3) -> str:
    """A number, whole ones with commas, others to ``digits`` decimals; a dash for None."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def mean_and_spread(mean: float | None, spread: float | None, digits: int = 3) -> str:
    """``0.512 ± 0.031``; without a spread the mean alone."""
    return number(mean, digits) + ("" if spread is None else f" ± {spread:.{digits}f}")


def _html(element: Element) -> str:
    match element:
        case Heading(level, text):
            return f"<h{level}>{_escaped(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_escaped(text)}</p>"
        case Points(lines):
            return "<ul>\n" + "\n".join(f"<li>{_escaped(line)}</li>" for line in lines) + "\n</ul>"
        case Table(_, header, rows):
            head = "".join(f"<th>{_escaped(cell)}</th>" for cell in header)
            body = "\n".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
            return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
        case Image(file, text):
            return (
                f'<figure><img src="{_escaped(file)}" alt="{_escaped(text)}"><figcaption>{_escaped(text)}</figcaption></figure>'
            )


def _cell(cell: str) -> str:
    kind = ' class="number"' if NUMBER.fullmatch(cell) or cell == NONE else ""
    return f"<td{kind}>{_escaped(cell)}</td>"


def _markdown(element: Element) -> str:
    match element:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Points(lines):
            return "\n".join(f"- {line}" for line in lines)
        case Table(_, header, rows):
            return "\n".join(
                "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
                for row in (header, ["---"] * len(header), *rows)
            )
        case Image(file, text):
            return f"![{text}]({file})"


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
