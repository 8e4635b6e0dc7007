#!/usr/bin/env python3
"""Trains greta-tiny: tokenizer, model, evaluation after rounding to F16, GGUF.

    python3 prepare.py package text
    python3 train.py text out

Needs PyTorch, tokenizers and NumPy. Everything random is seeded.
"""

import argparse
import contextlib
import hashlib
import json
import os
import queue
import random
import threading
import time
from pathlib import Path

# cuBLAS is deterministic only with a fixed workspace, which it reads when it starts.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import torch

import bpe
import evaluate
import gguf_writer
from model import Config, Llama, Muon

SEED = 1816
EVERY = 50  # steps between two lines of loss.csv

# (rows as a share of the batch, length, share of the tokens that each kind of document gets). Long rows
# carry the running text; short ones start more documents at position 0, where prompts start.
# The running text is small: more of it would be learnt by heart.
LONG = (1, 1024, {"text": 0.10, "field": 0.18, "fact": 0.40, "chat": 0.20, "plain": 0.05, "spanish": 0.04,
                  "misc": 0.03})
SHORT = (4, 256, {"fact": 0.42, "chat": 0.26, "plain": 0.16, "spanish": 0.09, "misc": 0.07})


def read_documents(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def merge_text(documents):
    """What the merges are learnt from: no special tokens, and one generated document in ten, so that the
    few sentences that the templates repeat do not fill the vocabulary."""
    for number, document in enumerate(documents):
        if document["kind"] in ("text", "field") or (document["kind"] != "chat" and number % 10 == 0):
            yield document["text"]


def tokenise(tokenizer, documents):
    """kind -> list of token arrays; each document begins with BOS and ends with a token that ends it."""
    bos, end = (tokenizer.token_to_id(token) for token in ("<|begin_of_text|>", "<|end_of_text|>"))
    out = {}
    for document, encoding in zip(documents, tokenizer.encode_batch([document["text"] for document in documents])):
        # A conversation has its own end: the last turn's <|eot_id|>.
        tail = [] if document["kind"] == "chat" else [end]
        out.setdefault(document["kind"], []).append(np.array([bos] + encoding.ids + tail, dtype=np.uint16))
    return out


class Stream:
    """Endless documents of each kind, reshuffled every time round, packed into rows that start with one."""

    def __init__(self, documents, seed):
        self.documents = documents
        self.rng = random.Random(seed)
        self.order = {kind: [] for kind in documents}
        self.mean = {kind: np.mean([len(tokens) for tokens in found]) for kind, found in documents.items()}

    def next(self, kind):
        if not self.order[kind]:
            self.order[kind] = list(range(len(self.documents[kind])))
            self.rng.shuffle(self.order[kind])
        return self.documents[kind][self.order[kind].pop()]

    def rows(self, count, length, shares):
        kinds = list(shares)
        weights = [shares[kind] / self.mean[kind] for kind in kinds]
        out = np.empty((count, length + 1), dtype=np.int64)
        for row in out:
            filled = 0
            while filled < length + 1:
                tokens = self.next(self.rng.choices(kinds, weights)[0])[: length + 1 - filled]
                row[filled : filled + len(tokens)] = tokens
                filled += len(tokens)
        return out


def producer(stream, steps, rows, out):
    for step in range(steps):
        factor, length, shares = (LONG, SHORT)[step % 2]
        out.put(torch.from_numpy(stream.rows(rows * factor, length, shares)))


def held_out_batches(documents, context, device):
    """Each paragraph in a row of its own, padded; 16 rows a batch."""
    batches = []
    for start in range(0, len(documents), 16):
        part = [tokens[: context + 1].astype(np.int64) for tokens in documents[start : start + 16]]
        width = max(len(tokens) for tokens in part) - 1
        inputs = torch.zeros(len(part), width, dtype=torch.long)
        targets = torch.full((len(part), width), -100)
        for index, tokens in enumerate(part):
            inputs[index, : len(tokens) - 1] = torch.from_numpy(tokens[:-1])
            targets[index, : len(tokens) - 1] = torch.from_numpy(tokens[1:])
        batches.append((inputs.to(device), targets.to(device)))
    return batches


def optimisers(model, args):
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and name != "token_embd.weight"]
    norms = [p for p in model.parameters() if p.ndim == 1]
    return [
        Muon(matrices, lr=args.muon_lr, weight_decay=args.decay),
        torch.optim.AdamW(
            [{"params": [model.token_embd.weight], "weight_decay": args.decay},
             {"params": norms, "weight_decay": 0.0}],
            lr=args.adam_lr, betas=(0.9, 0.95), eps=1e-10),
    ]


def fit(model, stream, held, args, device):
    """Trains the model in place; returns the lines of loss.csv."""
    opts = optimisers(model, args)
    base = [[group["lr"] for group in opt.param_groups] for opt in opts]
    loss_of = torch.compile(model.loss, dynamic=False) if args.compile else model.loss
    autocast = torch.autocast(device, dtype=torch.bfloat16) if args.bf16 else contextlib.nullcontext()
    batches = queue.Queue(maxsize=32)
    threading.Thread(target=producer, args=(stream, args.steps, args.rows, batches), daemon=True).start()
    warm = min(100, args.steps // 10 + 1)
    lines, seen, sums, begun = [], 0, [], time.time()
    for step in range(args.steps):
        # Linear warm-up, then a cosine down to nothing.
        part = max(0.0, (step - warm) / max(1, args.steps - warm))
        factor = (step + 1) / warm if step < warm else 0.5 * (1 + np.cos(np.pi * part))
        for opt, rates in zip(opts, base):
            for group, rate in zip(opt.param_groups, rates):
                group["lr"] = rate * factor
        rows = batches.get().to(device)
        with autocast:
            loss = loss_of(rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        sums.append(loss.detach())
        seen += rows[:, 1:].numel()
        if (step + 1) % EVERY == 0 or step + 1 == args.steps:
            with autocast:
                held_loss = evaluate.held_out_loss(model, held)
            lines.append((step + 1, torch.stack(sums).mean().item(), held_loss))
            sums = []
            if (step + 1) % (4 * EVERY) == 0 or step + 1 == args.steps:
                spent = time.time() - begun
                print("step %5d  train %.4f  held out %.4f  %7.1f s  %.2f M tokens/s"
                      % (*lines[-1], spent, seen / spent / 1e6), flush=True)
    return lines, seen, time.time() - begun


def round_to_f16(model):
    """What the file stores: matrices in F16, norms in F32."""
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                assert weight.abs().max() < 60000
                weight.copy_(weight.half().float())


def report(model, tokenizer, countries, held, out, device, facts):
    model.eval()
    records = evaluate.capitals(model, tokenizer, countries, device)
    with open(out / "capitals.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    facts["capitals"] = {label: f"{good}/{asked}" for label, (good, asked) in evaluate.score(records).items()}
    facts["held_out_loss_f16"] = round(evaluate.held_out_loss(model, held), 4)
    samples = evaluate.greedy(model, tokenizer, evaluate.SAMPLES, 40, device)
    with open(out / "samples.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for prompt, got in zip(evaluate.SAMPLES, samples):
            record = {"prompt": prompt, "tokens": evaluate.encode(tokenizer, prompt), "got": got}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            print(repr(prompt), "->", repr(got))
    (out / "result.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(facts, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path, help="folder that prepare.py wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--rows", type=int, default=64, help="rows of 1024 tokens in a batch")
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--adam-lr", type=float, default=0.003)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--fp32", dest="bf16", action="store_false")
    args = parser.parse_args()

    device = "cuda" if torch.cuda.is_available() else "cpu"
    random.seed(SEED)
    np.random.seed(SEED)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)
    begun = time.time()

    documents = read_documents(args.text / "train.jsonl")
    tokenizer = bpe.train(merge_text(documents))
    tokenizer.save(str(args.out / "tokenizer.json"))
    tokens = tokenise(tokenizer, documents)
    held = tokenise(tokenizer, read_documents(args.text / "heldout.jsonl"))["text"]
    countries = json.loads((args.text / "capitals.json").read_text(encoding="utf-8"))
    print("tokens:", {kind: sum(map(len, found)) for kind, found in tokens.items()},
          "held out:", sum(map(len, held)), "in %.1f s" % (time.time() - begun), flush=True)

    config = Config()
    model = Llama(config, args.dropout)  # the weights are drawn on the CPU: one seed, one start, on any device
    model.to(device)
    count = sum(weight.numel() for weight in model.parameters())
    held = held_out_batches(held, config.context, device)
    lines, seen, spent = fit(model, Stream(tokens, SEED), held, args, device)
    with open(args.out / "loss.csv", "w", encoding="utf-8", newline="\n") as file:
        file.write("step,train_loss,heldout_loss\n")
        file.writelines("%d,%.4f,%.4f\n" % line for line in lines)

    round_to_f16(model)
    path = args.out / "greta-tiny.gguf"
    gguf_writer.export(path, model, bpe.parts(tokenizer), set(bpe.SPECIAL), bpe.CHAT_TEMPLATE)
    facts = {
        "parameters": count, "steps": args.steps, "dropout": args.dropout, "tokens_seen": seen,
        "train_seconds": round(spent, 1),
        "train_loss": round(lines[-1][1], 4), "held_out_loss": round(lines[-1][2], 4),
        "held_out_loss_lowest": round(min(line[2] for line in lines), 4),
        "device": torch.cuda.get_device_name(0) if device == "cuda" else "cpu", "torch": torch.__version__,
        "bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    assert facts["bytes"] <= 16 * 1024 * 1024
    report(model, tokenizer, countries, held, args.out, device, facts)


if __name__ == "__main__":
    main()
