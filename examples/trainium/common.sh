# The other scripts here source this file. The programs of the virtual environment come first on PATH:
# torch-neuronx finds its device library through one of them, and without it every launch raises.
# Work that torch does in place of a kernel is an error. Only --simulator uses the simulator.
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
venv="${VIRTUAL_ENV:-${CONDA_PREFIX:-$root/.venv}}"
if [ ! -x "$venv/bin/python" ]; then
    echo "no Python in $venv/bin; activate the virtual environment that holds dfmp2" >&2
    exit 2
fi
export PATH="$venv/bin:$PATH"
export DFMP2_REQUIRE_NKI=1
unset DFMP2_USE_SIMULATOR
