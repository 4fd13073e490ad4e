#!/usr/bin/env python3
#
# make_gguf.py - A GGUF file from a Hugging Face checkpoint
#
# SPDX-License-Identifier: Apache-2.0
#
# make_gguf.py CHECKPOINT OUTPUT [--type Q8_0] [--joined] [--plain PART,...]
#
# Writes the tensors and the metadata that the usual converter does for the
# architecture deepseek2, by the `gguf` package, and its rounding: matrices in
# the given type where their rows are whole blocks, otherwise, like norms and
# routers, in F32. --joined keeps the projections of the latent in one tensor, as
# older files have them; tensors with a PART in their name stay in F32. Needs
# numpy, torch, safetensors and gguf; run by hand.

import argparse
import glob
import json
import os

import gguf
import numpy as np
from safetensors import safe_open

NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.q_a_proj": "attn_q_a",
    "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa",
    "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.kv_b_proj": "attn_kv_b", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}


def read_tensors(directory):
    tensors = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.safetensors"))):
        with safe_open(path, "pt") as file:
            for name in file.keys():
                tensors[name] = file.get_tensor(name).float().numpy()
    return tensors


def write_metadata(writer, config, joined):
    c = config.get
    rope = c("qk_rope_head_dim")
    key, value = c("qk_nope_head_dim") + rope, c("v_head_dim")
    writer.add_block_count(c("num_hidden_layers"))
    writer.add_context_length(c("max_position_embeddings"))
    writer.add_embedding_length(c("hidden_size"))
    writer.add_feed_forward_length(c("intermediate_size"))
    writer.add_head_count(c("num_attention_heads"))
    writer.add_head_count_kv(c("num_attention_heads") if joined else 1)
    writer.add_layer_norm_rms_eps(c("rms_norm_eps", 1e-6))
    writer.add_vocab_size(c("vocab_size"))
    if c("q_lora_rank"):
        writer.add_q_lora_rank(c("q_lora_rank"))
    writer.add_kv_lora_rank(c("kv_lora_rank"))
    writer.add_key_length(key if joined else c("kv_lora_rank") + rope)
    writer.add_value_length(value if joined else c("kv_lora_rank"))
    if not joined:
        writer.add_key_length_mla(key)
        writer.add_value_length_mla(value)
    writer.add_rope_dimension_count(rope)
    yarn = c("rope_scaling") or c("rope_parameters") or {}
    writer.add_rope_freq_base(c("rope_theta") or yarn.get("rope_theta", 10000))
    if yarn.get("rope_type", yarn.get("type")) == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(yarn["factor"])
        writer.add_rope_scaling_orig_ctx_len(yarn["original_max_position_embeddings"])
        writer.add_rope_scaling_yarn_beta_fast(yarn.get("beta_fast", 32))
        writer.add_rope_scaling_yarn_beta_slow(yarn.get("beta_slow", 1))
        writer.add_rope_scaling_yarn_log_mul(0.1 * yarn.get("mscale_all_dim", 0))
    experts = c("n_routed_experts")
    if experts:
        sigmoid = c("scoring_func", "softmax") == "sigmoid"
        writer.add_leading_dense_block_count(c("first_k_dense_replace"))
        writer.add_expert_count(experts)
        writer.add_expert_used_count(c("num_experts_per_tok"))
        writer.add_expert_shared_count(c("n_shared_experts") or 0)
        writer.add_expert_feed_forward_length(c("moe_intermediate_size"))
        writer.add_expert_weights_scale(c("routed_scaling_factor", 1.0))
        writer.add_expert_weights_norm(c("norm_topk_prob", False))
        writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID if sigmoid
                                      else gguf.ExpertGatingFuncType.SOFTMAX)
        if (c("n_group") or 1) > 1:
            writer.add_expert_group_count(c("n_group"))
            writer.add_expert_group_used_count(c("topk_group"))


def write_tokenizer(writer, directory, config):
    path = os.path.join(directory, "tokenizer.json")
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        tokenizer = json.load(file)
    vocabulary = tokenizer["model"]["vocab"]
    size = config["vocab_size"]
    tokens = [f"[PAD{i}]" for i in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for text, token in vocabulary.items():
        tokens[token], types[token] = text, gguf.TokenType.NORMAL
    for token in tokenizer["added_tokens"]:
        tokens[token["id"]] = token["content"]
        types[token["id"]] = (gguf.TokenType.CONTROL if token["special"]
                              else gguf.TokenType.USER_DEFINED)
    merges = [m if isinstance(m, str) else " ".join(m)
              for m in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("deepseek-llm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    with open(os.path.join(directory, "tokenizer_config.json"), encoding="utf-8") as file:
        settings = json.load(file)
    writer.add_add_bos_token(settings.get("add_bos_token", False))
    if settings.get("chat_template"):
        writer.add_chat_template(settings["chat_template"])


def converted(tensors, config, joined):
    """Yields the GGUF name and the values of each tensor."""
    experts = config.get("n_routed_experts") or 0
    for name, values in tensors.items():
        if name == "model.embed_tokens.weight":
            yield "token_embd.weight", values
        elif name == "model.norm.weight":
            yield "output_norm.weight", values
        elif name == "lm_head.weight":
            yield "output.weight", values
        elif ".experts." in name:
            if ".experts.0." not in name:
                continue
            prefix, rest = name.split(".experts.0.")
            stack = np.stack([tensors[f"{prefix}.experts.{e}.{rest}"] for e in range(experts)])
            yield f"blk.{name.split('.')[2]}.ffn_{rest.split('_')[0]}_exps.weight", stack
        elif name.endswith("e_score_correction_bias"):
            yield f"blk.{name.split('.')[2]}.exp_probs_b.bias", values
        else:
            _, _, layer, rest = name.split(".", 3)
            short = NAMES[rest.removesuffix(".weight")]
            if short == "attn_kv_b" and not joined:
                nope, latent = config["qk_nope_head_dim"], config["kv_lora_rank"]
                heads = values.reshape(config["num_attention_heads"], -1, latent)
                yield f"blk.{layer}.attn_k_b.weight", heads[:, :nope].transpose(0, 2, 1).copy()
                yield f"blk.{layer}.attn_v_b.weight", heads[:, nope:].copy()
            else:
                yield f"blk.{layer}.{short}.weight", values


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint")
    parser.add_argument("output")
    parser.add_argument("--type", default="F32")
    parser.add_argument("--joined", action="store_true")
    parser.add_argument("--plain", default="")
    options = parser.parse_args()
    with open(os.path.join(options.checkpoint, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    writer = gguf.GGUFWriter(options.output, "deepseek2")
    write_metadata(writer, config, options.joined)
    for key, add in (("bos_token_id", writer.add_bos_token_id),
                     ("eos_token_id", writer.add_eos_token_id)):
        if isinstance(config.get(key), int):
            add(config[key])
    write_tokenizer(writer, options.checkpoint, config)
    kind = gguf.GGMLQuantizationType[options.type]
    elements = gguf.GGML_QUANT_SIZES[kind][0]
    tensors = read_tensors(options.checkpoint)
    for name, values in converted(tensors, config, options.joined):
        parts = ["ffn_gate_inp"] + [part for part in options.plain.split(",") if part]
        plain = (values.ndim < 2 or values.shape[-1] % elements != 0
                 or any(part in name for part in parts))
        if plain or options.type == "F32":
            writer.add_tensor(name, values.astype(np.float32))
        elif options.type == "F16":
            writer.add_tensor(name, values.astype(np.float16))
        else:
            data = gguf.quants.quantize(values, kind)
            writer.add_tensor(name, data, raw_shape=data.shape, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
