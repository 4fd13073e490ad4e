# ===- check.py - Measure the bundled demo model ------------------------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# Answers held-out sums by greedy decoding, with the weights as stored and
# with their matrices rounded to integers in groups of 32.
#
# ===---------------------------------------------------------------------===#
"""Measure a demo checkpoint on held-out sums.

    python3 models/demo/train/check.py [--model models/demo] [--count 1000]

Prints the share answered exactly, end of sentence included: of --count
held-out problems drawn as in training, of as many drawn uniformly, and of
heldout.txt. Each is measured with the stored weights and with int8 and int4
weights: symmetric, one scale per 32 inputs of a row, no embedding, no head and
no router. --transformers decodes heldout.txt through transformers as well.
--write-held-out writes heldout.txt.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

import train
from problems import LIMIT, Problems

GROUP = 32


def rounded(tensors, bits):
    """The tensors with every projection rounded to bits."""
    limit = 2 ** (bits - 1) - 1
    result = {}
    for name, value in tensors.items():
        result[name] = value
        if value.dim() == 1 or any(p in name for p in ("embed_tokens", "lm_head", ".gate.")):
            continue
        groups = value.view(value.shape[0], -1, GROUP)
        scale = groups.abs().amax(-1, keepdim=True).clamp(min=1e-12) / limit
        result[name] = ((groups / scale).round() * scale).view_as(value)
    return result


def held_out_lines(problems, count, seed):
    pairs = problems.pairs(np.random.default_rng(seed), 2 * count, held_out=True)
    unique = list(dict.fromkeys((int(a), int(b)) for a, b in pairs))
    return [f"{a}+{b}={a + b}" for a, b in unique[:count]]


def uniform_pairs(problems, count, seed):
    pairs = np.argwhere(problems.held_out)
    return np.random.default_rng(seed).permutation(pairs)[:count]


def pairs_of(lines):
    return np.array([[int(n) for n in line.split("=")[0].split("+")] for line in lines])


@torch.no_grad()
def right_by_transformers(model_path, lines):
    """How many lines transformers generates exactly, from text to text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    right = 0
    for line in lines:
        question = line[: line.index("=") + 1]
        prompt = tokenizer(question, return_tensors="pt", return_token_type_ids=False)
        out = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0]
        ended = int(out[-1]) == tokenizer.eos_token_id
        right += ended and tokenizer.decode(out, skip_special_tokens=True) == line
    return right


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=pathlib.Path, default=train.ROOT / "models" / "demo")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--transformers", action="store_true")
    parser.add_argument("--write-held-out", action="store_true")
    args = parser.parse_args()

    torch.set_num_threads(1)
    demo = train.ROOT / "models" / "demo"
    problems = Problems(Tokenizer.from_file(str(demo / "tokenizer.json")))
    held_out = demo / "heldout.txt"
    if args.write_held_out:
        held_out.write_text("\n".join(held_out_lines(problems, 200, args.seed)) + "\n")
        return
    lines = held_out.read_text().split()
    random = np.random.default_rng(args.seed)
    sets = {
        "as trained": problems.pairs(random, args.count, held_out=True),
        f"uniform below {LIMIT}": uniform_pairs(problems, args.count, args.seed),
        held_out.name: pairs_of(lines),
    }
    config = json.loads((args.model / "config.json").read_text())
    stored = {k: v.float() for k, v in load_file(args.model / "model.safetensors").items()}
    forms = {"stored": stored, "int8": rounded(stored, 8), "int4": rounded(stored, 4)}
    for form, tensors in forms.items():
        for name, pairs in sets.items():
            match = train.exact_match(config, tensors, *problems.encode(pairs))
            print(f"{form:7} {name:20} {100 * match:6.2f} % of {len(pairs)}")
    if args.transformers:
        right = right_by_transformers(args.model, lines)
        print(f"transformers, {held_out.name}: {right} of {len(lines)}")


if __name__ == "__main__":
    main()
