#!/usr/bin/env python3
#
# compare_formats.py - Logit errors of the weight formats
#
# SPDX-License-Identifier: Apache-2.0
#
# compare_formats.py BIN DIRECTORY [--sequences 64]
#
# Writes a model of random weights, the same weights as GGUF files in F32, Q8_0
# and Q4_0, and for each format the error of the logits of random tokens,
# relative to those of --target=reference in F32. Needs what make_gguf.py does;
# run by hand. BIN holds dsv2-compile and dsv2-run; --reference takes logits of
# another program instead, [sequences][512][vocabulary] floats in a file.

import argparse
import json
import os
import subprocess
import sys

import numpy as np
import torch
from safetensors.torch import save_file

LENGTH, VOCABULARY = 512, 2048
CONFIG = dict(
    model_type="deepseek_v2", num_hidden_layers=6, hidden_size=512, vocab_size=VOCABULARY,
    max_position_embeddings=1024, num_attention_heads=8, q_lora_rank=256, kv_lora_rank=128,
    qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64, intermediate_size=1024,
    moe_intermediate_size=256, n_routed_experts=16, n_shared_experts=1, num_experts_per_tok=4,
    first_k_dense_replace=1, n_group=1, topk_group=1, topk_method="greedy",
    scoring_func="softmax", norm_topk_prob=False, routed_scaling_factor=4.0, rms_norm_eps=1e-6,
    rope_theta=10000, torch_dtype="float32", moe_layer_freq=1, tie_word_embeddings=False)
# Name, GGUF type, options of dsv2-compile.
FORMATS = [
    ("bf16", "F32", []),
    ("int8", "F32", ["--quantize=int8"]),
    ("int8, latent form", "F32", ["--quantize=int8", "--attention=latent"]),
    ("Q8_0", "Q8_0", []),
    ("mixed", "F32", ["--quantize=mixed"]),
    ("int4", "F32", ["--quantize=int4"]),
    ("Q4_0", "Q4_0", []),
]


def write_checkpoint(directory):
    """Normally distributed weights that keep the variance of what enters."""
    c, tensors = CONFIG, {}
    generator = torch.Generator().manual_seed(7)

    def matrix(name, rows, columns, deviation=None):
        values = torch.randn(rows, columns, generator=generator)
        tensors[name + ".weight"] = values * (deviation or columns**-0.5)

    def vector(name, size):
        tensors[name + ".weight"] = 1 + 0.1 * torch.randn(size, generator=generator)

    def gated(name, width):
        for part in ("gate", "up"):
            matrix(f"{name}.{part}_proj", width, hidden)
        matrix(f"{name}.down_proj", hidden, width)

    hidden, heads, rope = c["hidden_size"], c["num_attention_heads"], c["qk_rope_head_dim"]
    nope, value, latent = c["qk_nope_head_dim"], c["v_head_dim"], c["kv_lora_rank"]
    matrix("model.embed_tokens", VOCABULARY, hidden, 1.0)
    matrix("lm_head", VOCABULARY, hidden)
    vector("model.norm", hidden)
    for layer in range(c["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        attention, feed = prefix + "self_attn.", prefix + "mlp"
        vector(prefix + "input_layernorm", hidden)
        vector(prefix + "post_attention_layernorm", hidden)
        matrix(attention + "q_a_proj", c["q_lora_rank"], hidden)
        vector(attention + "q_a_layernorm", c["q_lora_rank"])
        matrix(attention + "q_b_proj", heads * (nope + rope), c["q_lora_rank"])
        matrix(attention + "kv_a_proj_with_mqa", latent + rope, hidden)
        vector(attention + "kv_a_layernorm", latent)
        matrix(attention + "kv_b_proj", heads * (nope + value), latent)
        matrix(attention + "o_proj", hidden, heads * value)
        if layer < c["first_k_dense_replace"]:
            gated(feed, c["intermediate_size"])
            continue
        matrix(feed + ".gate", c["n_routed_experts"], hidden)
        for expert in range(c["n_routed_experts"]):
            gated(f"{feed}.experts.{expert}", c["moe_intermediate_size"])
        gated(feed + ".shared_experts", c["moe_intermediate_size"])
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "config.json"), "w", encoding="utf-8") as file:
        json.dump(c, file)
    save_file(tensors, os.path.join(directory, "model.safetensors"))


def log_softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


class Errors:
    """Of each sequence, so that the spread over these gives standard errors."""

    def __init__(self):
        self.squares, self.tokens, self.divergences, self.agreements = [], [], [], []

    def add(self, found, expected):
        squares, scale = ((found - expected)**2).sum(-1), (expected**2).sum(-1)
        logarithms = log_softmax(expected)
        divergence = (np.exp(logarithms) * (logarithms - log_softmax(found))).sum(-1)
        self.squares.append(squares.sum() / scale.sum())
        self.tokens.append(np.sqrt(squares / scale))
        self.divergences.append(divergence.mean())
        self.agreements.append((found.argmax(-1) == expected.argmax(-1)).mean())

    def row(self):
        def error(values):
            return np.std(values, ddof=1) / len(values)**0.5
        rms = np.mean(self.squares)**0.5
        return (f"{rms:.4f} ± {error(self.squares) / 2 / rms:.4f} | "
                f"{np.median(np.concatenate(self.tokens)):.4f} | "
                f"{np.mean(self.divergences):.5f} ± {error(self.divergences):.5f} | "
                f"{100 * np.mean(self.agreements):.1f} ± {100 * error(self.agreements):.1f} %")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("directory")
    parser.add_argument("--sequences", type=int, default=64)
    parser.add_argument("--reference")
    options = parser.parse_args()

    def path(name):
        return os.path.join(options.directory, name)

    def tool(name, *arguments):
        subprocess.run([os.path.join(options.bin, name), "-q", *arguments], check=True,
                       stdout=subprocess.DEVNULL)

    write_checkpoint(path("checkpoint"))
    make_gguf = os.path.join(os.path.dirname(os.path.abspath(__file__)), "make_gguf.py")
    for kind in ("F32", "Q8_0", "Q4_0"):
        subprocess.run([sys.executable, make_gguf, path("checkpoint"), path(kind + ".gguf"),
                        "--type", kind, "--plain", "token_embd,attn_k_b,attn_v_b"], check=True)
    tokens = np.random.default_rng(11).integers(VOCABULARY, size=(options.sequences, LENGTH))

    def logits(artifact, sequence):
        tool("dsv2-run", path(artifact), "--tokens", ",".join(map(str, sequence)), "-n", "1",
             "--temp", "0", "--print-tokens", "--logits-out", path("logits.npy"))
        return np.load(path("logits.npy"))[:LENGTH].astype(np.float64)

    if options.reference:
        reference = np.fromfile(options.reference, np.float32).astype(np.float64)
        reference = reference.reshape(options.sequences, LENGTH, VOCABULARY)
    else:
        tool("dsv2-compile", path("F32.gguf"), "-o", path("reference.dsv2"),
             "--target=reference")
        reference = [logits("reference.dsv2", sequence) for sequence in tokens]
    print("| format | relative error | of the median token | KL divergence | same token |\n"
          "| --- | --- | --- | --- | --- |")
    for name, kind, flags in FORMATS:
        tool("dsv2-compile", path(kind + ".gguf"), "-o", path("format.dsv2"), *flags)
        errors = Errors()
        for sequence, expected in zip(tokens, reference):
            errors.add(logits("format.dsv2", sequence), expected)
        print(f"| {name} | {errors.row()} |", flush=True)


if __name__ == "__main__":
    main()
