"""What a result file says, and what must hold in every one."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

FORMAT_PAGE = Path(__file__).resolve().parents[2] / "inputs" / "FORMAT.md"

Contents = dict[str, Any]


def read(path: Path) -> Contents:
    """Return every dataset by its path and every attribute as object@name."""
    contents: Contents = {}

    def take(name: str, item: h5py.Dataset | h5py.Group) -> None:
        for key, value in item.attrs.items():
            contents[f"{name}@{key}"] = value
        contents[name if isinstance(item, h5py.Dataset) else name + "/"] = (
            item[()] if isinstance(item, h5py.Dataset) else None)

    with h5py.File(path) as file:
        contents.update({f"@{key}": value for key, value in file.attrs.items()})
        file.visititems(take)
    return contents


def group(contents: Contents, name: str) -> Contents:
    """Return what is in a group, under its own names; attributes begin with @."""
    return {key[len(name):].removeprefix("/"): value for key, value in contents.items()
            if key.startswith((name + "/", name + "@"))}


def model(contents: Contents) -> dict[str, NDArray[np.float64]]:
    """Return weights and biases by their paths."""
    return {key: value for key, value in contents.items()
            if re.fullmatch(r"model/[^/]+/(weight|bias)", key)}


def format_page() -> list[tuple[str, str, str]]:
    """Return path, units and condition of every entry of inputs/FORMAT.md."""
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in FORMAT_PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    return [(row[0].strip("`"), row[3], row[-1]) for row in rows]


def analysed_layers(deck: dict[str, Any], layers: list[str]) -> list[str]:
    """Return the layers whose duality a deck asks for; `all` with the whole network as block only."""
    if not deck.get("duality"):
        return []
    asked = deck["duality"]["layer"]
    return layers if asked == "all" else [asked] if isinstance(asked, str) else asked


def expected_entries(contents: Contents, deck: dict[str, Any]) -> dict[str, str]:
    """Return the entries the format page asks for in a result of this deck, with their units."""
    layers = sorted({key.split("/")[1] for key in contents if re.fullmatch(r"model/[^/]+/", key)})
    analysed = analysed_layers(deck, layers)
    spectrum, duality = deck.get("spectrum"), deck.get("duality")
    blocks = [name for name in group(contents, "spectrum") if re.fullmatch(r"[^/@]+/", name)]
    assert len(blocks) == (spectrum is not None)
    complete = spectrum and (spectrum.get("which") == "all"
                             or contents.get("spectrum/dense2@converged") == 42)
    holds = {
        "always": True, "a result": True, "a checkpoint": False,
        "a checkpoint within a block of directions": False, "a study": False, "a study of decks with [training]": False,
        "the deck has [training]": deck.get("training") is not None,
        "the deck has [spectrum]": spectrum is not None,
        "the deck has [duality]": duality is not None,
        "`duality.dual` is `metric`": duality and duality.get("dual") == "metric",
        "`output.eigenvectors` is true": spectrum and deck["output"].get("eigenvectors", True),
        "the directions are a complete basis": complete,
        "the anchor is `test` and no pair was dropped":
            duality and duality.get("anchor", "test") == "test"
            and all(contents[f"duality/{name}@dropped_pairs"] == 0 for name in analysed),
        "`duality.bootstrap` is above 0": duality and duality.get("bootstrap", 1000) > 0,
        "`duality.operators` names it": duality and bool(duality.get("operators")),
        "`duality.operators` names it and `output.eigenvectors` is true":
            duality and bool(duality.get("operators")) and deck["output"].get("eigenvectors", True),
        "there are at most `duality.co_spectrum` kept pairs": duality and "co_spectrum" in duality,
        "`spectrum.prune` is above 0": spectrum and spectrum.get("prune", 0) > 0,
        "the layer has a bias": deck["network"].get("bias", False),
        **{f"`spectrum.{key}` is above 0": bool(spectrum and spectrum.get(key))
           for key in ("density_probes", "trace_products", "diagonal_products", "ntk")},
    }
    which = spectrum.get("which", "largest") if spectrum else "all"
    rests = {"pairs of the upper end were sought, and one more was found": ("largest", "both"),
             "pairs of the lower end were sought, and one more was found": ("smallest", "both")}
    entries = {}
    for path, units, condition in format_page():
        if condition == "all pairs were asked for":
            # Of operators made of dual weights, those that are small enough.
            places = [key.removesuffix("@which") for key, ends in contents.items()
                      if key.endswith("@which") and ends == "all" and key.startswith(path.split("/")[0] + "/")]
            entries.update({place + path[path.index("@"):]: units for place in places})
            continue
        if condition in rests:
            name = path.rpartition("@")[2]
            # An operator made of dual weights may be found whole, and then has no rest.
            pattern = path.replace("<layer>", "[^/]+").replace("<operator>", "[^/]+")
            entries.update({key: units for key in contents if re.fullmatch(pattern, key)})
            if path.startswith("spectrum/") and which in rests[condition] and not complete:
                entries[f"spectrum/{blocks[0]}".rstrip("/") + f"@{name}"] = units
            continue
        if not holds[condition]:
            continue
        names = layers if path.startswith("model") else analysed
        operators = duality.get("operators", []) if duality and "<operator>" in path else [""]
        for name, operator in product(names if "<layer>" in path else [""], operators):
            entries[path.replace("<layer>", name).replace("<operator>", operator)
                    .replace("<block>", blocks[0].rstrip("/") if blocks else "")] = units
    return entries


def check_format(contents: Contents, deck: dict[str, Any]) -> None:
    """Everything the format page promises is there, nothing else is, and no number is not finite."""
    entries = expected_entries(contents, deck)
    told = {key for key in contents if not key.endswith(("@units", "@description"))}
    assert told == set(entries)
    for key in told:
        value = contents[key]
        if np.issubdtype(np.asarray(value).dtype, np.number):
            assert np.all(np.isfinite(value)), f"{key} is {value}"
        if "@" not in key and not key.endswith("/"):
            assert contents[key + "@units"] == entries[key].replace("-", "")
            assert contents[key + "@description"]
