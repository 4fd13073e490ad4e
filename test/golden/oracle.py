# ===- oracle.py - The same models in Hugging Face transformers ---------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# Builds a transformers model from a config and tensors by their checkpoint
# names, to confirm the reference.
#
# ===---------------------------------------------------------------------===#
"""Where transformers (5.23) deviates from the models' own code:

1. DeepseekV2 ignores norm_topk_prob and always multiplies by
   routed_scaling_factor.
2. Both classes ignore moe_layer_freq.
3. The YaRN cos/sin multiplier is m(factor, 1) when mscale or mscale_all_dim is
   absent; the models' own code takes m(factor, mscale) over
   m(factor, mscale_all_dim) with defaults 1 and 0.
4. DeepseekV2 knows softmax scores only and reads neither scoring_func nor
   noaux_tc; DeepseekV3 is always sigmoid and noaux_tc.

build() corrects 1 to 3 from outside, and says which it had to correct. Not
deviations, checked in the source and by the comparison: the softmax scale has
the mscale_all_dim factor, latent norms use eps 1e-6, DeepseekV3 masks dropped
groups with minus infinity and rotates adjacent pairs (its rotated vectors are
left in the half-split order, which leaves the products unchanged).
"""

import torch
import transformers
from transformers.models.deepseek_v2 import modeling_deepseek_v2 as hf_v2
from transformers.models.deepseek_v3 import modeling_deepseek_v3 as hf_v3

import reference

VERSION = f"transformers {transformers.__version__}"


def corrections(config):
    found = []
    v2 = config["model_type"] == "deepseek_v2"
    has_moe = any(
        reference.is_moe_layer(config, layer) for layer in range(config["num_hidden_layers"])
    )
    if v2 and has_moe and config["norm_topk_prob"] and config["num_experts_per_tok"] > 1:
        found.append("norm_topk_prob")
    if config.get("moe_layer_freq", 1) != 1:
        found.append("moe_layer_freq")
    scaling = config.get("rope_scaling")
    if scaling and not (scaling.get("mscale") and scaling.get("mscale_all_dim")):
        found.append("yarn attention factor")
    return found


def normalized_weights(gate):
    inner = gate.forward

    def forward(hidden):
        logits, weights, experts = inner(hidden)
        return logits, weights / (weights.sum(-1, keepdim=True) + 1e-20), experts

    return forward


def state_of(config, tensors):
    """Renames checkpoint tensors to the stacked expert parameters."""
    state = {name: value for name, value in tensors.items() if ".experts." not in name}
    for layer in range(config["num_hidden_layers"]):
        if not reference.is_moe_layer(config, layer):
            continue
        prefix = f"model.layers.{layer}.mlp.experts"

        def stack(projection):
            return torch.stack(
                [
                    tensors[f"{prefix}.{expert}.{projection}.weight"]
                    for expert in range(config["n_routed_experts"])
                ]
            )

        gate_up = torch.cat((stack("gate_proj"), stack("up_proj")), 1)
        state[f"{prefix}.gate_up_proj"] = gate_up
        state[f"{prefix}.down_proj"] = stack("down_proj")
    if config["tie_word_embeddings"]:
        state["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    return state


def build(config, tensors):
    """Returns a float32 model with eager attention."""
    v2 = config["model_type"] == "deepseek_v2"
    needed = corrections(config)
    plain = {k: v for k, v in config.items() if k != "quantization_config"}
    if "yarn attention factor" in needed:
        multiplier = reference.rope_frequencies(config)[1]
        plain["rope_scaling"] = {**config["rope_scaling"], "attention_factor": multiplier}
    config_class = transformers.DeepseekV2Config if v2 else transformers.DeepseekV3Config
    model_class = transformers.DeepseekV2ForCausalLM if v2 else transformers.DeepseekV3ForCausalLM
    hf_config = config_class(**plain)
    hf_config._attn_implementation = "eager"
    model = model_class(hf_config).float().eval()
    for layer, block in enumerate(model.model.layers):
        if not reference.is_moe_layer(config, layer):
            block.mlp = (hf_v2.DeepseekV2MLP if v2 else hf_v3.DeepseekV3MLP)(hf_config)
        elif "norm_topk_prob" in needed:
            block.mlp.gate.forward = normalized_weights(block.mlp.gate)
    model.load_state_dict(state_of(config, tensors), strict=True)
    return model


@torch.no_grad()
def logits(model, tokens):
    return model(input_ids=tokens.unsqueeze(0), use_cache=False).logits[0]


@torch.no_grad()
def greedy(model, prompt, count):
    """Greedy decoding one token at a time through the cache."""
    cache, tokens, result = None, prompt.unsqueeze(0), []
    for _ in range(count):
        out = model(input_ids=tokens, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        tokens = out.logits[:, -1:].argmax(-1)
        result.append(int(tokens))
    return result
