"""What transformers says comes after a text: its tokens, and the logarithm of each next token's probability.

Argument: a folder in Hugging Face layout; the text and its tokens come as JSON.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

asked = json.load(sys.stdin)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
with torch.no_grad():
    logits = model(torch.tensor([asked["tokens"]])).logits[0, -1].double()
ids = tokenizer(asked["text"], add_special_tokens=False).input_ids
print(json.dumps({"ids": ids, "logarithms": torch.log_softmax(logits, 0).tolist()}))
