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
build_module() { # build_module FOLDER MODULE@VERSION PACKAGE...: the programs of a Go module, by its own go.sum
  # `go install` would first ask for a module at every path above a package; a proxy may answer that for good.
  local folder=$1 module=$2 go told source
  shift 2
  go=$("$lab/go")
  told=$("$go" mod download -json "$module") || die "$module is not to be had: $told"
  source=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$told")
  (cd "$source" && CGO_ENABLED=0 "$go" build -mod=readonly -trimpath -ldflags="-s -w" -o "$folder/" "$@") >&2
}
