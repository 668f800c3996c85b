# SPDX-License-Identifier: Apache-2.0
"""The pages of the documentation as tests see them: their links, their shell blocks, what is marked to be run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_FENCE = re.compile(
    r"^(?:<!-- test: (?P<mark>run|prints) -->\n)?```(?P<language>[a-z]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its mark (`run`, `prints` or empty), its language and its text."""

    mark: str
    language: str
    text: str


def pages() -> list[Path]:
    """Every page: those of docs/ and those at the top."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    return [Block(found["mark"] or "", found["language"], found["text"]) for found in _FENCE.finditer(text)]


def inline_code(page: Path) -> Iterator[str]:
    """What stands between single backquotes, fenced blocks left out."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for found in _INLINE.finditer(text):
        yield found[1]


def shell_lines(page: Path) -> Iterator[str]:
    """The lines of shell blocks, continued ones joined, comments and here-documents left out."""
    for block in blocks(page):
        if block.language != "sh":
            continue
        text = re.sub(r"<<EOF\n.*?^EOF$", "", block.text, flags=re.MULTILINE | re.DOTALL).replace("\\\n", " ")
        for line in text.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.strip()


def links(page: Path) -> Iterator[str]:
    """The targets of the links of a page."""
    for found in _LINK.finditer(_FENCE.sub("", page.read_text(encoding="utf-8"))):
        yield found[1]


def anchors(page: Path) -> set[str]:
    """The anchors that headings make, as GitHub spells them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
