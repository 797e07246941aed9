#!/usr/bin/env bash
# From a fresh checkout to a first result: packages, build, one run on 2 ranks, figures. Safe to repeat.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

ensure_packages "${build_packages[@]}" "${run_packages[@]}" || [ -n "${DUALSCAPE_NO_INSTALL:-}" ]
build all -DBUILD_TESTING=OFF -DDUALSCAPE_BENCHMARKS=OFF

say "running inputs/quickstart.toml on 2 ranks"
folder=$SOURCE/runs/quickstart
mpi 2 "$BUILD/dualscape" run "$SOURCE/inputs/quickstart.toml" --output "$folder" --force "$@"

say "what the result says"
"$BUILD/dualscape" info "$folder/result.h5"

say "figures"
PYTHONPATH=$SOURCE/scripts python -m dualscape figures "$folder/result.h5" --output "$folder"
