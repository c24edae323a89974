# shellcheck shell=bash
# Sourced by the lab's scripts: where things are, and how to speak.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
lab=$root/tests/lab
cache=${LIFEBOAT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lifeboat-dev}
export root lab cache
mkdir -p "$cache"

say() { echo "${0##*/}: $*" >&2; }

die() {
  say "$*"
  exit 1
}

one_at_a_time() { # hold a lock of that name until this script ends
  exec 8>"$cache/$1.lock"
  flock 8
}
