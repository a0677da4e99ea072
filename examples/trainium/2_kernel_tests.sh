#!/usr/bin/env bash
# Run the kernels' tests on the device, then write the evidence that `dfmp2 kernels` shows.
# Options: --simulator (dry run anywhere), --output FOLDER. Exit status 7: no device.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
if [[ " $* " == *" --simulator "* ]]; then
    (cd "$root" && python -m pytest -q -p no:cacheprovider tests/backends/test_nki_really_runs.py -k launches_complete)
else
    python -m dfmp2 doctor --backend nki
    (cd "$root" && python -m pytest -q -m neuron --require-backend nki-device tests)
fi
exec python "$root/examples/trainium/record.py" kernels "$@"
