#!/bin/sh
# An engine that knows nothing of greta: prompts on the command line, its own JSONL on stdout and in a
# file of its own shape. adapter.yaml beside it says what is what.
set -eu
prompt=$1
where=$2
length=${#prompt}
mkdir -p "$where/traces"
i=0
while [ $i -lt "$LAYERS" ]; do
  printf '{"layer": %d, "norm": %d.25, "weird": nan}\n' $i $((length + i)) >>"$where/traces/layers.jsonl"
  i=$((i + 1))
done
echo "loading..." >&2
printf '{"answer": "%s", "length": %d}\n' "$prompt" "$length"
case $MODE in
  flood) yes "{\"answer\": \"$prompt\", \"length\": 1}" | head -n 9999; printf '{"length": 1000}\n' ;;
  chop) head -c 999999 /dev/zero >"$where/state.bin" || true ;;  # takes the cut for a success
esac
[ "$MODE" != fail ] || { echo "MODE=fail asked for it" >&2; exit 9; }
