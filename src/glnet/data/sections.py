"""Typed reading of YAML mappings, whose errors name the file and the key in one line."""

import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import yaml

from glnet.data.colors import Color, parse_color
from glnet.errors import ConfigurationError


@dataclass(frozen=True)
class Section:
    """A mapping inside a YAML file that knows where it stands.

    Attributes:
        values: The mapping.
        file: The file, for messages.
        path: The keys that lead here, such as ``mask`` or ``classes[1]``; empty at the top.
    """

    values: Mapping[str, object]
    file: Path
    path: str = ""

    def where(self, key: str = "") -> str:
        """The file and the keys, as messages begin."""
        keys = ".".join(filter(None, (self.path, key)))
        return f"{self.file}: {keys}" if keys else str(self.file)

    def fail(self, key: str, expected: str) -> ConfigurationError:
        """The error for a value of the wrong kind."""
        return ConfigurationError(
            f"{self.where(key)}: expected {expected}, got {reprlib.repr(self.values.get(key))}"
        )

    def allow(self, *known: str) -> None:
        """Refuse every other key.

        Raises:
            ConfigurationError: Listing the known ones.
        """
        unknown = [key for key in self.values if key not in known]
        if unknown:
            raise ConfigurationError(
                f"{self.where(unknown[0])}: unknown key; known are {', '.join(known)}"
            )

    def section(self, key: str) -> "Section":
        """The mapping under a key, empty where there is none.

        Raises:
            ConfigurationError: If it is no mapping with text keys.
        """
        return self.nested(self.values.get(key, {}), key)

    def nested(self, value: object, key: str) -> "Section":
        """Take a value that stands under a key as a mapping.

        Raises:
            ConfigurationError: If it is no mapping with text keys.
        """
        where = self.where(key)
        if not isinstance(value, dict):
            raise ConfigurationError(
                f"{where}: expected a mapping of keys, got {reprlib.repr(value)}"
            )
        for name in value:
            if not isinstance(name, str):
                raise ConfigurationError(f"{where}: expected text as key, got {name!r}; quote it")
        return Section(value, self.file, ".".join(filter(None, (self.path, key))))

    def items(self, key: str) -> list[object]:
        """The list under a key.

        Raises:
            ConfigurationError: If it is no list.
        """
        value = self.values.get(key)
        if not isinstance(value, list):
            raise self.fail(key, "a list")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts under a key.

        Raises:
            ConfigurationError: If it is none; YAML reads 01 as a number unless quoted.
        """
        texts = tuple(item for item in self.items(key) if isinstance(item, str))
        if len(texts) != len(self.items(key)):
            raise self.fail(key, "a list of texts (quote the numbers)")
        return texts

    def integers(self, key: str) -> tuple[int, ...]:
        """The list of whole numbers under a key.

        Raises:
            ConfigurationError: If it is none.
        """
        numbers = tuple(item for item in self.items(key) if is_integer(item))
        if len(numbers) != len(self.items(key)):
            raise self.fail(key, "a list of whole numbers")
        return numbers

    def text(self, key: str) -> str:
        """The text under a key.

        Raises:
            ConfigurationError: If it is none; YAML reads 01 as a number unless quoted.
        """
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self.fail(key, "text (quote it if it looks like a number)")
        return value

    def integer(self, key: str) -> int:
        """The whole number under a key.

        Raises:
            ConfigurationError: If it is none.
        """
        value = self.values.get(key)
        if not is_integer(value):
            raise self.fail(key, "a whole number")
        return value

    def number(self, key: str) -> float:
        """The number under a key.

        Raises:
            ConfigurationError: If it is none.
        """
        value = self.values.get(key)
        if isinstance(value, float):
            return value
        if not is_integer(value):
            raise self.fail(key, "a number")
        return value

    def color(self, key: str) -> Color:
        """The colour under a key.

        Raises:
            ConfigurationError: If it is none.
        """
        with located(self.where(key)):
            return parse_color(self.values.get(key))


def read_section(file: Path) -> Section:
    """The mapping that a YAML file holds.

    Raises:
        ConfigurationError: If the file cannot be read, is no YAML or holds no mapping.
    """
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file}: is no YAML: {_one_line(error)}") from error
    return Section({}, file).nested(value, "")


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put the place in front of a `ConfigurationError` that arises within."""
    try:
        yield
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error


def is_integer(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, which true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
