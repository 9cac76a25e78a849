"""The shipped settings file says of every key what it is, its default or that it must be set, in the lines above it.

Why: the file is the only manual that an operator has open when it matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from aether.settings import Settings

FILE = Path(__file__).parents[2] / "config" / "aether.toml"
TABLE = re.compile(r"\[\[?([^\[\]]+)\]\]?\s*(#.*)?")
KEY = re.compile(r"(?:# )?([A-Za-z_][A-Za-z0-9_]*) = ")
WORDS_MIN = 4


def comments_in(text: str) -> dict[tuple[str, str], str]:
    """Comment above each key, by section and key, where it stands first. `# key = …` documents a key that is left out.

    A section `[strategies.x]` counts as `strategies.*`.
    """
    found: dict[tuple[str, str], str] = {}
    section, above = "", ""
    for line in text.splitlines():
        key = KEY.match(line)
        if table := TABLE.fullmatch(line):
            section, above = re.sub(r"^strategies\..*", "strategies.*", table[1]), ""
        elif key:
            found.setdefault((section, key[1]), above)
            above = ""
        elif line.startswith("#"):
            above += line.removeprefix("#")
        elif not line.strip():
            above = ""
    return found


def leaves(model: type[BaseModel], section: str = "") -> Iterator[tuple[str, str, FieldInfo]]:
    """Section, key and field of each setting that holds a value."""
    for key, field in model.model_fields.items():
        inner = section_model(field.annotation)
        if inner is None:
            yield section, key, field
        else:
            star = ".*" if get_origin(field.annotation) is dict else ""
            yield from leaves(inner, f"{section}.{key}{star}".lstrip("."))


def section_model(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation: itself, or the items of a dictionary or tuple."""
    if get_origin(annotation) in (dict, tuple, list, Union, UnionType, Annotated):
        return next((model for item in get_args(annotation) if (model := section_model(item))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def default_text(value: Any) -> str:
    """A default as the file writes it."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case dict():
            return ", ".join(f"{key} {item}" for key, item in value.items())
        case str() | Path() | Enum():
            return f'"{value}"'
        case _:
            return str(value)


def complaint(comment: str | None, field: FieldInfo) -> str | None:
    """What is wrong with the documentation of a setting; None where it is as it should be."""
    if comment is None:
        return "is not in the file"
    if len(comment.split()) < WORDS_MIN:
        return "has no comment above it that says what it is"
    wanted = "must be set" if field.is_required() else f"[{default_text(field.get_default(call_default_factory=True))}]"
    return None if wanted in comment else f"does not say {wanted!r}"


COMMENTS = comments_in(FILE.read_text())
LEAVES = list(leaves(Settings))


@pytest.mark.parametrize(("section", "key", "field"), LEAVES, ids=[f"{section}.{key}" for section, key, _ in LEAVES])
def test_every_setting_is_documented_with_its_default(section: str, key: str, field: FieldInfo) -> None:
    assert complaint(COMMENTS.get((section, key)), field) is None


def test_the_file_documents_nothing_that_is_no_setting() -> None:
    made_up = {"sandbox.balances.USD", "paper.balances.USD"}
    assert set(COMMENTS) - {(section, key) for section, key, _ in LEAVES} <= made_up


class Sample(BaseModel):
    must: int
    may: int = 5
    name: str | None = None


FIELDS = Sample.model_fields


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "must"),
        ("[s]\nmust = 1", "must"),
        ("[s]\n# Too short.\nmust = 1", "must"),
        ("[s]\n# How many of them there are.\nmust = 1", "must"),
        ("[s]\n# How many of them there are (must be set).\n\nmust = 1", "must"),
        ("[s]\n# How many of them there are [6].\nmay = 5", "may"),
        ("[other]\n# How many of them there are [5].\nmay = 5", "may"),
    ],
)
def test_a_setting_without_its_documentation_is_found(text: str, key: str) -> None:
    assert complaint(comments_in(text).get(("s", key)), FIELDS[key]) is not None


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[s]\n# How many of them\n# there are (must be set).\nmust = 1", "must"),
        ("[s]\n# How many of them there are [5].\nmay = 5", "may"),
        ("[s]\n# Which one is called for [none].\n# name = 'x'", "name"),
    ],
)
def test_a_documented_setting_passes(text: str, key: str) -> None:
    assert complaint(comments_in(text).get(("s", key)), FIELDS[key]) is None
