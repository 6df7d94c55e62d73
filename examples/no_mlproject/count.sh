#!/bin/sh
# Counts what it is given: --word W, as often as you like but once a name. Shell scripts are entry points as well.
set -eu
printf '%s arguments\n' "$#"
for argument in "$@"; do
  printf '<%s>\n' "$argument"
done
