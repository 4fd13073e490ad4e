# ===- reference.py - Plain PyTorch forward of the DeepSeek-V2 family ---===#
#
# SPDX-License-Identifier: Apache-2.0
#
# The mathematics of DeepSeek-V2 and V3 shaped models in the expanded
# multi-head form, written to be read: no cache, no absorption, no fusion.
# It takes the tensors by their Hugging Face names, works in whatever
# precision they have, and is differentiable, so that the golden fixtures and
# the training of the bundled model share one definition of the model.
#
# ===---------------------------------------------------------------------===#
"""forward(config, tensors, tokens) -> Output, for a config.json as a dict.

Rules on which implementations disagree, and the choice made here:

- Softmax scale: (nope + rope) ** -0.5, times m(factor, mscale_all_dim) ** 2
  under YaRN. The cos/sin multiplier is m(factor, mscale) over
  m(factor, mscale_all_dim); an absent mscale is 1, an absent mscale_all_dim
  is 0.
- The two latent norms always use eps 1e-6; every other norm uses
  rms_norm_eps.
- RoPE rotates adjacent pairs.
- V2 routing (softmax): a group scores by its best expert; the weights are
  either normalized (norm_topk_prob, more than one expert) or multiplied by
  routed_scaling_factor, never both.
- V3 routing (noaux_tc): a group scores by the sum of its two best biased
  scores; experts of dropped groups are at minus infinity; the bias never
  reaches the weights; weights are normalized, then always scaled.
- Layer l is MoE when l >= first_k_dense_replace and l % moe_layer_freq == 0.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F

LATENT_NORM_EPS = 1e-6
DROPPED_GROUP = -math.inf


@dataclasses.dataclass
class Routing:
    """What one MoE layer decided, flattened over all tokens."""

    scores: torch.Tensor  # [n, experts], unbiased
    experts: torch.Tensor  # [n, k]
    expert_margin: torch.Tensor  # [n], last selected minus first rejected
    group_margin: torch.Tensor  # [n], the same for groups


@dataclasses.dataclass
class Output:
    logits: torch.Tensor
    routing: list


def yarn_mscale(factor, mscale):
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def rope_frequencies(config):
    """Returns (inverse frequencies as float64, cos/sin multiplier)."""
    dim = config["qk_rope_head_dim"]
    base = float(config.get("rope_theta", 10000.0))
    exponents = torch.arange(0, dim, 2, dtype=torch.float64) / dim
    plain = base**-exponents
    scaling = config.get("rope_scaling")
    if not scaling:
        return plain, 1.0
    factor = float(scaling["factor"])
    original = scaling["original_max_position_embeddings"]

    def turning_dim(rotations):
        turns = original / (rotations * 2 * math.pi)
        return dim * math.log(turns) / (2 * math.log(base))

    low = max(math.floor(turning_dim(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(turning_dim(scaling.get("beta_slow", 1))), dim - 1)
    if low == high:
        high += 0.001
    index = torch.arange(dim // 2, dtype=torch.float64)
    ramp = ((index - low) / (high - low)).clamp(0, 1)
    frequencies = plain / factor * ramp + plain * (1 - ramp)
    multiplier = yarn_mscale(factor, scaling.get("mscale", 1)) / yarn_mscale(
        factor, scaling.get("mscale_all_dim", 0)
    )
    return frequencies, multiplier


def softmax_scale(config):
    scale = (config["qk_nope_head_dim"] + config["qk_rope_head_dim"]) ** -0.5
    scaling = config.get("rope_scaling")
    if scaling and scaling.get("mscale_all_dim", 0):
        m = yarn_mscale(float(scaling["factor"]), scaling["mscale_all_dim"])
        scale *= m * m
    return scale


def is_moe_layer(config, layer):
    return (
        config.get("n_routed_experts") is not None
        and layer >= config.get("first_k_dense_replace", 0)
        and layer % config.get("moe_layer_freq", 1) == 0
    )


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate_pairs(x, cos, sin):
    """x: [..., tokens, dim]; cos, sin: [tokens, dim / 2]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)


def attention(config, tensors, prefix, x, cos, sin, mask):
    """x: [batch, tokens, hidden], already normalized."""
    batch, tokens, _ = x.shape
    heads = config["num_attention_heads"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    value, rank = config["v_head_dim"], config["kv_lora_rank"]

    def weight(name):
        return tensors[f"{prefix}.{name}.weight"]

    if config.get("q_lora_rank"):
        latent = F.linear(x, weight("q_a_proj"))
        latent = rms_norm(latent, weight("q_a_layernorm"), LATENT_NORM_EPS)
        q = F.linear(latent, weight("q_b_proj"))
    else:
        q = F.linear(x, weight("q_proj"))
    q = q.view(batch, tokens, heads, nope + rope).transpose(1, 2)
    q_nope, q_rope = q.split([nope, rope], -1)

    latent, k_rope = F.linear(x, weight("kv_a_proj_with_mqa")).split([rank, rope], -1)
    latent = rms_norm(latent, weight("kv_a_layernorm"), LATENT_NORM_EPS)
    kv = F.linear(latent, weight("kv_b_proj"))
    kv = kv.view(batch, tokens, heads, nope + value).transpose(1, 2)
    k_nope, v = kv.split([nope, value], -1)

    q = torch.cat((q_nope, rotate_pairs(q_rope, cos, sin)), -1)
    k_rope = rotate_pairs(k_rope.unsqueeze(1), cos, sin)
    k = torch.cat((k_nope, k_rope.expand(-1, heads, -1, -1)), -1)
    scores = q @ k.transpose(-1, -2) * softmax_scale(config) + mask
    out = torch.softmax(scores, -1) @ v
    out = out.transpose(1, 2).reshape(batch, tokens, heads * value)
    return F.linear(out, weight("o_proj"))


def mlp(tensors, prefix, x):
    gate = F.silu(F.linear(x, tensors[f"{prefix}.gate_proj.weight"]))
    up = F.linear(x, tensors[f"{prefix}.up_proj.weight"])
    return F.linear(gate * up, tensors[f"{prefix}.down_proj.weight"])


def ordered_top(values, k):
    """Indices of the k greatest in descending order; ties: lowest index."""
    return torch.sort(values, dim=-1, descending=True, stable=True).indices[..., :k]


def margin_after(values, k):
    """The k-th greatest value minus the next one; infinite without a next."""
    if k >= values.shape[-1]:
        return torch.full(values.shape[:-1], math.inf)
    ordered = torch.sort(values.detach(), dim=-1, descending=True).values
    return ordered[..., k - 1] - ordered[..., k]


def score_groups(grouped, best):
    """The sum of the best scores of each group."""
    return grouped.topk(best, dim=-1).values.sum(-1)


def route(config, tensors, prefix, x):
    """x: [n, hidden]. Returns (weights [n, k], Routing)."""
    k = config["num_experts_per_tok"]
    method = config.get("topk_method", "greedy")
    sigmoid = config.get("scoring_func", "softmax") == "sigmoid"
    logits = F.linear(x, tensors[f"{prefix}.gate.weight"].to(x.dtype))
    scores = logits.sigmoid() if sigmoid else logits.softmax(-1)
    choice = scores
    if method == "noaux_tc":
        choice = scores + tensors[f"{prefix}.gate.e_score_correction_bias"]

    group_margin = torch.full(x.shape[:1], math.inf)
    if method != "greedy":
        groups, kept = config["n_group"], config["topk_group"]
        grouped = choice.view(len(x), groups, -1)
        group_scores = score_groups(grouped, 2 if method == "noaux_tc" else 1)
        group_margin = margin_after(group_scores, kept)
        keep = torch.zeros_like(group_scores, dtype=torch.bool)
        keep.scatter_(1, ordered_top(group_scores, kept), True)
        choice = grouped.masked_fill(~keep.unsqueeze(-1), DROPPED_GROUP).view_as(scores)

    experts = ordered_top(choice, k)
    weights = scores.gather(1, experts)
    scale = config.get("routed_scaling_factor", 1.0)
    normalize = k > 1 and config.get("norm_topk_prob", False)
    if normalize:
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
    if sigmoid or not normalize:
        weights = weights * scale
    return weights, Routing(scores, experts, margin_after(choice, k), group_margin)


def moe(config, tensors, prefix, x):
    flat = x.reshape(-1, x.shape[-1])
    weights, routing = route(config, tensors, prefix, flat)
    out = torch.zeros_like(flat)
    for expert in range(config["n_routed_experts"]):
        token, slot = torch.where(routing.experts == expert)
        if len(token) == 0:
            continue
        y = mlp(tensors, f"{prefix}.experts.{expert}", flat[token])
        out = out.index_add(0, token, y * weights[token, slot].unsqueeze(-1))
    if config.get("n_shared_experts"):
        out = out + mlp(tensors, f"{prefix}.shared_experts", flat)
    return out.view_as(x), routing


def forward(config, tensors, tokens, rows=None):
    """Computes the logits of tokens [n] or [batch, n] at every position.

    rows: optional boolean mask shaped like tokens; then only those rows get
    logits, flattened to [selected, vocab].
    """
    single = tokens.dim() == 1
    if single:
        tokens = tokens.unsqueeze(0)
    embedding = tensors["model.embed_tokens.weight"]
    eps = config["rms_norm_eps"]
    x = F.embedding(tokens, embedding)
    count = tokens.shape[1]
    frequencies, multiplier = rope_frequencies(config)
    angles = torch.arange(count, dtype=torch.float64).unsqueeze(-1) * frequencies
    cos = (angles.cos() * multiplier).to(x.dtype)
    sin = (angles.sin() * multiplier).to(x.dtype)
    mask = torch.full((count, count), -math.inf, dtype=x.dtype).triu(1)

    routing = []
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        h = rms_norm(x, tensors[f"{prefix}.input_layernorm.weight"], eps)
        x = x + attention(config, tensors, f"{prefix}.self_attn", h, cos, sin, mask)
        h = rms_norm(x, tensors[f"{prefix}.post_attention_layernorm.weight"], eps)
        if is_moe_layer(config, layer):
            y, decided = moe(config, tensors, f"{prefix}.mlp", h)
            routing.append(decided)
        else:
            y = mlp(tensors, f"{prefix}.mlp", h)
        x = x + y
    if rows is not None:
        x = x[rows]
    x = rms_norm(x, tensors["model.norm.weight"], eps)
    head = embedding if config.get("tie_word_embeddings") else tensors["lm_head.weight"]
    logits = F.linear(x, head)
    return Output(logits[0] if single and rows is None else logits, routing)


def shapes(config):
    """The name and shape of every tensor of a checkpoint, in file order."""
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    heads, rank = config["num_attention_heads"], config["kv_lora_rank"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    value = config["v_head_dim"]
    result = {"model.embed_tokens.weight": (vocab, hidden)}

    def add_mlp(prefix, width):
        result[f"{prefix}.gate_proj.weight"] = (width, hidden)
        result[f"{prefix}.up_proj.weight"] = (width, hidden)
        result[f"{prefix}.down_proj.weight"] = (hidden, width)

    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        result[f"{prefix}.input_layernorm.weight"] = (hidden,)
        attn = f"{prefix}.self_attn"
        if config.get("q_lora_rank"):
            q_rank = config["q_lora_rank"]
            result[f"{attn}.q_a_proj.weight"] = (q_rank, hidden)
            result[f"{attn}.q_a_layernorm.weight"] = (q_rank,)
            result[f"{attn}.q_b_proj.weight"] = (heads * (nope + rope), q_rank)
        else:
            result[f"{attn}.q_proj.weight"] = (heads * (nope + rope), hidden)
        result[f"{attn}.kv_a_proj_with_mqa.weight"] = (rank + rope, hidden)
        result[f"{attn}.kv_a_layernorm.weight"] = (rank,)
        result[f"{attn}.kv_b_proj.weight"] = (heads * (nope + value), rank)
        result[f"{attn}.o_proj.weight"] = (hidden, heads * value)
        result[f"{prefix}.post_attention_layernorm.weight"] = (hidden,)
        if not is_moe_layer(config, layer):
            add_mlp(f"{prefix}.mlp", config["intermediate_size"])
            continue
        experts, width = config["n_routed_experts"], config["moe_intermediate_size"]
        result[f"{prefix}.mlp.gate.weight"] = (experts, hidden)
        if config.get("topk_method") == "noaux_tc":
            result[f"{prefix}.mlp.gate.e_score_correction_bias"] = (experts,)
        for expert in range(experts):
            add_mlp(f"{prefix}.mlp.experts.{expert}", width)
        if config.get("n_shared_experts"):
            shared = config["n_shared_experts"] * width
            add_mlp(f"{prefix}.mlp.shared_experts", shared)
    result["model.norm.weight"] = (hidden,)
    if not config.get("tie_word_embeddings"):
        result["lm_head.weight"] = (vocab, hidden)
    return result
