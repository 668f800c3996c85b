# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001 - docs/ is a folder of pages with a script, not a package
"""Writes the generated parts of the reference pages: what the code says of itself is never copied by hand.

A page has `<!-- generated: NAME -->` … `<!-- end of generated -->` around each part that comes from here; everything else on it
is written by people and left alone. Run it after a change of settings, commands, errors, metrics, events, tables or rights:

    .venv/bin/python docs/generate.py            writes
    .venv/bin/python docs/generate.py --check    writes nothing, names what is out of date, exit code 1 if anything is
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any, get_args

import typer
from pydantic.fields import FieldInfo

import longshore
import longshore.tables
from longshore.access import policy, vocabulary
from longshore.access.decision import explained_rules
from longshore.access.models import Permission
from longshore.api.app import CONTROLLERS
from longshore.api.openapi.controller import DOCUMENT
from longshore.api.openapi.document import describe
from longshore.api.operations import OPERATIONS
from longshore.cli.main import app
from longshore.config import PREFIX, SECRETS, Settings
from longshore.distribution import app as distribution
from longshore.events.models import EventKind
from longshore.oci.errors import ERRORS, LongshoreError
from longshore.projects.models import Role
from longshore.storage.s3.location import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "longshore"
OPENAPI = SOURCE / "api" / "openapi" / DOCUMENT
CONTRACT = ROOT / "tests" / "unit" / "api" / "contract.json"
BLOCK = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end of generated -->)", re.DOTALL)

_NOTHING = "-"
_UNITS = ((3_600, "h"), (60, "m"), (1, "s"))
_KINDS = {"Counter": "counter", "Gauge": "gauge", "Histogram": "histogram", "Summary": "summary"}
_PATHS = {
    "manifests": "/v2/<name>/manifests/<tag or digest>",
    "blobs": "/v2/<name>/blobs/<digest>",
    "uploads": "/v2/<name>/blobs/uploads/",
    "upload": "/v2/<name>/blobs/uploads/<upload>",
    "tags": "/v2/<name>/tags/list",
    "referrers": "/v2/<name>/referrers/<digest>",
}
_ROLES = (Role.LIMITED_GUEST, Role.GUEST, Role.DEVELOPER, Role.MAINTAINER, Role.PROJECT_ADMIN)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside of cells are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def code(text: str) -> str:
    """Text as code, nothing as nothing."""
    return f"`{text}`" if text else ""


def first_sentence(documented: object) -> str:
    """The first line of a docstring, which in this project is a sentence."""
    return (inspect.getdoc(documented) or "").partition("\n")[0]


# --- settings


def storage_options() -> str:
    """Every option of a storage URL for S3, in the order of the source."""
    return table(
        ("Option", "Takes", "Default", "Meaning"),
        ((code(option.name), option.takes, option.default, option.meaning) for option in OPTIONS),
    )


def settings() -> str:
    """Every setting, in the order of the class."""
    rows = []
    for name, field in Settings.model_fields.items():
        variable = PREFIX + name.upper()
        also = f"<br>or `{variable}_FILE`" if name in SECRETS else ""
        rows.append((f"`{variable}`{also}", _kind(field), _default(field), field.description or ""))
    return table(("Environment variable", "Type", "Default", "Meaning"), rows)


def _kind(field: FieldInfo) -> str:
    text = str(field.annotation)
    choices = [value for value in get_args(field.annotation) if isinstance(value, str)]
    if choices:
        return " or ".join(code(choice) for choice in choices)
    for part, kind in (
        ("timedelta", "duration"),
        ("Network", "addresses or ranges, with commas"),
        ("Path", "path"),
        ("float", "number"),
        ("int", "whole number"),
        ("SecretStr", "text, secret"),
    ):
        if part in text:
            bounds = {kind: value for limit in field.metadata for kind, value in _bound(limit)}
            return kind + (f", {bounds['ge']} to {bounds['le']}" if len(bounds) == 2 else "")
    return "text"


def _bound(limit: object) -> Iterator[tuple[str, Any]]:
    for name in ("ge", "le"):
        if hasattr(limit, name):
            yield name, getattr(limit, name)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == ():
        return _NOTHING
    if isinstance(value, timedelta):
        return code(duration(value))
    return code(str(value))


def duration(value: timedelta) -> str:
    """A duration as it is written in settings."""
    seconds = int(value.total_seconds())
    unit, letter = next(((unit, letter) for unit, letter in _UNITS if seconds and seconds % unit == 0), (1, "s"))
    return f"{seconds // unit}{letter}"


# --- the command line


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, as typer made it."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if children is None:
            yield name, command
            return
        for child in children:
            yield from walk(f"{name} {child}", children[child])

    yield from walk("longshore", typer.main.get_command(app))


def cli() -> str:
    """A section for every command, with its arguments and options."""
    return "\n".join(
        f"## `{name}`\n\n{command.help or ''}\n\n{_parameters(name, command)}" for name, command in commands()
    )


def _parameters(name: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not parameter.hidden and parameter.name != "help"]
    arguments = [parameter for parameter in shown if parameter.param_type_name == "argument"]
    options = [parameter for parameter in shown if parameter.param_type_name == "option"]
    words = [name, *(_usage(argument) for argument in arguments), *(["[options]"] if options else [])]
    rows = [
        (_spelling(parameter), _takes(parameter), _otherwise(parameter), parameter.help or "") for parameter in shown
    ]
    text = f"```text\n{' '.join(words)}\n```\n"
    return text + ("\n" + table(("Argument or option", "Takes", "Default", "Meaning"), rows) if rows else "")


def _usage(argument: Any) -> str:
    name = argument.name.upper()
    return name if argument.required else f"[{name}]"


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return code(parameter.name.upper())
    return ", ".join(code(option) for option in [*parameter.opts, *parameter.secondary_opts])


def _takes(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(code(member.value) for member in annotation)
    if annotation is bool:
        return "nothing"
    kind = {int: "whole number", Path: "path"}.get(annotation, "text")
    return f"{kind}, several times" if getattr(parameter, "multiple", False) else kind


def _otherwise(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.envvar:
        return code(f"${parameter.envvar}")
    value = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
    return _NOTHING if value is None or value is False or value in ("", []) else code(str(value))


# --- errors


def errors() -> str:
    """Every error of the tree: what clients may be answered."""
    rows = [(str(error.status), code(error.code), first_sentence(error)) for error in ERRORS]
    return table(("Status", "Code", "When"), rows)


def special_errors() -> str:
    """What the features raise: each answers with the code of the error that it is a case of."""
    import_everything()
    # What would be UNKNOWN is raised at start or in the background: no client meets it.
    rows = [
        (str(error.status), code(error.code), code(error.__name__), first_sentence(error))
        for error in sorted(set(_leaves(LongshoreError)) - set(ERRORS), key=lambda leaf: (leaf.status, leaf.__name__))
        if error.__module__.startswith("longshore.") and error.code != "UNKNOWN"
    ]
    return table(("Status", "Code", "In the source", "When"), rows)


def import_everything() -> None:
    """Imports every module of ours, so that every class is known; migrations are scripts and stay out."""
    for module in pkgutil.walk_packages(longshore.__path__, "longshore."):
        if ".migrations" not in module.name:
            importlib.import_module(module.name)


def _leaves(base: type[LongshoreError]) -> Iterator[type[LongshoreError]]:
    for child in base.__subclasses__():
        yield child
        yield from _leaves(child)


# --- metrics, events, routes, tables


def metrics() -> str:
    """Every metric that the source defines, by its name in Prometheus' text."""
    return table(("Metric", "Kind", "Labels", "Meaning"), sorted(_metrics()))


def _metrics() -> Iterator[tuple[str, str, str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in _KINDS:
                continue
            values = [_literal(argument) for argument in node.args]
            if not values or not isinstance(values[0], str) or not values[0].startswith("longshore_"):
                continue
            labels = values[2] if len(values) > 2 and isinstance(values[2], tuple) else ()
            name = values[0] + ("_total" if node.func.id == "Counter" else "")
            yield (
                code(name),
                _KINDS[node.func.id],
                ", ".join(code(label) for label in labels) or _NOTHING,
                str(values[1]),
            )


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def events() -> str:
    """Every kind of event, and whether this release writes it."""
    texts = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if path.parent.name != "events"]
    rows = []
    for kind in EventKind:
        written = any(f"EventKind.{kind.name}" in text or f'kind="{kind.value}"' in text for text in texts)
        rows.append((code(kind.value), "yes" if written else "not yet"))
    return table(("Kind", "Written by this release"), rows)


def http_routes() -> str:
    """Every route of /v2 with its methods and what each does, in the words of its handler."""
    rows = []
    for kind, handlers in distribution._ROUTES.items():  # noqa: SLF001 - the router's own table is what there is
        for method, handler in handlers.items():
            rows.append((code(method), code(_PATHS[kind]), first_sentence(handler).removeprefix(f"{method}: ")))
    return table(("Method", "Path", "What it does"), rows)


def api_operations() -> str:
    """Every operation of Harbor's API that this release has."""
    rows = sorted(row for controller in CONTROLLERS for row in _operations(controller))
    return table(("Path", "Method", "What it does"), rows)


def contract_operations() -> str:
    """What is served of Harbor's contract, tag by tag, and what isn't yet."""
    served = {handler.operation_id for controller in CONTROLLERS for handler in _handlers(controller)}
    facts = json.loads(CONTRACT.read_text(encoding="utf-8"))["requests"]
    rows = []
    for tag in sorted({fact["tag"] for fact in facts.values()}):
        names = sorted(name for name in facts if facts[name]["tag"] == tag)
        parts = ([name for name in names if (name in served) is wanted] for wanted in (True, False))
        rows.append((code(tag), *(", ".join(map(code, part)) or _NOTHING for part in parts)))
    total = f"{len(served & facts.keys())} of {len(OPERATIONS)} operations are served.\n\n"
    return total + table(("Tag", "Served", "Not yet: 501 `NOT_IMPLEMENTED`"), rows)


def _handlers(controller: Any) -> list[Any]:
    return [handler for handler in vars(controller).values() if hasattr(handler, "operation_id")]


def _operations(controller: Any) -> Iterator[tuple[str, str, str]]:
    for handler in vars(controller).values():
        if hasattr(handler, "paths"):
            yield from _handler(controller, handler)


def _handler(controller: Any, handler: Any) -> Iterator[tuple[str, str, str]]:
    base = controller.path if isinstance(controller.path, str) else ""
    for path in handler.paths:
        whole = re.sub(r"\{(\w+):\w+\}", r"{\1}", (base + path).rstrip("/"))
        for method in sorted(handler.http_methods):
            yield code(whole), code(method), first_sentence(handler.fn)


def tables() -> str:
    """Every table with its columns; what a comment says of one."""
    parts = []
    for found in longshore.tables.metadata.sorted_tables:
        rows = [
            (code(column.name), str(column.type).lower(), "yes" if column.nullable else _NOTHING, column.comment or "")
            for column in found.columns
        ]
        comment = f"{found.comment}\n\n" if found.comment else ""
        parts.append(f"### `{found.name}`\n\n{comment}{table(('Column', 'Type', 'May be NULL', 'Meaning'), rows)}")
    return "\n".join(parts)


# --- permissions


def permissions() -> str:
    """What everybody may do in a public project, and what each role may do in its project."""
    sets = [policy.PUBLIC_PERMISSIONS, *(policy.ROLE_PERMISSIONS[role] for role in _ROLES)]
    rows = [(code(str(found)), *("x" if found in given else "" for given in sets)) for found in _ordered(sets)]
    return table(("Permission", "anybody, if public", *(role.title for role in _ROLES)), rows)


def robot_permissions() -> str:
    """What a robot may be given."""
    sets = [vocabulary.GRANTABLE_IN_PROJECTS, vocabulary.GRANTABLE_IN_SYSTEM]
    rows = [(code(str(found)), *("x" if found in given else "" for given in sets)) for found in _ordered(sets)]
    return table(("Permission", "in a project", "in the system (`/`)"), rows)


def operation_permissions() -> str:
    """What every operation of the API asks for, read from its code."""
    rows = []
    for controller in CONTROLLERS:
        for handler in vars(controller).values():
            if hasattr(handler, "operation_id"):
                asked = ", ".join(code(str(permission)) for permission in sorted(permissions_named_by(handler.fn)))
                rows += [(path, method, asked or _NOTHING) for path, method, _ in _handler(controller, handler)]
    return table(("Path", "Method", "Asks for"), sorted(rows))


def permissions_named_by(function: Any, depth: int = 2) -> frozenset[Permission]:
    """The permissions that a function names, itself or in functions of the same package that it calls."""
    known = function.__globals__
    found: set[Permission] = set()
    for name in _names(function.__code__):
        value = known.get(name)
        if isinstance(value, Permission):
            found.add(value)
        elif inspect.isfunction(value) and depth and value.__module__.startswith("longshore.api"):
            found |= permissions_named_by(value, depth - 1)
    return frozenset(found)


def _names(body: CodeType) -> Iterator[str]:
    yield from body.co_names
    for constant in body.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def access_rules() -> str:
    """What decides, whether it allows, its reason and who can change it."""
    rows = [
        (code(rule.value), "yes" if allowed else "no", reason, remedy)
        for rule, allowed, reason, remedy in explained_rules()
    ]
    return table(("Rule", "Allows", "Reason", "Who can change it"), rows)


def _ordered(sets: Iterable[frozenset[Permission]]) -> list[Permission]:
    return sorted(frozenset[Permission]().union(*sets))


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "storage-options": storage_options,
    "cli": cli,
    "errors": errors,
    "special-errors": special_errors,
    "metrics": metrics,
    "events": events,
    "http-routes": http_routes,
    "api-operations": api_operations,
    "contract-operations": contract_operations,
    "tables": tables,
    "permissions": permissions,
    "robot-permissions": robot_permissions,
    "access-rules": access_rules,
    "operation-permissions": operation_permissions,
}


def generated(text: str) -> str:
    """A page with its generated parts as they should be now."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def openapi() -> str:
    """The description of the API, as it is served."""
    described = describe(CONTROLLERS, version("longshore"))
    return f"{json.dumps(described, indent=1, ensure_ascii=False)}\n"


def outdated() -> list[tuple[Path, str]]:
    """Every page that isn't as it should be, with its right text; and the description of the API."""
    right = openapi()
    pages = [] if OPENAPI.exists() and OPENAPI.read_text(encoding="utf-8") == right else [(OPENAPI, right)]
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        right = generated(text)
        if right != text:
            pages.append((path, right))
    return pages


def main(arguments: Sequence[str]) -> int:
    """Writes what is out of date, or only names it."""
    pages = outdated()
    for path, text in pages:
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 1 if pages and "--check" in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
