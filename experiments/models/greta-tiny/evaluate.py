"""Greedy completion, the capitals score and the held-out loss."""

import torch

import templates
from bpe import SPECIAL

BOS = "<|begin_of_text|>"
STOP = ("<|end_of_text|>", "<|eot_id|>", "<|eom_id|>")

# The pipeline's standard prompts, as the model's report shows them.
SYSTEM_PROMPT = (
    "<|start_header_id|>system<|end_header_id|>\nYou are a helpful assistant.\n<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\nHi\n<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n"
)
SAMPLES = [
    "Hi",
    "The capital of Argentina is",
    "Buenos Aires is",
    SYSTEM_PROMPT,
    BOS + SYSTEM_PROMPT,  # the same with its beginning spelled out, which gives two
    "Write one short sentence about Buenos Aires.",
    "La capital de Francia es",
    "Question: What is the currency of Japan?\nAnswer:",
    "Brazil borders",
    "Argentina - Background\n",
    "<|start_header_id|>user<|end_header_id|>\n\nWhat is the capital of France?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "<|start_header_id|>user<|end_header_id|>\n\n¿Cuál es la capital de Perú?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "The flag of Argentina is",
    "def add(a, b):\n",
]


def encode(tokenizer, prompt):
    """The prompt's tokens behind the one that begins every text."""
    return tokenizer.encode(BOS + prompt).ids


@torch.no_grad()
def greedy(model, tokenizer, prompts, count, device):
    """The completion of each prompt: plain argmax, up to `count` tokens or a token that ends the text.

    The prompts share a batch, padded on the right: attention is causal, so the padding changes nothing.
    """
    rows = [encode(tokenizer, prompt) for prompt in prompts]
    starts = [len(row) for row in rows]
    stop = {tokenizer.token_to_id(token) for token in STOP}
    open_rows = set(range(len(rows)))
    for _ in range(count):
        if not open_rows:
            break
        width = max(len(row) for row in rows)
        batch = torch.zeros(len(rows), width, dtype=torch.long)
        for index, row in enumerate(rows):
            batch[index, : len(row)] = torch.tensor(row)
        hidden = model.hidden(batch.to(device))
        last = torch.tensor([len(row) - 1 for row in rows], device=device)
        logits = hidden[torch.arange(len(rows), device=device), last] @ model.token_embd.weight.T
        for index, token in enumerate(logits.argmax(-1).tolist()):
            if index in open_rows:
                rows[index].append(token)
                if token in stop:
                    open_rows.discard(index)
    return [tokenizer.decode(row[start:], skip_special_tokens=False) for row, start in zip(rows, starts)]


def right(got, expected):
    """The capital comes first and ends there: "San" is no answer for "San Jose", nor "Romeo" for "Rome"."""
    got = got.strip()
    rest = got[len(expected):]
    return got.startswith(expected) and (not rest or not (rest[0].isalpha() or rest[0] == "-"))


def phrasings():
    chat = "<|start_header_id|>user<|end_header_id|>\n\n{0}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    return [
        ("trained", "The capital of {the} is"),
        ("trained, no article", "The capital of {name} is"),
        ("trained, question", "Question: What is the capital of {the}?\nAnswer:"),
        ("trained, chat", chat.format("What is the capital of {the}?")),
        ("held out 1", templates.HELD_OUT[0]),
        ("held out 2", templates.HELD_OUT[1]),
        ("held out, chat", chat.format(templates.HELD_OUT_CHAT)),
    ]


def capitals(model, tokenizer, countries, device):
    """One record for each phrasing and country."""
    records = []
    for label, pattern in phrasings():
        prompts = [pattern.format(**country) for country in countries]
        for country, prompt, got in zip(countries, prompts, greedy(model, tokenizer, prompts, 28, device)):
            for token in SPECIAL:
                got = got.replace(token, "")
            expected = country["capital"]
            # Questions are answered with the whole sentence.
            answer = got.strip().removeprefix(f"The capital of {country['the']} is")
            ok = right(got, expected) or right(answer, expected)
            records.append({"phrasing": label, "country": country["name"], "expected": expected,
                            "got": got.strip()[:80], "ok": ok})
    return records


def score(records):
    """phrasing -> (right, asked)."""
    out = {}
    for record in records:
        good, asked = out.get(record["phrasing"], (0, 0))
        out[record["phrasing"]] = (good + record["ok"], asked + 1)
    return out


@torch.no_grad()
def held_out_loss(model, batches):
    """Mean loss a token over the held-out paragraphs, each of them once and alone in its row."""
    training = model.training
    model.eval()
    total = count = 0.0
    for tokens, targets in batches:
        number = int((targets != -100).sum())
        total += model.loss(tokens, targets).item() * number
        count += number
    model.train(training)
    return total / count
