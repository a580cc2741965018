#!/usr/bin/env bash
# The one entry point for people and CI: makes .venv, installs into it, and runs the demo, the tests, the checks.
set -euo pipefail
FROM=$PWD   # where the user is: paths in arguments are of there
cd "$(dirname "${BASH_SOURCE[0]}")"

VENV=.venv
STAMP=$VENV/installed   # "<checksum> <extra> ...": what is installed; written last, so that an interrupted installation has none
LOG=$VENV/install.log

help() {
    cat <<'HELP'
usage: ./setup.sh COMMAND [ARGUMENTS]

  install          make .venv and install the package and what it needs (exact versions: constraints.txt)
  demo [...]       install, then go from nothing to an evaluated segmentation of a synthetic volume
  segment RAW LABELS   install, then plan, train, predict, segment and evaluate volumes of your own; --minutes M, --help
  test [...]       install with what the tests need, then run them in two processes; arguments go to pytest. --all adds those of
                   kills, clusters, databases, a browser, containers and programs of others, which take longer, and need more than this
                   package
  check            lint, types and shell scripts; quick, changes nothing
  bench [NAME ...] measure beside peers: the benchmarks that take a quarter of an hour together, or those named
  lock             write constraints.txt anew, from the newest versions that pyproject.toml admits
  container [...]  build lsd.img, the Apptainer image of this checkout; --cpu for a small one, --help for the rest

Needs Python 3.11, 3.12 or 3.13; PYTHON=/path/to/python names one. A machine on which nvidia-smi lists a GPU gets
TensorFlow with CUDA, any other the CPU build.
HELP
}

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; exit "${2:-1}"; }
takes_no_arguments() { [ "$#" -eq 1 ] || fail "$1 takes no arguments, found: ${*:2}" 2; }

is_supported_python() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1
}

find_python() {
    local candidate candidates=(python3.11 python3.12 python3.13 python3 python) without_venv=""
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        is_supported_python "$candidate" || continue
        if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            printf '%s\n' "$candidate"
            return
        fi
        without_venv=$candidate
    done
    [ -z "$without_venv" ] ||
        fail "$without_venv cannot make virtual environments: install its venv module (on Debian: python3-venv)" 2
    [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is not a Python 3.11, 3.12 or 3.13" 2
    fail "no Python 3.11, 3.12 or 3.13 found: install one, or name it with PYTHON=/path/to/python" 2
}

make_venv() {
    local python
    if is_supported_python $VENV/bin/python && { [ -f $STAMP ] || $VENV/bin/python -m pip --version >/dev/null 2>&1; }; then
        return
    fi
    python=$(find_python)
    say "making $VENV with $("$python" --version)"
    "$python" -m venv --clear $VENV
}

has_gpu() { nvidia-smi -L 2>/dev/null | grep -q GPU; }

# The location counts too: an editable installation points to it.
checksum() { { pwd; cat pyproject.toml constraints.txt; } | cksum | tr ' ' '-'; }

# install_extras EXTRA...: installs the package with these extras and those it was installed with before.
install_extras() {
    make_venv
    local sum="" before="" extras
    [ ! -f $STAMP ] || read -r sum before < $STAMP
    has_gpu && set -- gpu "$@"
    extras=$(echo "$before $*" | xargs -n 1 | sort -u | xargs)
    if [ "$sum $before" = "$(checksum) $extras" ]; then return; fi
    rm -f $STAMP
    say "installing lsd-experiments${extras:+ with extras: $extras} into $VENV (minutes the first time; log: $LOG)"
    pip_install --constraint constraints.txt --editable ".${extras:+[${extras// /,}]}"
    case " $extras " in *" gpu "*) replace_tensorflow_cpu ;; esac
    echo "$(checksum) $extras" > $STAMP.new
    mv $STAMP.new $STAMP
}

pip_install() {
    $VENV/bin/python -m pip install --progress-bar off --disable-pip-version-check "$@" > $LOG 2>&1 || {
        grep '^ERROR' $LOG >&2 || tail -n 5 $LOG >&2
        fail "pip could not install: see above, and $LOG. The same command again continues"
    }
}

# tensorflow-cpu and tensorflow share their files: where both were installed, only the one with CUDA may stay.
replace_tensorflow_cpu() {
    $VENV/bin/python -m pip show -qq tensorflow-cpu 2>/dev/null || return 0
    say "keeping TensorFlow with CUDA only"
    $VENV/bin/python -m pip uninstall -qq -y tensorflow-cpu
    pip_install --constraint constraints.txt --no-deps --force-reinstall tensorflow
}

install() {
    takes_no_arguments install "$@"
    install_extras
    say "installed in $VENV; for a shell that uses it: source $VENV/bin/activate"
}

demo() {
    install_extras
    say "running the demo"
    $VENV/bin/python -m lsd_experiments.demo "$@"
}

segment() {
    install_extras
    local python=$PWD/$VENV/bin/python
    (cd "$FROM" && "$python" -P -m lsd_experiments.families.lsd.segment "$@")
}

run_tests() {
    install_extras test
    say "running the tests"
    $VENV/bin/python -m pytest --numprocesses 2 --dist loadgroup "$@"
}

check() {
    takes_no_arguments check "$@"
    install_extras dev
    local failed=() scripts=(setup.sh .ci/run .ci/system-packages .ci/container containers/build/*.sh tests/others/*.sh)
    say "lint";          $VENV/bin/ruff check . || failed+=(lint)
    say "types";         $VENV/bin/mypy || failed+=(types)
    say "shell scripts"; $VENV/bin/shellcheck "${scripts[@]}" || failed+=("shell scripts")
    say "Dockerfile";    $VENV/bin/hadolint containers/Dockerfile || failed+=(Dockerfile)
    [ ${#failed[@]} -eq 0 ] || fail "check failed: $(IFS=,; echo "${failed[*]}")"
    say "all checks passed"
}

# growth, blockwise, kills and skeletons take longer.
BENCHMARKS=(start descriptors samples malis fragments agglomeration segments extraction evaluation training_step prediction pipeline pytc_samples cellmap_loader)

bench() {
    [ $# -gt 0 ] || set -- "${BENCHMARKS[@]}"
    local name
    for name in "$@"; do
        [ -f "benchmarks/$name.py" ] || fail "no benchmark '$name'; there are: ${BENCHMARKS[*]} growth blockwise kills skeletons" 2
    done
    install_extras test
    for name in "$@"; do
        say "benchmarks/$name.py"
        $VENV/bin/python "benchmarks/$name.py"
    done
}

lock() {
    takes_no_arguments lock "$@"
    local python directory
    python=$(find_python)
    directory=$(mktemp -d)
    # shellcheck disable=SC2064  # the directory of now is meant
    trap "rm -rf '$directory'" EXIT
    say "resolving pyproject.toml anew in $directory (minutes)"
    "$python" -m venv "$directory"
    "$directory/bin/python" -m pip install -qq --disable-pip-version-check --upgrade pip setuptools wheel
    "$directory/bin/python" -m pip install -qq --editable '.[test,dev]'
    "$directory/bin/python" -m pip freeze --all --exclude-editable > "$directory/versions"
    "$directory/bin/python" -m pip install -qq --dry-run --ignore-installed --report "$directory/gpu.json" '.[gpu]'
    "$directory/bin/python" -c "$CUDA_VERSIONS" < "$directory/gpu.json" >> "$directory/versions"
    sort --ignore-case --unique "$directory/versions" | write_constraints > constraints.txt.new
    mv constraints.txt.new constraints.txt
    say "wrote constraints.txt; run the tests before you keep it"
}

# The libraries of CUDA, of which a machine without a GPU installs none, from what pip would install on one with it.
CUDA_VERSIONS='
import json, sys
for package in (install["metadata"] for install in json.load(sys.stdin)["install"]):
    if package["name"].startswith("nvidia-"):
        print(package["name"], package["version"], sep="==")
'

# From pip's list: no builds (+cpu), and TensorFlow's builds at one version.
write_constraints() {
    echo "# The versions that CI installs: what pyproject.toml resolved to, written by ./setup.sh lock."
    sed -E 's/\+[a-z0-9.]+$//; s/^tensorflow[-_]cpu==(.*)$/tensorflow==\1\ntensorflow-cpu==\1/'
}

main() {
    local command=${1:-help}
    shift || true
    case $command in
        help | -h | --help) help ;;
        install) install "$@" ;;
        demo) demo "$@" ;;
        segment) segment "$@" ;;
        test) run_tests "$@" ;;
        check) check "$@" ;;
        bench) bench "$@" ;;
        lock) lock "$@" ;;
        container) exec containers/build/build.sh "$@" ;;
        *) fail "unknown command '$command': ./setup.sh help lists them" 2 ;;
    esac
}

main "$@"
