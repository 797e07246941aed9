"""The submit and status scripts as a user calls them, and site files for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from program import PROGRAM, Outcome

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts" / "slurm"

#: A name that does harm wherever it is not quoted: bash, SLURM's file names, line-wise readers.
HARMFUL = "it's \"big\" $(touch harm) `touch harm`; touch harm\n&& touch harm %j *"


def write_site(path: Path, **keys: Any) -> Path:
    """Write a site file of this machine's throw-away clusters, with changes."""
    values = {"time": "10", "ranks_per_node": 1, "nodes": 2, "partition": "batch", "program": PROGRAM,
              "launcher_options": ["--mpi=pmix"], **keys}
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def call(script: str, *words: object, folder: Path, environment: Mapping[str, str] = os.environ) -> Outcome:
    """Run a script in a folder to its end."""
    command = [sys.executable, str(SCRIPTS / script), *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120)
    return Outcome(" ".join(command), done.returncode, done.stdout, done.stderr)
