# gguf.py - A GGUF file of random weights with the shape of a DeepSeek-V2 config
#
# SPDX-License-Identifier: Apache-2.0
#
# What llama.cpp and ik_llama.cpp load as `deepseek2` with latent attention. The
# weights of products are in blocks of 32 with one scale each, so they have the
# size of those that dsv2 packs for --quantize=int4 (q4_0) and int8 (q8_0).

import os
import random
import struct

F32, F16, Q4_0, Q8_0, BF16 = 0, 1, 2, 8, 30
TYPES = {"q4_0": Q4_0, "q8_0": Q8_0, "bf16": BF16}
# Elements and bytes of a block.
BLOCKS = {F32: (1, 4), F16: (1, 2), Q4_0: (32, 18), Q8_0: (32, 34), BF16: (1, 2)}
FILE_TYPES = {Q4_0: 2, Q8_0: 7, BF16: 32}
ALIGNMENT = 32


def value(kind, data):
    """One value of the metadata: its type and its bytes."""
    if kind == "string":
        text = data.encode()
        return 8, struct.pack("<Q", len(text)) + text
    code, layout = {"u32": (4, "<I"), "f32": (6, "<f"), "bool": (7, "<?")}[kind]
    return code, struct.pack(layout, data)


def metadata(config, file_type):
    rope = config["qk_rope_head_dim"]
    latent = config["kv_lora_rank"]
    experts = config["n_routed_experts"]
    keys = [
        ("general.architecture", "string", "deepseek2"),
        ("general.name", "string", "random"),
        ("general.file_type", "u32", file_type),
        ("deepseek2.block_count", "u32", config["num_hidden_layers"]),
        ("deepseek2.context_length", "u32", config["max_position_embeddings"]),
        ("deepseek2.embedding_length", "u32", config["hidden_size"]),
        ("deepseek2.feed_forward_length", "u32", config["intermediate_size"]),
        ("deepseek2.attention.head_count", "u32", config["num_attention_heads"]),
        ("deepseek2.attention.head_count_kv", "u32", 1),
        ("deepseek2.attention.layer_norm_rms_epsilon", "f32", config["rms_norm_eps"]),
        ("deepseek2.attention.q_lora_rank", "u32", config.get("q_lora_rank") or 0),
        ("deepseek2.attention.kv_lora_rank", "u32", latent),
        ("deepseek2.attention.key_length", "u32", latent + rope),
        ("deepseek2.attention.value_length", "u32", latent),
        ("deepseek2.attention.key_length_mla", "u32", config["qk_nope_head_dim"] + rope),
        ("deepseek2.attention.value_length_mla", "u32", config["v_head_dim"]),
        ("deepseek2.rope.dimension_count", "u32", rope),
        ("deepseek2.rope.freq_base", "f32", config["rope_theta"]),
        ("deepseek2.vocab_size", "u32", config["vocab_size"]),
        ("deepseek2.leading_dense_block_count", "u32", config["first_k_dense_replace"]),
        ("deepseek2.expert_count", "u32", experts),
        ("deepseek2.expert_used_count", "u32", config["num_experts_per_tok"]),
        ("deepseek2.expert_shared_count", "u32", config["n_shared_experts"]),
        ("deepseek2.expert_feed_forward_length", "u32", config["moe_intermediate_size"]),
        ("deepseek2.expert_weights_scale", "f32", config["routed_scaling_factor"]),
        ("deepseek2.expert_weights_norm", "bool", config["norm_topk_prob"]),
        ("deepseek2.expert_gating_func", "u32", 2 if config["scoring_func"] == "sigmoid" else 1),
        ("tokenizer.ggml.model", "string", "no_vocab"),
    ]
    scaling = config.get("rope_scaling")
    if scaling:
        keys += [
            ("deepseek2.rope.scaling.type", "string", "yarn"),
            ("deepseek2.rope.scaling.factor", "f32", scaling["factor"]),
            ("deepseek2.rope.scaling.original_context_length", "u32",
             scaling["original_max_position_embeddings"]),
            ("deepseek2.rope.scaling.yarn_log_multiplier", "f32",
             0.1 * scaling["mscale_all_dim"]),
        ]
    return keys


def tensors(config, product):
    """(name, sizes with the fastest first, type) of every tensor."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    nope, rope = config["qk_nope_head_dim"], config["qk_rope_head_dim"]
    latent, values = config["kv_lora_rank"], config["v_head_dim"]
    experts, width = config["n_routed_experts"], config["moe_intermediate_size"]
    shared = width * config["n_shared_experts"]
    query = config.get("q_lora_rank") or 0
    # Small and sensitive: the next larger format, as in dsv2.
    heads_type = product if product == BF16 else Q8_0
    result = [
        ("token_embd.weight", [hidden, config["vocab_size"]], product),
        ("output_norm.weight", [hidden], F32),
        ("output.weight", [hidden, config["vocab_size"]], product),
    ]
    for layer in range(config["num_hidden_layers"]):
        def add(name, sizes, kind=product):
            result.append(("blk.%d.%s" % (layer, name), sizes, kind))

        add("attn_norm.weight", [hidden], F32)
        add("attn_kv_a_norm.weight", [latent], F32)
        if query:
            add("attn_q_a_norm.weight", [query], F32)
            add("attn_q_a.weight", [hidden, query])
            add("attn_q_b.weight", [query, heads * (nope + rope)])
        else:
            add("attn_q.weight", [hidden, heads * (nope + rope)])
        add("attn_kv_a_mqa.weight", [hidden, latent + rope])
        add("attn_k_b.weight", [nope, latent, heads], heads_type)
        add("attn_v_b.weight", [latent, values, heads], heads_type)
        add("attn_output.weight", [heads * values, hidden])
        add("ffn_norm.weight", [hidden], F32)
        if layer < config["first_k_dense_replace"]:
            inner = config["intermediate_size"]
            add("ffn_gate.weight", [hidden, inner])
            add("ffn_up.weight", [hidden, inner])
            add("ffn_down.weight", [inner, hidden])
            continue
        add("ffn_gate_inp.weight", [hidden, experts], F32)
        if config["scoring_func"] == "sigmoid":
            add("exp_probs_b.bias", [experts], F32)
        add("ffn_gate_exps.weight", [hidden, width, experts])
        add("ffn_up_exps.weight", [hidden, width, experts])
        add("ffn_down_exps.weight", [width, hidden, experts])
        add("ffn_gate_shexp.weight", [hidden, shared])
        add("ffn_up_shexp.weight", [hidden, shared])
        add("ffn_down_shexp.weight", [shared, hidden])
    return result


def size_of(sizes, kind):
    count = 1
    for size in sizes:
        count *= size
    elements, size = BLOCKS[kind]
    return count // elements * size


def pattern(kind, generator):
    """Some megabytes of values of a normal network's size, any part of which
    that begins with a block serves as a tensor."""
    blocks = 1 << 18
    if kind in (Q4_0, Q8_0):
        # Quants are uniform; scales make them about 0.02 in size.
        bits = generator.randbytes(blocks * (BLOCKS[kind][1] - 2))
        step = len(bits) // blocks
        scales = [struct.pack("<e", generator.uniform(0.5, 1.5) * (0.004 if kind == Q4_0 else 0.0003))
                  for _ in range(1024)]
        return b"".join(scales[i % 1024] + bits[i * step:(i + 1) * step]
                        for i in range(blocks))
    numbers = [generator.gauss(0, 0.02) for _ in range(1 << 16)]
    if kind == F32:
        return struct.pack("<%df" % len(numbers), *numbers)
    whole = struct.pack("<%df" % len(numbers), *numbers)
    return b"".join(whole[i + 2:i + 4] for i in range(0, len(whole), 4))


def write(path, config, format_name, seed=1):
    """Writes the file under a temporary name first."""
    product = TYPES[format_name]
    generator = random.Random(seed)
    patterns = {kind: pattern(kind, generator) for kind in (F32, Q8_0, product)}
    listed = tensors(config, product)
    keys = metadata(config, FILE_TYPES[product])
    head = bytearray(struct.pack("<4sIQQ", b"GGUF", 3, len(listed), len(keys)))
    for key, kind, data in keys:
        code, encoded = value(kind, data)
        name = key.encode()
        head += struct.pack("<Q", len(name)) + name + struct.pack("<I", code) + encoded
    offset = 0
    for name, sizes, kind in listed:
        text = name.encode()
        head += struct.pack("<Q", len(text)) + text
        head += struct.pack("<I%dQIQ" % len(sizes), len(sizes), *sizes, kind, offset)
        offset += -(-size_of(sizes, kind) // ALIGNMENT) * ALIGNMENT
    temporary = path + ".tmp-%d" % os.getpid()
    try:
        with open(temporary, "wb", buffering=1 << 22) as file:
            file.write(head + bytes(-len(head) % ALIGNMENT))
            for name, sizes, kind in listed:
                left = size_of(sizes, kind)
                padding = -left % ALIGNMENT
                source, block = patterns[kind], BLOCKS[kind][1]
                if name.endswith("norm.weight"):
                    file.write(struct.pack("<f", 1.0) * sizes[0])
                    left = 0
                # From another place each time, so that no two tensors agree.
                at = generator.randrange(len(source) // block) * block
                while left:
                    part = source[at:at + left]
                    file.write(part)
                    left -= len(part)
                    at = 0
                file.write(bytes(padding))
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
