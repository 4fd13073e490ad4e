# ===- cases.py - The models of the golden fixtures ---------------------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# One entry a fixture: what it is for, its config, how it is stored. Together
# they cover every rule of the forward pass, with sizes that leave remainders
# in every tile and block.
#
# ===---------------------------------------------------------------------===#
"""CASES: name -> Case. Every config is a complete Hugging Face config.json."""

import dataclasses


@dataclasses.dataclass
class Case:
    purpose: str
    config: dict
    tokens: int = 72
    dtype: str = "bfloat16"  # or float32, float16, fp8
    shards: int = 1
    latent_gain: float = 1.0  # of the latent projections
    embed_gain: float = 1.0  # of the embedding
    bias: tuple = (1.8, 2.2)  # range of the correction bias
    newer_format: bool = False  # config.json says rope_parameters


def to_rope_parameters(config):
    """The config as transformers 5 writes it."""
    result = {k: v for k, v in config.items() if k not in ("rope_scaling", "rope_theta")}
    parameters = {"rope_theta": config["rope_theta"], "rope_type": "default"}
    for key, value in (config["rope_scaling"] or {}).items():
        parameters["rope_type" if key == "type" else key] = value
    return {**result, "rope_parameters": parameters}


def from_rope_parameters(config):
    """The config as the models' own code reads it."""
    if "rope_parameters" not in config:
        return config
    result = dict(config)
    scaling = dict(result.pop("rope_parameters"))
    result["rope_theta"] = scaling.pop("rope_theta")
    kind = scaling.pop("rope_type")
    result["rope_scaling"] = None if kind == "default" else {"type": kind, **scaling}
    return result


def yarn(factor, original, **more):
    scaling = {
        "type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": original,
        "beta_fast": 32,
        "beta_slow": 1,
    }
    scaling.update(more)
    return {
        "rope_scaling": scaling,
        "max_position_embeddings": int(original * factor),
    }


COMMON = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 128,
    "kv_lora_rank": 32,
    "max_position_embeddings": 1024,
    "moe_intermediate_size": 32,
    "moe_layer_freq": 1,
    "n_group": 1,
    "n_routed_experts": 8,
    "n_shared_experts": 2,
    "norm_topk_prob": False,
    "num_attention_heads": 4,
    "num_experts_per_tok": 3,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "q_lora_rank": None,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "rms_norm_eps": 1e-6,
    "rope_scaling": None,
    "rope_theta": 10000,
    "routed_scaling_factor": 1.0,
    "scoring_func": "softmax",
    "tie_word_embeddings": False,
    "topk_group": 1,
    "topk_method": "greedy",
    "use_cache": True,
    "v_head_dim": 16,
    "vocab_size": 160,
}


def v2(**changes):
    names = {"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2"}
    return {**names, **COMMON, **changes}


def v3(**changes):
    names = {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3"}
    router = {
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "n_shared_experts": 1,
    }
    return {**names, **COMMON, **router, **changes}


CASES = {
    "v2-lite": Case(
        "The shape of V2-Lite: no query latent, greedy routing, one dense layer, two shared "
        "experts; positions far beyond the original context of YaRN.",
        v2(
            qk_nope_head_dim=32,
            qk_rope_head_dim=16,
            v_head_dim=32,
            kv_lora_rank=64,
            **yarn(40, 32, mscale=0.707, mscale_all_dim=0.707),
        ),
        tokens=200,
    ),
    "v2-grouped": Case(
        "The shape of V2: query latent, group-limited routing by the best expert, weights "
        "multiplied by 16.",
        v2(
            q_lora_rank=32,
            n_routed_experts=16,
            topk_method="group_limited_greedy",
            n_group=8,
            topk_group=3,
            num_experts_per_tok=4,
            moe_intermediate_size=16,
            routed_scaling_factor=16.0,
            qk_rope_head_dim=16,
            **yarn(40, 4096, mscale=1.0, mscale_all_dim=1.0),
        ),
        tokens=136,
    ),
    "v2-normalized": Case(
        "V2 with norm_topk_prob: weights are normalized and routed_scaling_factor must not "
        "apply. All layers MoE, no YaRN, one shared expert, nope != v; stored in float16.",
        v2(
            first_k_dense_replace=0,
            norm_topk_prob=True,
            routed_scaling_factor=2.5,
            n_shared_experts=1,
            v_head_dim=32,
        ),
        dtype="float16",
    ),
    "v2-dense": Case(
        "Every layer dense, tied embeddings, and YaRN whose mscale differs from "
        "mscale_all_dim, so that the cos/sin multiplier is not 1.",
        v2(
            first_k_dense_replace=3,
            q_lora_rank=64,
            tie_word_embeddings=True,
            qk_rope_head_dim=16,
            **yarn(16, 64, mscale=0.707, mscale_all_dim=1.0),
        ),
    ),
    "v2-odd-sizes": Case(
        "Sizes that are multiples of nothing: vocabulary 259, FFN widths 100 and 40, latent "
        "ranks 48 and 40, ten experts, three shared. YaRN with no mscale_all_dim.",
        v2(
            num_hidden_layers=2,
            vocab_size=259,
            hidden_size=72,
            intermediate_size=100,
            moe_intermediate_size=40,
            kv_lora_rank=48,
            q_lora_rank=40,
            num_attention_heads=3,
            num_key_value_heads=3,
            qk_nope_head_dim=24,
            v_head_dim=20,
            n_routed_experts=10,
            n_shared_experts=3,
            rms_norm_eps=1e-5,
            **yarn(8, 64, mscale=0.707),
        ),
        tokens=136,
        latent_gain=0.02,
    ),
    "v2-layer-freq": Case(
        "moe_layer_freq 2 and first_k_dense_replace 1: of four layers, only layer 2 is "
        "MoE. Stored in float32.",
        v2(
            num_hidden_layers=4,
            moe_layer_freq=2,
            n_routed_experts=6,
            num_experts_per_tok=1,
            intermediate_size=64,
            n_shared_experts=1,
            vocab_size=128,
        ),
        tokens=48,
        dtype="float32",
    ),
    "v3-grouped": Case(
        "The shape of V3: sigmoid, noaux_tc, groups by the sum of their two best, normalized "
        "and scaled; two shards and an index.",
        v3(
            q_lora_rank=48,
            n_routed_experts=16,
            n_group=4,
            topk_group=2,
            num_experts_per_tok=4,
            moe_intermediate_size=16,
            qk_nope_head_dim=32,
            qk_rope_head_dim=16,
            v_head_dim=32,
            kv_lora_rank=64,
            **yarn(40, 4096, mscale=1.0, mscale_all_dim=1.0),
        ),
        tokens=136,
        shards=2,
    ),
    "v3-negative-bias": Case(
        "Negative correction biases: experts of dropped groups must be at minus infinity, not "
        "at zero. All layers MoE.",
        v3(
            num_hidden_layers=2,
            first_k_dense_replace=0,
            n_routed_experts=12,
            n_group=3,
            topk_group=1,
            num_experts_per_tok=2,
        ),
        bias=(-1.6, -1.0),
    ),
    "v3-moonlight": Case(
        "The shape of Moonlight: no query latent, one group, no YaRN, rope_theta 50000, "
        "rms_norm_eps 1e-5, with embeddings small enough to need it and small latents, whose "
        "norms keep eps 1e-6. config.json in the newer format.",
        v3(
            n_shared_experts=2,
            rms_norm_eps=1e-5,
            rope_theta=50000,
            routed_scaling_factor=2.446,
            kv_lora_rank=64,
        ),
        latent_gain=0.01,
        embed_gain=0.004,
        bias=(-0.3, 0.3),
        newer_format=True,
    ),
    "v3-kimi": Case(
        "The shape of Kimi-K2: one group, hard YaRN step (beta 1 and 1), factor 32. "
        "config.json in the newer format.",
        v3(
            q_lora_rank=32,
            qk_rope_head_dim=16,
            rope_theta=50000,
            routed_scaling_factor=2.827,
            **yarn(32, 64, beta_fast=1.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0),
        ),
        bias=(-0.3, 0.3),
        newer_format=True,
    ),
    "v3-fp8": Case(
        "FP8 e4m3 weights with a scale per block of 128 by 128 and sizes that are not "
        "multiples of 128; the oracle uses the dequantized weights.",
        v3(
            hidden_size=160,
            vocab_size=128,
            intermediate_size=288,
            moe_intermediate_size=136,
            num_hidden_layers=2,
            n_routed_experts=4,
            num_experts_per_tok=2,
            q_lora_rank=48,
            qk_nope_head_dim=32,
            qk_rope_head_dim=16,
            v_head_dim=32,
            kv_lora_rank=64,
            quantization_config={
                "activation_scheme": "dynamic",
                "fmt": "e4m3",
                "quant_method": "fp8",
                "weight_block_size": [128, 128],
            },
        ),
        dtype="fp8",
        bias=(-0.3, 0.3),
    ),
}
