#!/usr/bin/env bash
# Everything a change must pass: packages, formatting, a warning-free build, every test, and the tests again under the
# address and undefined-behaviour sanitizers. Safe to repeat.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

ensure_packages "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}" || [ -n "${DUALSCAPE_NO_INSTALL:-}" ]

say "formatting"
(cd "$SOURCE" && git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run --Werror)

build_all -DBUILD_TESTING=ON -DDUALSCAPE_WARNINGS_AS_ERRORS=ON
say "tests"
ctest --test-dir "$BUILD" --output-on-failure -j "$(nproc)"

say "tests under the sanitizers"
BUILD=$BUILD-sanitize
build_all -DBUILD_TESTING=ON -DDUALSCAPE_WARNINGS_AS_ERRORS=ON -DDUALSCAPE_SANITIZE=ON -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DDUALSCAPE_BENCHMARKS=OFF
ctest --test-dir "$BUILD" --output-on-failure -j "$(nproc)" -LE "slow|python"
