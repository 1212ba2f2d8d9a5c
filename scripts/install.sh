#!/usr/bin/env bash
# Makes the environment for `make demo` and `make test`: scripts/install.sh FOLDER
# Without a GPU it takes a CPU build of torch (about 200 MB) and not the CUDA build (several GB).
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
export PIP_DISABLE_PIP_VERSION_CHECK=1
cpu_index=https://download.pytorch.org/whl/cpu

find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
        if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "toolverifier needs Python 3.11 or newer and found none: install it, or say make PYTHON=/path/to/python" >&2
    return 1
}

pip() { "$venv/bin/python" -m pip "$@"; }

reachable() {
    "$venv/bin/python" -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)' "$1/torch/" 2>/dev/null
}

install_torch() {
    if "$venv/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then
        return
    elif nvidia-smi >/dev/null 2>&1 || [ "$(uname -s)" != Linux ]; then
        echo "== torch"
        pip install 'torch>=2.8'
    elif reachable "$cpu_index"; then
        echo "== torch for the CPU, from $cpu_index"
        pip install 'torch>=2.8' --index-url "$cpu_index"
    elif echo "== torch for the CPU, from where pip is configured to look" &&
        pip install 'torch==2.13.0+cpu' 2>/dev/null; then
        return
    else
        echo "== torch; no CPU build can be had from here, so this may take several GB"
        pip install 'torch>=2.8'
    fi
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "== environment in $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || {
        echo "the environment could not be made; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    }
fi
install_torch
echo "== toolverifier with its extras"
pip install --quiet --editable '.[hf,dev]'
# The type checker cannot follow an editable install whose folder has another name than the package.
mkdir -p "$venv/link"
ln -sfn ../.. "$venv/link/toolverifier"
