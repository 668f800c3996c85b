# SPDX-License-Identifier: Apache-2.0
"""What the code of a handler says of its operation: parameters, headers, body, and how it answers.

Handlers ask for what they need by name (`request.incoming.parameter("name")`, `request.document(ProjectReq)`). So whoever reads
the handler, and the functions of this package that it calls, knows all of it; nothing has to be declared a second time, and
nothing that is declared can be wrong. This runs when the document is made, never in a server.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Final, get_args, get_type_hints

from litestar import Response

from longshore.api import paging, query, request, serialising
from longshore.api.lists import answer_list
from longshore.api.request import APIRequest

ANYTHING: Final = "*/*"
"""The media type of an answer that has that of what was pushed."""

_PACKAGE: Final = "longshore.api"
_PAGE: Final = {
    "page": ("The page, from 1 on.", {"type": "integer", "default": 1}),
    "page_size": (
        "How many items a page has; 0 for all of them at once.",
        {"type": "integer", "default": 10, "maximum": 100},
    ),
}
_Q: Final = (
    "Conditions, separated by commas: `name=value`, `name=~part`, `time=[low~high]`, `name={a b}`, `labels=(1 2)`."
)
_SORT: Final = "What to sort by, separated by commas; `-` before what falls."


@dataclass(slots=True)
class Reading:
    """What was read of one operation.

    Attributes:
        query: Query parameters with what they mean and their schema.
        headers: Headers that are looked at, in lower case.
        integers: Parts of the path that are numbers.
        body: The type of the body.
        listed: Whether the answer is a page of a list.
        created: Whether the answer is 201 with a `Location`.
        content: The type of the answer's document; None for an answer without one.
        media_type: That of an answer that isn't JSON.
        status: That of success.
    """

    query: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    headers: set[str] = field(default_factory=set)
    integers: set[str] = field(default_factory=set)
    body: Any = None
    listed: bool = False
    created: bool = False
    content: Any = None
    media_type: str = "application/json"
    status: int = 200
    _seen: set[Any] = field(default_factory=set)
    _loops: dict[str, list[Any]] = field(default_factory=dict)

    def read(self, function: FunctionType) -> None:
        """Reads a function and those of the package that it calls."""
        if function in self._seen:
            return
        self._seen.add(function)
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        known = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
        self._loops = _loops(tree, known)
        for call in list(_calls(tree)):
            self._look(call, known)

    def _look(self, call: ast.Call, known: dict[str, Any]) -> None:
        called = _called(call.func, known)
        if self._parameter(call, called) or self._convention(call, called, known):
            return
        self._answer(call, called, known)
        if isinstance(called, FunctionType) and called.__module__.startswith(_PACKAGE):
            self.read(called)

    def _parameter(self, call: ast.Call, called: Any) -> bool:
        """Whether the call asks for a parameter or a header by its name."""
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        texts = self._texts(call)
        if called is query.is_true:
            for inner in _calls(call.args[0]):
                if getattr(inner.func, "attr", "") == "parameter":
                    self.query |= {text: ("", {"type": "boolean"}) for text in self._texts(inner)}
        elif called is query.parse_flag and texts:
            self.query[texts[0]] = ("", {"type": "boolean"})
        elif name == "parameter" and texts:
            for text in texts:
                self.query.setdefault(text, ("", {"type": "string"}))
        elif name in {"flag", "header"} and texts and isinstance(texts[0], bytes):
            self.headers.add(texts[0].decode())
        else:
            return False
        return True

    def _texts(self, call: ast.Call) -> list[Any]:
        """The constants that a call is given, also those that a loop runs over."""
        texts: list[Any] = []
        for each in call.args:
            if isinstance(each, ast.Constant):
                texts.append(each.value)
            elif isinstance(each, ast.Name):
                texts += self._loops.get(each.id, ())
        return texts

    def _convention(self, call: ast.Call, called: Any, known: dict[str, Any]) -> bool:
        """Whether the call is one of those that mean the same everywhere."""
        if called is paging.parse_page:
            self.query |= _PAGE
        elif called is query.parse_q:
            self.query["q"] = (_Q, {"type": "string"})
        elif called is query.parse_sort:
            self.query["sort"] = (_SORT, {"type": "string"})
        elif called is APIRequest.document or called is serialising.read:
            self.body = _evaluated(call.args[-1], known) or self.body
        elif called is serialising.read_texts:
            self.body = dict[str, str]
        elif called is request.parse_id and isinstance(call.args[-1], ast.Constant):
            self.integers.add(str(call.args[-1].value))
        elif called is answer_list or called is paging.page_headers:
            self.listed = True
        else:
            return False
        return True

    def _answer(self, call: ast.Call, called: Any, known: dict[str, Any]) -> None:
        answers = called is serialising.answer or called is serialising.empty
        answers = answers or (isinstance(called, type) and issubclass(called, Response))
        for keyword in call.keywords if answers else ():
            if keyword.arg in {"status", "status_code"} and isinstance(keyword.value, ast.Constant):
                self.status = int(str(keyword.value.value))
            if keyword.arg == "media_type":
                told = (
                    keyword.value.value if isinstance(keyword.value, ast.Constant) else _evaluated(keyword.value, known)
                )
                self.media_type = str(told or ANYTHING).partition(";")[0]
        if called is serialising.created:
            self.created, self.status = True, 201
            if len(call.args) > 1:
                self.content = _made_by(call.args[1], known)


def read_handler(handler: Any) -> Reading:
    """What the code of one of Litestar's handlers says."""
    function: FunctionType = getattr(handler.fn, "value", handler.fn)
    reading = Reading(status=handler.status_code if handler.status_code not in {None, 201} else 200)
    reading.read(function)
    shown = get_args(get_type_hints(function).get("return"))
    if shown and shown[0] is not Any:
        reading.content = shown[0]
    elif reading.media_type == ANYTHING:
        reading.content = bytes
    return reading


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node


def _loops(tree: ast.AST, known: dict[str, Any]) -> dict[str, list[Any]]:
    """What the variables of loops over a constant of the module are, one after the other."""
    found: dict[str, list[Any]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.For) or not isinstance(node.iter, ast.Name):
            continue
        items = known.get(node.iter.id, ())
        names = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
        for place, name in enumerate(names):
            if isinstance(name, ast.Name):
                found[name.id] = [item[place] if len(names) > 1 else item for item in items]
    return found


def _called(function: ast.expr, known: dict[str, Any]) -> Any:
    if isinstance(function, ast.Name):
        return known.get(function.id)
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        owner = APIRequest if function.value.id in {"request", "self"} else known.get(function.value.id)
        found = inspect.getattr_static(owner, function.attr, None)
        return found.fget if isinstance(found, property) else found
    return None


def _evaluated(expression: ast.expr, known: dict[str, Any]) -> Any:
    if isinstance(expression, ast.Name):
        return known.get(expression.id)
    return None


def _made_by(expression: ast.expr, known: dict[str, Any]) -> Any:
    """The type of what a call returns, or of a document that is made on the spot."""
    if not isinstance(expression, ast.Call):
        return None
    called: Callable[..., Any] | None = _called(expression.func, known)
    if isinstance(called, type):
        return called
    return None if called is None else get_type_hints(called).get("return")
