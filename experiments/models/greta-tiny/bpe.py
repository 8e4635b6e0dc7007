"""The tokenizer: a byte-level BPE with Llama 3's pre-tokenisation and special tokens.

llama.cpp knows this pre-tokenisation as `llama-bpe`; it takes a piece that is in the vocabulary whole
before it tries merges, and so does the tokenizer made here (ignore_merges).
"""

import json

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB = 8192

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Llama 3's order; they follow the ordinary tokens.
SPECIAL = [
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
] + [f"<|reserved_special_token_{number}|>" for number in range(3, 8)]

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def assemble(model):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(texts):
    """A tokenizer of VOCAB entries: all 256 bytes, the merges, then the special tokens."""
    tokenizer = assemble(models.BPE())
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB - len(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ))
    state = json.loads(tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in state["merges"]]
    tokenizer = assemble(models.BPE(state["vocab"], merges, ignore_merges=True))
    tokenizer.add_special_tokens(SPECIAL)
    check(tokenizer)
    return tokenizer


def parts(tokenizer):
    """(tokens in the order of their ids, merges), as GGUF stores them."""
    state = json.loads(tokenizer.to_str())["model"]
    tokens = [None] * tokenizer.get_vocab_size()
    for token, number in tokenizer.get_vocab().items():
        tokens[number] = token
    return tokens, [tuple(pair) for pair in state["merges"]]


def check(tokenizer):
    tokens, merges = parts(tokenizer)
    known = set(tokens)
    assert len(tokens) == VOCAB and None not in tokens and len(known) == VOCAB
    assert tokens[-len(SPECIAL):] == SPECIAL
    assert all(byte in known for byte in pre_tokenizers.ByteLevel.alphabet())
    assert all(left in known and right in known and left + right in known for left, right in merges)
