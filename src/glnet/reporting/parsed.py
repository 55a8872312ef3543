"""Values of JSON and YAML files that others may have written, taken only as what they should be."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from glnet.errors import OutputError

MOST_WORDS = 100
"""Of a list, in words."""


@dataclass(frozen=True)
class Node:
    """A value of a file, and where in it.

    Attributes:
        value: As it was parsed.
        file: The file, for messages.
        place: The keys that lead to it, with points between; empty for the whole file.
    """

    value: object
    file: Path
    place: str = ""

    def get(self, key: str) -> "Node | None":
        """The value of a key; None where it is missing or null.

        Raises:
            OutputError: If this has no keys.
        """
        if not isinstance(self.value, dict):
            raise self._expected("keys and values")
        found = self.value.get(key)
        return None if found is None else self._below(key, found)

    def at(self, key: str) -> "Node":
        """The value of a key that must be there.

        Raises:
            OutputError: If it is not.
        """
        found = self.get(key)
        if found is None:
            raise OutputError(f"{self.file}: expected {self._name(key)}, which is missing")
        return found

    def items(self) -> list[tuple[str, "Node"]]:
        """Keys and values, in the file's order.

        Raises:
            OutputError: If there are none.
        """
        if not isinstance(self.value, dict):
            raise self._expected("keys and values")
        return [(str(key), self._below(str(key), of)) for key, of in self.value.items()]

    def elements(self) -> list["Node"]:
        """The elements of a list.

        Raises:
            OutputError: If it is none.
        """
        if not isinstance(self.value, list):
            raise self._expected("a list")
        return [self._below(str(number), of) for number, of in enumerate(self.value)]

    def text(self) -> str:
        """The value as a text, which it must be.

        Raises:
            OutputError: If it is none.
        """
        if not isinstance(self.value, str):
            raise self._expected("a text")
        return self.value

    def number(self) -> float | None:
        """The value as a number; None where it is null or not a number (NaN, infinite).

        Raises:
            OutputError: If it is another thing.
        """
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self._expected("a number")
        try:
            found = float(self.value)
        except OverflowError as error:
            raise self._expected("a number") from error
        return found if math.isfinite(found) else None

    def count(self) -> int:
        """The value as a whole number from 0 on.

        Raises:
            OutputError: If it is none.
        """
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < 0:
            raise self._expected("a whole number from 0 on")
        return self.value

    def words(self) -> str:
        """Any value as people read it."""
        match self.value:
            case None:
                return "-"
            case bool():
                return "yes" if self.value else "no"
            case list():
                return ", ".join(_short(of) for of in self.value[:MOST_WORDS])
            case _:
                return _short(self.value)

    def leaves(self) -> Iterator[tuple[str, str]]:
        """All values below this one, in words, with the keys that lead to them from the file on."""
        if isinstance(self.value, dict) and self.value:
            for key, of in self.value.items():
                yield from self._below(str(key), of).leaves()
        else:
            yield self.place, self.words()

    def _below(self, key: str, value: object) -> "Node":
        return Node(value, self.file, self._name(key))

    def _name(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def _expected(self, what: str) -> OutputError:
        got = {dict: "keys and values", list: "a list", type(None): "nothing"}.get(type(self.value))
        got = got or f"{str(self.value)[:40]!r}"
        return OutputError(f"{self.file}: expected {what} at {self.place or 'the top'}, got {got}")


def _short(value: object) -> str:
    """A plain value in words; of others, which may refer to each other without end, that it is."""
    return "..." if isinstance(value, list | dict | tuple | set) else str(value)


def read_json(path: Path) -> Node:
    """Read a file of JSON.

    Raises:
        OutputError: If it cannot be read, or is none, naming the line.
    """
    try:
        return Node(json.loads(read_text(path)), path)
    except json.JSONDecodeError as error:
        raise OutputError(f"{path}, line {error.lineno}: no JSON ({error.msg})") from error
    except (RecursionError, ValueError) as error:  # Such as a number of thousands of digits.
        raise OutputError(f"{path}: no JSON that can be read ({error})") from error


def read_yaml(path: Path) -> Node:
    """Read a file of YAML.

    Raises:
        OutputError: If it cannot be read, or is none, naming the line.
    """
    try:
        return Node(yaml.safe_load(read_text(path)), path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise OutputError(f"{path}{line}: no YAML ({error.problem})") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise OutputError(f"{path}: no YAML that can be read ({error})") from error


def read_text(path: Path) -> str:
    """Read a text.

    Raises:
        OutputError: If it cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OutputError(f"{path}: no text in UTF-8 ({error.reason})") from error
    except OSError as error:
        raise OutputError(f"{path} cannot be read: {error.strerror or error}") from error
