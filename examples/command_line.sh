#!/usr/bin/env bash
# The command line from plan to validation. Run it from the repository root:
#   bash examples/command_line.sh
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Forecast memory, disk and work. Nothing is computed.
dfmp2 plan inputs/benzene.xyz --basis cc-pvtz --frozen auto

# Compute two molecules with frozen chemical cores, and write the results as QCSchema JSON.
dfmp2 run inputs/water.xyz inputs/ammonia.xyz --basis cc-pvdz --frozen auto \
    --json "$work/results.json"

# Print the stored results, and compare them with PySCF's DF-MP2.
dfmp2 show "$work/results.json"
dfmp2 validate "$work/results.json" --validate-exact
