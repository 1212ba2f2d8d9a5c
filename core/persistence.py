"""Records as JSON Lines: one versioned object a line."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from .errors import UsageError

SCHEMA_VERSION = 1
"""Version of the persisted form of every record; raised when a field changes its meaning."""

Record = TypeVar("Record")


@functools.cache
def _adapter(record_type: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(record_type)


def to_json(record: Any) -> dict[str, Any]:
    """Returns the record as plain JSON data with its ``schema_version``."""
    data = _adapter(type(record)).dump_python(record, mode="json")  # type: ignore[arg-type]
    return {"schema_version": SCHEMA_VERSION, **data}


def from_json(record_type: type[Record], data: dict[str, Any]) -> Record:
    """Returns the record that `to_json` wrote.

    Raises:
        UsageError: the data are of another version, or do not fit the record.
    """
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise UsageError(f"schema_version is {version!r}, this release reads {SCHEMA_VERSION}")
    fields = {key: value for key, value in data.items() if key != "schema_version"}
    try:
        record: Record = _adapter(record_type).validate_python(fields)  # type: ignore[arg-type]
    except ValidationError as error:
        raise UsageError(f"not a {record_type.__name__}: {error}") from None
    return record


def append_jsonl(path: Path, record: Any) -> None:
    """Appends the record to the file as one line, in one write."""
    line = json.dumps(to_json(record), ensure_ascii=False) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(line)


def read_jsonl(path: Path, record_type: type[Record]) -> list[Record]:
    """Returns the file's records in order.

    Raises:
        UsageError: a line is not such a record; the message names file and line.
    """
    records: list[Record] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                records.append(from_json(record_type, json.loads(line)))
            except (ValueError, AttributeError, UsageError) as error:
                raise UsageError(f"{path}:{number}: {error}") from None
    return records
