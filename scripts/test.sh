#!/usr/bin/env bash
# Everything a change must pass: packages, formatting, a warning-free build, every test, and the unit tests again under
# the address and undefined-behaviour sanitizers. Safe to repeat; some twelve minutes on two cores the first time.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

ensure_packages "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}" || [ -n "${DUALSCAPE_NO_INSTALL:-}" ]

say "formatting"
(cd "$SOURCE" && git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run --Werror)

build all -DBUILD_TESTING=ON -DDUALSCAPE_WARNINGS_AS_ERRORS=ON
say "tests"
# One more at a time than there are cores: tests of the whole program often wait, for a signal's moment or for SLURM.
ctest --test-dir "$BUILD" --output-on-failure -j "$(($(nproc) + 1))"
# Why a test was skipped, where one was: pytest says it on one line, GoogleTest on the one after the place.
sed -n -e '/^SKIPPED/p' -e '/: Skipped$/{N;s/\n/: /;p}' "$BUILD/Testing/Temporary/LastTest.log" | sort -u

say "tests under the sanitizers, on one rank and on three"
# Instrumented code makes GCC warn of overflows that cannot be: warnings are left to the build above. So are missing
# includes, for it compiles each file of the libraries by itself; this one compiles several together, in half the time.
BUILD=$BUILD-sanitize
build unit_tests -DBUILD_TESTING=ON -DDUALSCAPE_SANITIZE=ON -DCMAKE_UNITY_BUILD=ON \
  -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG="-O1 -g1 -w"
ctest --test-dir "$BUILD" --output-on-failure -j "$(nproc)" -R '^test_.*\.np[13]$'
