# ===- train.py - Train the bundled demo model --------------------------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# Trains a small model of the DeepSeek-V2 architecture to add numbers, and
# writes it as a Hugging Face checkpoint. The forward pass is the reference
# of the golden tests.
#
# ===---------------------------------------------------------------------===#
"""Train the demo model on sums such as 17+25=42.

    python3 models/demo/train/make_tokenizer.py --out models/demo
    python3 models/demo/train/train.py --out models/demo

One CPU thread, fixed seed. Each problem is one sequence: the beginning of
sentence, the question, the answer, the end of sentence. Only the answer and
the end are trained on. The loss has the expert-balance term of the DeepSeek-V2
report, taken over the batch. check.py measures the result.
"""

import argparse
import json
import math
import pathlib
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "test" / "golden"))

import reference  # noqa: E402
from problems import Problems  # noqa: E402

CONFIG = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "model_type": "deepseek_v2",
    "attention_bias": False,
    "attention_dropout": 0.0,
    "aux_loss_alpha": 0.003,
    "bos_token_id": 318,
    "eos_token_id": 319,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 128,
    "intermediate_size": 256,
    "kv_lora_rank": 64,
    "max_position_embeddings": 2048,
    "moe_intermediate_size": 64,
    "moe_layer_freq": 1,
    "n_group": 4,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "norm_topk_prob": False,
    "num_attention_heads": 4,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {
        "type": "yarn",
        "factor": 8,
        "original_max_position_embeddings": 256,
        "beta_fast": 32,
        "beta_slow": 1,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 2.0,
    "scoring_func": "softmax",
    "tie_word_embeddings": False,
    "topk_group": 2,
    "topk_method": "group_limited_greedy",
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "v_head_dim": 32,
    "vocab_size": 320,
}


def initial_tensors(config):
    tensors = {}
    depth = math.sqrt(2 * config["num_hidden_layers"])
    for name, shape in reference.shapes(config).items():
        if len(shape) == 1:
            value = torch.ones(shape)
        else:
            std = 0.5 if "embed_tokens" in name else 0.7 * shape[-1] ** -0.5
            if "o_proj" in name or "down_proj" in name:
                std /= depth
            value = torch.randn(shape) * std
        tensors[name] = value.requires_grad_()
    return tensors


def balance_loss(config, routing):
    experts, k = config["n_routed_experts"], config["num_experts_per_tok"]
    total = 0.0
    for layer in routing:
        counts = torch.bincount(layer.experts.flatten(), minlength=experts)
        load = counts * (experts / (k * len(layer.experts)))
        total = total + (load * layer.scores.mean(0)).sum()
    return config["aux_loss_alpha"] * total


def loss_of(config, tensors, tokens, answer):
    out = reference.forward(config, tensors, tokens, rows=answer)
    targets = tokens.roll(-1, 1)[answer]
    return F.cross_entropy(out.logits, targets) + balance_loss(config, out.routing)


@torch.no_grad()
def exact_match(config, tensors, tokens, answer):
    """The share of problems that greedy decoding answers exactly: those whose
    every answer token is the best one after the right ones before it."""
    logits = reference.forward(config, tensors, tokens).logits
    right = logits.argmax(-1) == tokens.roll(-1, 1)
    return (right | ~answer).all(1).float().mean().item()


def export(config, tensors, out):
    out.mkdir(parents=True, exist_ok=True)
    stored = {
        name: value.detach().to(torch.bfloat16).contiguous() for name, value in tensors.items()
    }
    save_file(stored, out / "model.safetensors", metadata={"format": "pt"})
    generation = {
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": config["eos_token_id"],
        "do_sample": False,
    }
    for name, value in (("config", config), ("generation_config", generation)):
        (out / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n")


def learning_rate(step, args):
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    done = (step - args.warmup) / (args.steps - args.warmup)
    return args.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "models" / "demo")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=ROOT / "models" / "demo")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=int, default=250, help="steps between reports")
    args = parser.parse_args()

    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    random = np.random.default_rng(args.seed)
    problems = Problems(Tokenizer.from_file(str(args.tokenizer / "tokenizer.json")))
    tensors = initial_tensors(CONFIG)
    print(f"parameters: {sum(t.numel() for t in tensors.values())}", flush=True)
    matrices = [t for t in tensors.values() if t.dim() > 1]
    vectors = [t for t in tensors.values() if t.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": args.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), foreach=True)
    held_out = problems.encode(problems.pairs(random, 1000, held_out=True))

    start, total = time.time(), 0.0
    for step in range(args.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args)
        batch = problems.encode(problems.pairs(random, args.batch, held_out=False))
        loss = loss_of(CONFIG, tensors, *batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0)
        optimizer.step()
        total += loss.item()
        if (step + 1) % args.report == 0 or step + 1 == args.steps:
            match = exact_match(CONFIG, tensors, *held_out)
            seconds = time.time() - start
            mean = total / args.report
            print(f"step {step + 1} loss {mean:.4f} match {match:.4f} {seconds:.0f} s", flush=True)
            total = 0.0
            export(CONFIG, tensors, args.out)


if __name__ == "__main__":
    main()
