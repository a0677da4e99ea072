#!/usr/bin/env bash
# The command line from plan to validation. Run it from the repository root:
#   bash examples/command_line.sh
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What will the run need? Nothing is computed yet.
dfmp2 plan inputs/benzene.xyz --basis cc-pvtz --frozen auto

# Two molecules with their chemical cores frozen; the results as QCSchema JSON.
dfmp2 run inputs/water.xyz inputs/ammonia.xyz --basis cc-pvdz --frozen auto \
    --json "$work/results.json"

# The same numbers again, and beside PySCF's own DF-MP2.
dfmp2 show "$work/results.json"
dfmp2 validate "$work/results.json" --validate-exact
