#!/usr/bin/env bash
# Runs every fuzz target of the main module for FUZZTIME each: `go test` takes
# one target of one package at a time.
set -euo pipefail
cd "$(dirname "$0")/.."

git grep -hoE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' >/dev/null || { echo "no fuzz targets"; exit 0; }
git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | while IFS=: read -r file target; do
  go test -run '^$' -fuzz "^${target#func }\$" -fuzztime "${FUZZTIME:-30s}" "./$(dirname "$file")"
done
