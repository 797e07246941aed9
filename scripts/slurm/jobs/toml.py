"""TOML with the standard library's reader, or with the package tomli where Python is older than 3.11."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

try:
    import tomllib
except ImportError:
    try:
        import tomli as tomllib
    except ImportError:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"dualscape: TOML files need Python 3.11 or later, or the package tomli; this is Python {version} at "
                 f"{sys.executable}. Load a newer one (module load python) or run: python3.11 {sys.argv[0]}")


class Problem(Exception):
    """What the user gave cannot be used; the text says what and where."""


def read(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"cannot read '{path}': {error.strerror}") from None
    except ValueError as error:
        raise Problem(f"{path}: {error}") from None


def value_of(text: str) -> Any:
    """Return the value of the right side of --set key=value; what is no TOML is a word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text
