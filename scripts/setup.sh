# Sourced by the other scripts: installs or checks the packages, configures and builds. Safe to repeat.
# Sets SOURCE (the checkout) and BUILD (its build folder, $DUALSCAPE_BUILD or SOURCE/build).

SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${DUALSCAPE_BUILD:-$SOURCE/build}

build_packages=(build-essential cmake ninja-build pkg-config git openmpi-bin libopenmpi-dev petsc-dev slepc-dev
  libhdf5-openmpi-dev libopenblas-dev libtomlplusplus-dev libcli11-dev libfmt-dev libspdlog-dev librandom123-dev
  zlib1g-dev)
run_packages=(python3 python3-numpy python3-h5py python3-matplotlib dataset-fashion-mnist)
test_packages=(libgtest-dev libgmock-dev libbenchmark-dev clang-format python3-pytest slurm-wlm munge)

say() { printf '\n== %s\n' "$*"; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# ensure_packages NAME...: installs what is missing, or says exactly what is and what to do about it.
ensure_packages() {
  if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian system: the libraries must come from the cluster's modules (see below)."
    cluster_advice
    return 0
  fi
  local missing=() name
  for name in "$@"; do installed "$name" || missing+=("$name"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  if [ -z "${DUALSCAPE_NO_INSTALL:-}" ] && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    say "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -qq &&
      DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >/dev/null && return 0
  fi
  echo "Missing packages:  ${missing[*]}"
  echo "Install them with: sudo apt-get install --no-install-recommends ${missing[*]}"
  cluster_advice
  return 1
}

cluster_advice() {
  cat <<'END'
On a cluster, load the site's modules instead, for example
    module load gcc cmake openmpi petsc slepc hdf5 openblas
and, where pkg-config does not find them by itself, name the installations before running this script again:
    export PETSC_DIR=/path/to/petsc PETSC_ARCH=arch-name SLEPC_DIR=/path/to/slepc
    export PKG_CONFIG_PATH=/path/to/hdf5/lib/pkgconfig:/path/to/openblas/lib/pkgconfig:$PKG_CONFIG_PATH
PETSc must be real, double precision; HDF5 may be serial or parallel. Then set DUALSCAPE_NO_INSTALL=1 to skip the
packages: the build itself says what it cannot find.
END
}

# build TARGET [cmake options]: configures the project in BUILD and builds that much of it.
build() {
  local target=$1
  shift
  say "building in $BUILD"
  cmake -S "$SOURCE" -B "$BUILD" -G Ninja "$@" >"$BUILD.configure.log" 2>&1 ||
    { cat "$BUILD.configure.log"; cluster_advice; return 1; }
  rm -f "$BUILD.configure.log"
  cmake --build "$BUILD" --target "$target" -j "${DUALSCAPE_JOBS:-$(nproc)}"
}

# python ARGUMENTS...: the first Python 3 that has the packages; a machine's own may shadow the one they came with.
python() {
  local candidate
  for candidate in "${DUALSCAPE_PYTHON:-python3}" /usr/bin/python3; do
    "$candidate" -c 'import h5py, matplotlib, numpy' 2>/dev/null && { "$candidate" "$@"; return; }
  done
  echo "No python3 here has h5py, numpy and matplotlib; set DUALSCAPE_PYTHON to one that does." >&2
  return 1
}

# mpi RANKS program...: runs under mpirun, quietly, whatever the machine's number of cores and whoever the user is.
mpi() {
  local ranks=$1
  shift
  local options=(-q -np "$ranks")
  [ "$ranks" -le "$(nproc)" ] || options+=(--oversubscribe)
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1 \
    OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1} mpirun "${options[@]}" "$@"
}
