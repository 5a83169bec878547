# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034  # the variables are for the scripts that read this
# What demo.sh and test.sh share: missing packages, and quiet steps with a log.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
mkdir -p build
jobs=$(nproc)
started=$SECONDS

build_packages="cmake g++ ninja-build libcli11-dev libexpected-dev libfmt-dev libsentencepiece-dev
  libtbb-dev libxxhash-dev nlohmann-json3-dev"
test_packages="clang-14 clang-format-14 libclang-rt-14-dev libgtest-dev python3-numpy qemu-user
  shellcheck"

# step TEXT COMMAND...: prints TEXT and the seconds it took; on failure the end of its log.
step() {
  local text=$1 begin=$SECONDS log
  shift
  log=build/$(printf %s "$text" | tr -cs 'a-zA-Z0-9' '-').log
  printf '%-44s' "$text ..."
  if "$@" > "$log" 2>&1 < /dev/null; then
    printf ' %4d s\n' $((SECONDS - begin))
  else
    printf ' FAILED\n'
    tail -n 60 "$log" >&2
    printf '%s failed: %s; the whole log is %s\n' "${0##*/}" "$text" "$log" >&2
    exit 1
  fi
}

install_missing() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  export DEBIAN_FRONTEND=noninteractive
  step "Fetch lists of packages" apt-get update
  step "Install ${#missing[@]} packages" \
    apt-get install -y --no-install-recommends "${missing[@]}"
}
