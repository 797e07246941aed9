"""The site file: how a machine wants its jobs. Every key is described once, in KEYS."""

from __future__ import annotations

import datetime
import difflib
import re
from pathlib import Path
from typing import Any, Callable, NamedTuple

from . import toml
from .toml import Problem

Check = Callable[[Any], Any]


class Key(NamedTuple):
    """A key of the site file: its default (None: it must or may be left out) and what turns its value into ours."""

    default: Any
    check: Check
    required: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected a text")
    if any(character < " " for character in value):
        raise ValueError("expected a text of one line")
    return value


def _count(lowest: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise ValueError(f"expected an integer >= {lowest}")
        return value
    return check


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise ValueError("expected a list of texts")
    return [_text(item) for item in value]


def _options(value: Any) -> list[str]:
    for option in _texts(value):
        if not option.startswith("-"):
            raise ValueError(f"expected options of one word, such as \"--qos=debug\"; '{option}' is none")
    return _texts(value)


def _time(value: Any) -> str:
    # Without quotes TOML reads hours, minutes and seconds as a time of day.
    text = value.isoformat() if isinstance(value, datetime.time) else str(value)
    if isinstance(value, bool) or seconds(text) is None:
        raise ValueError("expected a time as SLURM writes it: minutes, \"hours:minutes:seconds\" or \"days-hours\"")
    return text


def _launcher(value: Any) -> str:
    if value not in ("srun", "mpirun"):
        raise ValueError("expected \"srun\" or \"mpirun\"")
    return str(value)


def _environment(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("expected a table of variables")
    for name, content in value.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError(f"'{name}' is no name of a variable")
        if not isinstance(content, (str, int)) or isinstance(content, bool) or "\0" in str(content):
            raise ValueError(f"expected a text or an integer for '{name}'")
    return {name: str(content) for name, content in value.items()}


def _collect(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a table with time, partition, sbatch")
    return _checked(value, {name: KEYS[name]._replace(required=False) for name in ("time", "partition", "sbatch")})


KEYS: dict[str, Key] = {
    "partition": Key(None, _text),
    "account": Key(None, _text),
    "time": Key(None, _time, required=True),
    "nodes": Key(1, _count(1)),
    "ranks_per_node": Key(None, _count(1), required=True),
    "threads_per_rank": Key(1, _count(1)),
    "modules": Key([], _texts),
    "launcher": Key("srun", _launcher),
    "launcher_options": Key([], _texts),
    "sbatch": Key([], _options),
    "signal_seconds": Key(120, _count(1)),
    "tries": Key(20, _count(0)),
    "program": Key(None, _text),
    "environment": Key({}, _environment),
    "collect": Key({}, _collect),
}


def seconds(text: str) -> int | None:
    """Return a SLURM time (minutes, m:s, h:m:s, d-h, d-h:m, d-h:m:s) in seconds, None when it is none."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if not match:
        return None
    days, *fields = match.groups()
    numbers = [int(field) for field in fields if field is not None]
    if days is None:
        units = [60] if len(numbers) == 1 else [60, 1] if len(numbers) == 2 else [3600, 60, 1]
    else:
        units = [3600, 60, 1]
    return 86400 * int(days or 0) + sum(number * unit for number, unit in zip(numbers, units))


def _checked(table: dict[str, Any], keys: dict[str, Key]) -> dict[str, Any]:
    problems = []
    values = {name: key.default for name, key in keys.items()}
    for name, value in table.items():
        if name not in keys:
            near = difflib.get_close_matches(name, keys, 1)
            problems.append(f"unknown key '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
            continue
        try:
            values[name] = keys[name].check(value)
        except ValueError as error:
            problems.append(f"key '{name}': {error}")
    problems += [f"key '{name}' is needed" for name, key in keys.items() if key.required and name not in table]
    if problems:
        raise ValueError("; ".join(problems))
    return values


class Site:
    """A site file's values, all checked.

    Parameters
    ----------
    path
        The site file.
    overrides
        Values that take precedence, by key.
    """

    def __init__(self, path: Path, overrides: dict[str, Any]) -> None:
        try:
            values = _checked({**toml.read(path), **overrides}, KEYS)
            limit = seconds(values["time"]) or 0
            if 0 < limit <= values["signal_seconds"]:
                raise ValueError(f"key 'signal_seconds': {values['signal_seconds']} s before the end of a time of "
                                 f"{limit} s leave nothing to work in")
        except ValueError as error:
            raise Problem(f"{path}: {error}") from None
        self.partition: str | None = values["partition"]
        self.account: str | None = values["account"]
        self.time: str = values["time"]
        self.nodes: int = values["nodes"]
        self.ranks_per_node: int = values["ranks_per_node"]
        self.threads_per_rank: int = values["threads_per_rank"]
        self.modules: list[str] = values["modules"]
        self.launcher: str = values["launcher"]
        self.launcher_options: list[str] = values["launcher_options"]
        self.sbatch: list[str] = values["sbatch"]
        self.signal_seconds: int = values["signal_seconds"]
        self.tries: int = values["tries"]
        self.program: str | None = values["program"]
        self.environment: dict[str, str] = values["environment"]
        self.collect: dict[str, Any] = {key: value for key, value in values["collect"].items() if value}

    @property
    def ranks(self) -> int:
        """Ranks of a job."""
        return self.nodes * self.ranks_per_node
