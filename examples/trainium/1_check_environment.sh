#!/usr/bin/env bash
# Is this machine ready? Prints a line per check and writes environment.PLACE.json.
# Options: --simulator (dry run anywhere), --output FOLDER. Exit status 7: not ready.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec python "$root/examples/trainium/record.py" environment "$@"
