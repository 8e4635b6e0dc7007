"""Llama 3's vocabulary as a GGUF file without tensors (agree_llama3_tokenizer).

  llama3_vocabulary.py TOKENIZER_JSON OUT.gguf     needs the gguf package
"""
import json
import sys

import gguf

with open(sys.argv[1], encoding="utf-8") as file:
    source = json.load(file)
tokens = {number: text for text, number in source["model"]["vocab"].items()}
kinds = dict.fromkeys(tokens, gguf.TokenType.NORMAL)
for added in source["added_tokens"]:
    tokens[added["id"]] = added["content"]
    kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
assert sorted(tokens) == list(range(len(tokens))), "ids with gaps"
merges = [m if isinstance(m, str) else " ".join(m) for m in source["model"]["merges"]]
by_text = {text: number for number, text in tokens.items()}

writer = gguf.GGUFWriter(sys.argv[2], "llama")
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("llama-bpe")
writer.add_token_list([tokens[i] for i in range(len(tokens))])
writer.add_token_types([kinds[i] for i in range(len(tokens))])
writer.add_token_merges(merges)
writer.add_bos_token_id(by_text["<|begin_of_text|>"])
writer.add_eos_token_id(by_text["<|end_of_text|>"])
writer.add_add_bos_token(True)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(json.dumps({"tokens": len(tokens), "merges": len(merges)}))
