#!/bin/sh
# An engine in sh that keeps greta's contract (design: any program may be the engine). GRETA_BEHAVE
# makes it misbehave in one way, from the request that GRETA_BEHAVE_AT names on ("": the first).
set -eu

if [ "$1" = describe ]; then
  cat <<'JSON'
{"contract_version": 1, "engine": "contract.sh", "version": "1", "build": {"commit": "", "dirty": false},
 "backends": [{"name": "cpu", "available": true, "isa": "sh"}],
 "flags": [
  {"name": "GRETA_BEHAVE", "type": "choice", "default": "well", "doc": "how",
   "choices": ["well", "slow", "crash", "hang", "deaf", "torn", "fill", "fork", "outside", "link",
               "not_json", "no_effective", "no_end", "complain"]},
  {"name": "GRETA_BEHAVE_AT", "type": "text", "choices": [], "default": "", "doc": "from which request on"},
  {"name": "GRETA_SCALE", "type": "choice", "choices": ["1", "2"], "default": "1", "doc": "an axis"}]}
JSON
  exit 0
fi

[ "$1" = run ]
shift
while [ $# -gt 0 ]; do
  case $1 in
    --requests) requests=$2 ;;
    --out) out=$2 ;;
  esac
  shift 2
done
behave=${GRETA_BEHAVE:-well}
scale=${GRETA_SCALE:-1}
effective() {
  printf '{"contract_version": 1, "engine": "contract.sh", "backend": "cpu", "device": "a shell", "isa": "sh",
 "flags": [{"name": "GRETA_BEHAVE", "value": "%s", "source": "env", "read": true},
  {"name": "GRETA_SCALE", "value": "%s", "source": "env", "read": true}],
 "kernels": [{"id": "echo", "op": "echo", "variant": "sh", "code_hash": "00000000000000aa", "launches": 1}]}
' "$behave" "$scale" >"$out/effective.json"
}
misbehave() {  # id
  case $behave in
    slow) sleep 0.05 ;;
    crash) kill -SEGV $$ ;;
    hang) sleep 600 ;;
    deaf) trap '' TERM; while :; do sleep 0.1; done ;;
    torn) printf '{"event":"readout","request":"%s","pha' "$1" >>"$out/readout.jsonl"; kill -ABRT $$ ;;
    fill) yes '{"event":"fill","text":"0123456789012345678901234567890123456789"}' >"$out/fill.jsonl" ;;
    fork) sleep 600 & ;;
    outside) echo x >/greta-was-here || { echo "cannot write /greta-was-here" >&2; exit 5; } ;;
    link) ln -s /etc/passwd "$out/passwd.jsonl" ;;
    not_json) printf 'hello\n' >>"$out/readout.jsonl" ;;
    complain) echo "greta-engine: no such weight \`blk.0\`" >&2; exit 3 ;;
  esac
}

[ "$behave" = no_effective ] || effective
reached=
while IFS= read -r line; do
  id=${line#*\"id\":\"}
  id=${id%%\"*}
  if [ -z "${GRETA_BEHAVE_AT:-}" ] || [ "$GRETA_BEHAVE_AT" = "$id" ]; then reached=1; fi
  if [ -n "$reached" ]; then misbehave "$id"; fi
  printf '{"event":"readout","request":"%s","phase":"prefill_last","step":0,"top1_id":%d,"gap":%d.5}\n' \
    "$id" "${#line}" "$scale" >>"$out/readout.jsonl"
  if [ "$behave" != no_end ]; then
    printf '{"event":"request_end","request":"%s","prompt_tokens":1,"generated_tokens":1,"stop_reason":"max_tokens","text":"x"}\n' \
      "$id" >>"$out/request_end.jsonl"
  fi
done <"$requests"
echo "done"
