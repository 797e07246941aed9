"""Access to one group of a file, on which the reader is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from functools import cached_property
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Values = TypeVar("Values")


class ResultError(Exception):
    """A file that cannot be used; the message says which, why and what to do."""


class Node:
    """A group of the file, whose members are read when they are first asked for.

    Parameters
    ----------
    group
        The open group.

    Attributes
    ----------
    name : str
        The group's own name, a layer's or a block's for instance.
    """

    def __init__(self, group: h5py.Group) -> None:
        self._group = group
        self._file = group.file.filename
        self._path = group.name
        self.name: str = group.name.rsplit("/", 1)[-1]

    def __repr__(self) -> str:
        state = self._describe() if self._group else "closed"
        return f"<{type(self).__name__} {self.name!r}: {state}>"

    def _describe(self) -> str:
        return ", ".join(self._group)

    @property
    def attribute_names(self) -> list[str]:
        """Names of all attributes of the group."""
        return list(self._open_group().attrs)

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes of the group, those this package does not know included."""
        return {name: self.attribute(name) for name in self.attribute_names}

    def attribute(self, name: str) -> Any:
        """Return one attribute of the group.

        Parameters
        ----------
        name
            Name of the attribute.

        Returns
        -------
        Any
            A bool, int, float or str; an array or a list of str where the file has several values.
        """
        group = self._open_group()
        with self._reading(f"attribute '{name}' at '{self._path}'"):
            if name in group.attrs:
                return _plain(group.attrs[name])
        raise ResultError(f"'{self._file}' has no attribute '{name}' at '{self._path}'")

    def __contains__(self, name: str) -> bool:
        """Tell whether a dataset or group is there."""
        return name in self._open_group()

    def member(self, name: str) -> h5py.Dataset | h5py.Group:
        """Return a dataset or group inside this one, unread.

        Parameters
        ----------
        name
            Path of the member, from this group.
        """
        path = f"{self._path.rstrip('/')}/{name}"
        group = self._open_group()
        with self._reading(f"'{path}'"):
            if name in group:
                return group[name]
        raise ResultError(f"'{self._file}' has no '{path}'")

    def node(self, name: str) -> Node:
        """Return a group inside this one.

        Parameters
        ----------
        name
            Path of the group, from this one.
        """
        return Node(self.member(name))

    def array(self, name: str) -> Array:
        """Read a whole dataset inside this group.

        Parameters
        ----------
        name
            Path of the dataset, from this group.
        """
        return self._read(name, _whole)

    def codes(self, name: str) -> Array:
        """Read a dataset of bytes that are small numbers rather than flags.

        Parameters
        ----------
        name
            Path of the dataset, from this group.
        """
        return self._read(name, lambda dataset: dataset[()])

    def text(self, name: str) -> str:
        """Read a text inside this group.

        Parameters
        ----------
        name
            Path of the dataset, from this group.
        """
        return self._read(name, lambda dataset: dataset.asstr()[()])

    def _read(self, name: str, read: Callable[[h5py.Dataset], Any]) -> Any:
        """Read a dataset inside this group; errors name it."""
        dataset = self.member(name)
        with self._reading(f"'{dataset.name}'"):
            return read(dataset)

    @contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        """Turn HDF5's errors into one that says what could not be read."""
        try:
            yield
        except (OSError, RuntimeError, KeyError) as error:
            raise ResultError(f"cannot read {what} of '{self._file}': it is damaged "
                              f"({error})") from None

    def _open_group(self) -> h5py.Group:
        if not self._group:
            raise ResultError(f"'{self._file}' is closed: read '{self._path}' before closing it")
        return self._group


def _whole(dataset: h5py.Dataset) -> Array:
    """Read all values; bytes are flags, and texts become an array of str."""
    if h5py.check_string_dtype(dataset.dtype):
        return np.array(dataset.asstr()[()], dtype=str)
    values = dataset[()]
    return values.astype(bool) if values.dtype == np.uint8 else values


def _plain(value: Any) -> Any:
    """Turn an attribute as h5py gives it into a plain value; the file's bytes are flags."""
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype == object else value
    if isinstance(value, np.uint8):
        return bool(value)
    return value.item() if isinstance(value, np.generic) else value


def array_property(name: str, description: str) -> cached_property[Array]:
    """Make the property that reads a dataset on first use."""

    def read(node: Node) -> Array:
        return node.array(name)

    read.__doc__ = description
    return cached_property(read)


def optional_array_property(name: str, description: str) -> cached_property[Array | None]:
    """Make the property that reads a dataset on first use, None for a file without it."""

    def read(node: Node) -> Array | None:
        return node.array(name) if name in node else None

    read.__doc__ = description
    return cached_property(read)


def attribute_property(name: str, description: str,
                       optional: bool = False) -> cached_property[Any]:
    """Make the property that reads an attribute on first use; an absent optional one is None."""

    def read(node: Node) -> Any:
        absent = optional and name not in node.attribute_names
        return None if absent else node.attribute(name)

    read.__doc__ = description
    return cached_property(read)


def from_attributes(kind: type[Values], node: Node) -> Values:
    """Make a dataclass of the group's attributes of the same names.

    Attributes that older files lack are the fields with a default.
    """
    there = set(node.attribute_names)
    return kind(**{field.name: node.attribute(field.name) for field in fields(kind)
                   if field.name in there or field.default is MISSING})
