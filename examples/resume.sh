#!/usr/bin/env bash
# A run that is killed and continued. Run it from the repository root:
#   bash examples/resume.sh
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
file="$work/benzene.dfmp2.h5"

# Start, and kill it without warning as soon as its run file has the SCF. (With the interval 0 every
# step is committed at once; the default is 30 s.)
dfmp2 run inputs/benzene.xyz --basis cc-pvdz --checkpoint "$file" --checkpoint-interval 0 --quiet &
run=$!
while kill -0 $run && ! dfmp2 show "$file" 2>/dev/null | grep 'converged, E' >/dev/null; do
    sleep 0.2
done
kill -KILL $run || true
wait $run || true

# What is there, and what is left?
dfmp2 show "$file"

# Do the rest, with other settings if that helps: converged orbitals and finished pairs stay.
dfmp2 resume "$file" --threads 1 --json "$work/benzene.json"

# A finished file is read, not computed again. The figure needs the extra dfmp2[plot].
dfmp2 run inputs/benzene.xyz --basis cc-pvdz --checkpoint "$file"
if python3 -c 'import matplotlib' 2>/dev/null; then
    dfmp2 show "$file" --plot "$work/benzene.svg"
fi
