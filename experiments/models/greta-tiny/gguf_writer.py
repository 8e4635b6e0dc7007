"""Writes GGUF version 3 (little-endian, alignment 32)."""

import struct

import numpy as np

ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TYPES = {np.dtype("float32"): 0, np.dtype("float16"): 1}  # ggml's F32 and F16


def text(value):
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def scalar(kind, value):
    if kind == STRING:
        return text(value)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], value)


def padding(size):
    return -size % ALIGNMENT


class Writer:
    def __init__(self):
        self.meta = []
        self.tensors = []

    def add(self, key, kind, value):
        self.meta.append(text(key) + struct.pack("<I", kind) + scalar(kind, value))

    def add_array(self, key, kind, values):
        head = text(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
        self.meta.append(head + b"".join(scalar(kind, value) for value in values))

    def add_tensor(self, name, array):
        """A NumPy array [rows, columns]; GGUF names the fastest dimension first."""
        self.tensors.append((name, np.ascontiguousarray(array)))

    def write(self, path):
        self.add("general.alignment", UINT32, ALIGNMENT)
        head = [b"GGUF", struct.pack("<IQQ", 3, len(self.tensors), len(self.meta))] + self.meta
        offset = 0
        for name, array in self.tensors:
            shape = array.shape[::-1]
            head.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, TYPES[array.dtype], offset))
            offset += array.nbytes + padding(array.nbytes)
        head = b"".join(head)
        with open(path, "wb") as file:
            file.write(head + bytes(padding(len(head))))
            for _, array in self.tensors:
                file.write(array.tobytes() + bytes(padding(array.nbytes)))


def export(path, model, tokenizer_parts, special, chat_template):
    """The model with its tokenizer: matrices as F16, norms as F32."""
    config = model.config
    tokens, merges = tokenizer_parts
    number = {token: index for index, token in enumerate(tokens)}
    writer = Writer()
    for key, value in (
        ("general.architecture", "llama"),
        ("general.type", "model"),
        ("general.name", "greta-tiny"),
        ("general.size_label", "8M"),
        ("general.license", "mit"),
        ("general.description", "Test model of the greta pipeline, trained on public-domain World Factbook text"),
    ):
        writer.add(key, STRING, value)
    writer.add("general.file_type", UINT32, 1)  # mostly F16
    writer.add("general.quantization_version", UINT32, 2)
    for key, value in (
        ("vocab_size", config.vocab),
        ("context_length", config.context),
        ("embedding_length", config.dim),
        ("block_count", config.layers),
        ("feed_forward_length", config.ffn),
        ("attention.head_count", config.heads),
        ("attention.head_count_kv", config.kv_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
        ("rope.dimension_count", config.head_dim),
    ):
        writer.add(f"llama.{key}", UINT32, value)
    writer.add("llama.rope.freq_base", FLOAT32, config.rope_base)
    writer.add("llama.attention.layer_norm_rms_epsilon", FLOAT32, config.eps)
    writer.add("tokenizer.ggml.model", STRING, "gpt2")
    writer.add("tokenizer.ggml.pre", STRING, "llama-bpe")
    writer.add_array("tokenizer.ggml.tokens", STRING, tokens)
    writer.add_array("tokenizer.ggml.token_type", INT32, [3 if token in special else 1 for token in tokens])
    writer.add_array("tokenizer.ggml.merges", STRING, [" ".join(pair) for pair in merges])
    writer.add("tokenizer.ggml.bos_token_id", UINT32, number["<|begin_of_text|>"])
    writer.add("tokenizer.ggml.eos_token_id", UINT32, number["<|end_of_text|>"])
    writer.add("tokenizer.ggml.eot_token_id", UINT32, number["<|eot_id|>"])
    writer.add("tokenizer.ggml.eom_token_id", UINT32, number["<|eom_id|>"])
    writer.add("tokenizer.ggml.padding_token_id", UINT32, number["<|finetune_right_pad_id|>"])
    writer.add("tokenizer.ggml.add_bos_token", BOOL, True)
    writer.add("tokenizer.chat_template", STRING, chat_template)
    for name, weight in model.state_dict().items():
        array = weight.detach().cpu().float().numpy()
        writer.add_tensor(name, array.astype(np.float16) if array.ndim == 2 else array)
    writer.write(path)
