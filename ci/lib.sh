# Shared by the scripts of this folder; bash, sourced.
# shellcheck shell=bash

rust_wanted=1.90
ci=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$ci")

say() { printf '%s\n' "ci: $*" >&2; }
fail() {
    printf '%s\n' "ci: error: $1" >&2
    [ $# -lt 2 ] || printf '%s\n' "    hint: $2" >&2
    exit "${3:-1}"
}

# Packages of a group of ci/packages.
packages_of() { awk -v group="$1" '$1 == group { print $2 }' "$ci/packages"; }

# Whether the cargo in $1 is new enough.
cargo_is_new() {
    local found
    found=$("$1" --version 2>/dev/null | awk '{ print $2 }') || return 1
    [ -n "$found" ] && printf '%s\n%s\n' "$rust_wanted" "$found" | sort --version-sort --check=quiet
}

# Prints the folder of a cargo that is new enough: PATH first, then ~/.cargo/bin.
find_rust() {
    local cargo
    for cargo in "$(command -v cargo || :)" "${HOME:-/nonexistent}/.cargo/bin/cargo" /usr/bin/cargo; do
        if [ -x "$cargo" ] && cargo_is_new "$cargo"; then
            dirname "$cargo"
            return 0
        fi
    done
    return 1
}

# Puts that folder in front of PATH.
use_rust() {
    local folder
    folder=$(find_rust) || fail "there is no Rust $rust_wanted or newer" "run ci/setup"
    PATH="$folder:$PATH"
    export PATH
}

# Runs a step of a script: says what it does and how long it took; remembers it for `timings`.
declare -a step_rows=()
step() {
    local name=$1 started=$SECONDS status=0
    shift
    say "$name: $*"
    "$@" || status=$?
    step_rows+=("$(printf '%6d s  %s' "$((SECONDS - started))" "$name")")
    if [ "$status" -ne 0 ]; then
        timings
        fail "\`$name\` failed with exit status $status" "the command was: $*" "$status"
    fi
}

timings() {
    say "timings:"
    printf '%s\n' "${step_rows[@]}" "$(printf '%6d s  in all' "$SECONDS")" >&2
}
