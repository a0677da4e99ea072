# Sourced by the scripts here. The virtual environment's tools come first on PATH: torch-neuronx
# finds its device library through a program there, and without it every launch raises. torch
# doing a kernel's work is an error, and only --simulator simulates.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
venv="${VIRTUAL_ENV:-${CONDA_PREFIX:-$root/.venv}}"
if [ ! -x "$venv/bin/python" ]; then
    echo "no Python in $venv/bin; activate the virtual environment that holds dfmp2" >&2
    exit 2
fi
export PATH="$venv/bin:$PATH"
export DFMP2_REQUIRE_NKI=1
unset DFMP2_USE_SIMULATOR
