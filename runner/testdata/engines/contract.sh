#!/bin/sh
# An engine in sh that keeps greta's contract (engine/ENGINE.md: any program may be the engine).
# GRETA_BEHAVE makes it misbehave in one way, from the request that GRETA_BEHAVE_AT names on ("": the first).
set -eu
trap 'exit 143' TERM
trap 'exit 130' INT

behaviours="well slow crash hang deaf torn fill fork outside link not_json no_effective no_end complain
 any_option any_flag any_value any_model any_request any_folder one_token own_tokens changing neighbour
 daemon socket swarm devour undescribed wrong_type bare_nan twice stranger lies early_end beside exit_0"
if [ "$1" = describe ]; then
  choices=
  for name in $behaviours; do choices="$choices${choices:+, }\"$name\""; done
  cat <<JSON
{"contract_version": 1, "engine": "contract.sh", "version": "1", "build": {"commit": "", "dirty": false},
 "backends": [{"name": "cpu", "available": true, "isa": "sh"}],
 "flags": [
  {"name": "GRETA_BEHAVE", "type": "choice", "default": "well", "doc": "how",
   "choices": [$choices]},
  {"name": "GRETA_BEHAVE_AT", "type": "text", "choices": [], "default": "", "doc": "from which request on"},
  {"name": "GRETA_SCALE", "type": "choice", "choices": ["1", "2"], "default": "1", "doc": "an axis"}],
 "records": {"version": 1, "kinds": {
  "readout": {"doc": "The answer of a pass.", "fields": [
   {"name": "phase", "type": "text", "role": "key", "doc": "which pass"},
   {"name": "step", "type": "integer", "role": "key", "doc": "its number"},
   {"name": "top1_id", "type": "integer", "doc": "bytes of the request's line"},
   {"name": "gap", "type": "real", "doc": "GRETA_SCALE and a half"}]},
  "request_end": {"doc": "Complete.", "fields": [
   {"name": "prompt_tokens", "type": "integer", "doc": "1"},
   {"name": "generated_tokens", "type": "integer", "doc": "as asked"},
   {"name": "stop_reason", "type": "text", "doc": "max_tokens"},
   {"name": "text", "type": "text", "doc": "x"}]}}}}
JSON
  exit 0
fi

behave=${GRETA_BEHAVE:-well}
scale=${GRETA_SCALE:-1}
tokens=1
requests='' out='' model=''
refuse() {  # exit code, message, and the misbehaviour that does not
  [ "$behave" = "$3" ] || { echo "contract.sh: $2" >&2; exit "$1"; }
}
[ "$1" = run ] || refuse 2 "no command \`$1\`" ''
shift
while [ $# -gt 0 ]; do
  case $1 in
    --requests) requests=$2 ;;
    --out) out=$2 ;;
    --model) model=$2 ;;
    --max-tokens) tokens=$2 ;;
    --backend | --numerics | --kv-type | --threads) ;;
    *) refuse 2 "no option \`$1\`" any_option ;;
  esac
  shift 2
done
export -p | while IFS= read -r line; do
  line=${line#export }
  name=${line%%=*}
  case $name in
    GRETA_BEHAVE | GRETA_BEHAVE_AT | GRETA_SCALE) ;;
    GRETA_*) refuse 2 "no flag $name" any_flag ;;
  esac
done
known=
for name in $behaviours; do [ "$name" != "$behave" ] || known=1; done
[ -n "$known" ] || refuse 2 "GRETA_BEHAVE does not know \`$behave\`" ''
case $scale in 1 | 2) ;; *) refuse 2 "GRETA_SCALE is 1 or 2, not \`$scale\`" any_value ;; esac
[ -r "$model" ] || refuse 3 "no model \`$model\`" any_model
[ -r "$requests" ] || refuse 3 "no requests \`$requests\`" ''
while IFS= read -r line || [ -n "$line" ]; do
  case $line in '{'*'}') ;; *) refuse 3 "$requests: not a request: $line" any_request ;; esac
done <"$requests"
mkdir -p "$out" 2>/dev/null || refuse 2 "cannot make $out" ''
for file in "$out"/*; do
  [ ! -e "$file" ] || refuse 2 "$out is not empty" any_folder
done

effective() {
  printf '{"contract_version": 1, "engine": "contract.sh", "backend": "cpu", "device": "a shell", "isa": "sh",
 "injected": "", "flags": ['
  [ "$behave" = lies ] || printf '{"name": "GRETA_BEHAVE_AT", "value": "%s", "source": "%s", "read": true}, ' \
    "${GRETA_BEHAVE_AT:-}" "$(source_of "${GRETA_BEHAVE_AT+set}")"
  printf '{"name": "GRETA_BEHAVE", "value": "%s", "source": "%s", "read": true},
  {"name": "GRETA_SCALE", "value": "%s", "source": "%s", "read": true}],
 "kernels": [{"id": "echo", "op": "echo", "variant": "sh", "code_hash": "00000000000000aa", "launches": 1}]}
' "$behave" "$(source_of "${GRETA_BEHAVE+set}")" "$scale" "$(source_of "${GRETA_SCALE+set}")"
}
source_of() {  # "set" or nothing
  if [ -n "$1" ]; then echo env; else echo default; fi
}
end() {  # id, tokens
  printf '{"event":"request_end","request":"%s","prompt_tokens":1,"generated_tokens":%d,"stop_reason":"max_tokens","text":"x"}\n' \
    "$1" "$2" >>"$out/request_end.jsonl"
}
misbehave() {  # id, tokens
  case $behave in
    slow) sleep 0.05 ;;
    crash) kill -SEGV $$ ;;
    hang) sleep 600 ;;
    deaf) trap '' TERM; while :; do sleep 0.1; done ;;
    torn) printf '{"event":"readout","request":"%s","pha' "$1" >>"$out/readout.jsonl"; kill -ABRT $$ ;;
    fill) yes '{"event":"fill","text":"0123456789012345678901234567890123456789"}' >"$out/fill.jsonl" ;;
    fork) sleep 600 & ;;
    daemon) setsid sh -c 'cd /; trap "" TERM HUP; sleep 654 & sleep 654' >/dev/null 2>&1 & sleep 0.1 ;;
    outside) echo x >/greta-was-here || { echo "cannot write /greta-was-here" >&2; exit 5; } ;;
    beside) echo x >"$HOME/greta-was-here" ;;
    link) ln -sf /etc/passwd "$out/passwd.jsonl" ;;
    not_json) printf 'hello\n' >>"$out/readout.jsonl" ;;
    # These go on, as an engine may that takes no for an answer.
    socket) wget -q -O /dev/null http://127.0.0.1:9/ || true ;;
    swarm) i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i + 1)); done ;;
    devour) (x=$(head -c 200000000 /dev/zero | cat -v); echo ${#x}) || true; sleep 0.5 ;;
    complain) echo "greta-engine: no such weight \`blk.0\`" >&2; exit 3 ;;
    changing) extra=$$ ;;
    neighbour) extra=$((extra + 1)) ;;
    stranger) printf '{"event":"readout","request":"nobody","phase":"prefill_last","step":0,"top1_id":1,"gap":1.5}\n' >>"$out/readout.jsonl" ;;
    early_end) end "$1" "$2"; sleep 0.3 ;;
    exit_0) trap 'exit 0' TERM; sleep 0.05 ;;
  esac
}

[ "$behave" = no_effective ] || effective >"$out/effective.json"
reached= extra=0
while IFS= read -r line || [ -n "$line" ]; do
  id=${line#*\"id\":\"}
  id=${id%%\"*}
  count=$tokens
  case $line in
    *'"max_tokens":'*) [ "$behave" = own_tokens ] || { count=${line##*\"max_tokens\":}; count=${count%%[!0-9]*}; } ;;
  esac
  [ "$behave" != one_token ] || count=1
  if [ -z "${GRETA_BEHAVE_AT:-}" ] || [ "$GRETA_BEHAVE_AT" = "$id" ]; then reached=1; fi
  if [ -n "$reached" ]; then misbehave "$id" "$count"; fi
  head="{\"event\":\"readout\",\"request\":\"$id\""
  tail="\"top1_id\":$((${#line} + extra)),\"gap\":$scale.5"
  case $behave in
    wrong_type) tail="\"top1_id\":\"7\",\"gap\":$scale.5" ;;
    bare_nan) tail='"top1_id":7,"gap":nan' ;;
    undescribed) tail="$tail,\"margin\":1" ;;
    twice) tail="$tail,\"gap\":1" ;;
  esac
  echo "$head,\"phase\":\"prefill_last\",\"step\":0,$tail}" >>"$out/readout.jsonl"
  step=1
  while [ "$step" -lt "$count" ]; do
    echo "$head,\"phase\":\"decode$((step - 1))\",\"step\":$step,$tail}" >>"$out/readout.jsonl"
    step=$((step + 1))
  done
  case $behave in no_end | early_end) ;; *) end "$id" "$count" ;; esac
done <"$requests"
echo "done"
