#!/usr/bin/env bash
# A run that is killed and continued. Run it from the repository root:
#   bash examples/resume.sh
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
file="$work/benzene.dfmp2.h5"

# Start a run, and kill it as soon as its run file has the SCF. With the interval 0 every step is
# committed at once. The default interval is 30 s.
dfmp2 run inputs/benzene.xyz --basis cc-pvdz --checkpoint "$file" --checkpoint-interval 0 --quiet &
run=$!
while kill -0 $run && ! dfmp2 show "$file" 2>/dev/null | grep 'converged, E' >/dev/null; do
    sleep 0.2
done
kill -KILL $run || true
wait $run || true

# Show what is in the run file and what is left.
dfmp2 show "$file"

# Compute the rest, here with another number of threads. Converged orbitals and finished pairs are
# kept.
dfmp2 resume "$file" --threads 1 --json "$work/benzene.json"

# The result of a finished run file is read from it. The figure needs the extra dfmp2[plot].
dfmp2 run inputs/benzene.xyz --basis cc-pvdz --checkpoint "$file"
if python3 -c 'import matplotlib' 2>/dev/null; then
    dfmp2 show "$file" --plot "$work/benzene.svg"
fi
