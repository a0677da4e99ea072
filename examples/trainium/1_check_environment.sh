#!/usr/bin/env bash
# Check this machine: print one line per check and write environment.PLACE.json.
# Options: --simulator (dry run anywhere), --output FOLDER. Exit status 7: not ready.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
exec python "$root/examples/trainium/record.py" environment "$@"
