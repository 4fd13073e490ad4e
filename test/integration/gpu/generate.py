#!/usr/bin/env python3
#
# generate.py - Tokens a second of Hugging Face transformers, random weights
#
# SPDX-License-Identifier: Apache-2.0
#
# Usage: generate.py CONFIG_JSON TOKENS [LAYERS]
#
# One sequence, greedy, with its cache, in bf16. Prints the rate of a step as
# "RATE tokens/s" last. For transformers 4.54 and newer, those of 5.x too.

import inspect
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, DeepseekV2Config, DynamicCache

with open(sys.argv[1]) as file:
    fields = json.load(file)
count = int(sys.argv[2])
# What the class says itself, and what is named "dtype" by now.
for name in ("architectures", "auto_map", "model_type", "torch_dtype"):
    fields.pop(name, None)
# The old form of what 5.x calls rope_parameters: both versions take it, with
# floats for numbers.
if fields.get("rope_scaling"):
    for name in ("factor", "beta_fast", "beta_slow"):
        if name in fields["rope_scaling"]:
            fields["rope_scaling"][name] = float(fields["rope_scaling"][name])
if len(sys.argv) > 3:
    fields["num_hidden_layers"] = int(sys.argv[3])
config = DeepseekV2Config(**fields)
device = "cuda" if torch.cuda.is_available() else "cpu"
torch.manual_seed(1)
torch.set_default_dtype(torch.bfloat16)
with torch.device(device):
    model = AutoModelForCausalLM.from_config(config)
model = model.to(device=device, dtype=torch.bfloat16).eval()
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.02)
print(f"{sum(p.numel() for p in model.parameters()) / 1e9:.2f} G parameters")
# Newer versions have another name for it.
takes = inspect.signature(model.forward).parameters
cache_name = "cache" if "cache" in takes else "past_key_values"


def wait():
    if device == "cuda":
        torch.cuda.synchronize()


rates = []
with torch.no_grad():
    for _ in range(3):
        token = torch.tensor([[1]], device=device)
        cache = DynamicCache()  # each step adds to it
        for step in range(count + 4):
            if step == 4:  # the first ones warm up
                wait()
                begin = time.perf_counter()
            out = model(token, **{cache_name: cache}, use_cache=True)
            token = out.logits[:, -1:].argmax(-1)
        wait()
        rates.append(count / (time.perf_counter() - begin))
print(f"{sorted(rates)[1]:.3f} tokens/s")
