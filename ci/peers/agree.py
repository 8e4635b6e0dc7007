"""Compares greta-infer's output folder with llama_greta's (see agree_llama_cpp).

  agree.py requests OUT                 the prompts again, as token ids: one request a line
  agree.py compare OUT LLAMA IDS_A IDS_B  table, one JSON line, exit code
"""
import json
import re
import sys

import numpy as np


def records(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def sequences(out):
    """request -> (prompt ids, generated ids), in file order."""
    found = {}
    for r in records(f"{out}/tokens.jsonl"):
        found.setdefault(r["request"], ([], []))[r["source"] == "generated"].append(r["token_id"])
    return found


def requests(out):
    for name, (prompt, _) in sequences(out).items():
        print(json.dumps({"id": name, "tokens": prompt}))


def dumps(out):
    """request -> its logits, one row a pass."""
    found = {}
    for r in records(f"{out}/logits_dump.jsonl"):
        rows = np.fromfile(f"{out}/{r['file']}", dtype="<f4").reshape(r["rows"], r["vocab"])
        found[r["request"]] = rows.astype(np.float64)
    return found


def compare(out, llama, ids_a, ids_b):
    generated = {name: ids for name, (_, ids) in sequences(llama).items()}
    ours_all, theirs_all = dumps(out), dumps(llama)
    worst_prefill = worst_decode = 0.0
    explained = unexplained = compared = 0
    print(f"{'prompt':16} {'tokens':>6} {'equal':>6} {'prefill max|d|/std':>19} {'all max|d|/std':>15}  first difference")
    for name, (_, mine) in sequences(out).items():
        ours, theirs = ours_all[name], theirs_all[name]
        peer = generated[name]
        ratio = []
        note = ""
        for step in range(min(len(mine), len(peer), len(ours))):
            difference = np.abs(ours[step] - theirs[step]).max()
            ratio.append(difference / theirs[step].std())
            compared += 1
            if mine[step] != peer[step]:
                top = np.sort(theirs[step])[-2:]
                gap = top[1] - top[0]
                small = bool(gap < 2 * difference)
                explained += small
                unexplained += not small
                note = f"step {step}: gap {gap:.3g}, logit difference {difference:.3g}" + ("" if small else "  UNEXPLAINED")
                break
        if len(mine) != len(peer) and not note:
            note = f"lengths {len(mine)} and {len(peer)}  UNEXPLAINED"
            unexplained += 1
        worst_prefill = max(worst_prefill, ratio[0])
        worst_decode = max(worst_decode, max(ratio))
        equal = next((i for i, (a, b) in enumerate(zip(mine, peer)) if a != b), min(len(mine), len(peer)))
        print(f"{name:16} {len(peer):6} {equal:6} {ratio[0]:19.2e} {max(ratio):15.2e}  {note}")
    page = [[int(i) for i in re.findall(r"-?\d+", open(f, encoding="utf-8").read())] for f in (ids_a, ids_b)]
    ids_equal = page[0] == page[1]
    print(f"page of text: {len(page[0])} and {len(page[1])} token ids, {'equal' if ids_equal else 'DIFFERENT'}")
    ok = unexplained == 0 and worst_prefill < 2e-2 and ids_equal
    print(json.dumps({"prompts": len(generated), "steps_compared": compared, "first_differences_explained": explained,
                      "first_differences_unexplained": unexplained, "prefill_max_diff_over_std": worst_prefill,
                      "max_diff_over_std": worst_decode, "page_ids": len(page[0]), "page_ids_equal": ids_equal, "ok": bool(ok)}))
    return 0 if ok else 1


if __name__ == "__main__":
    if sys.argv[1] == "requests":
        requests(sys.argv[2])
    else:
        sys.exit(compare(*sys.argv[2:6]))
