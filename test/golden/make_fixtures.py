# ===- make_fixtures.py - Write the golden fixtures ---------------------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# Makes one small random checkpoint a case, with the logits and the greedy
# continuation that the reference and transformers agree on.
#
# ===---------------------------------------------------------------------===#
"""python3 test/golden/make_fixtures.py [--out DIR] [CASE...]

Needs torch, transformers, safetensors and numpy. For each case of cases.py:

- weights are drawn from the case's seed, rounded to the stored format, and
  the oracles use the rounded values;
- each prompt token is the first of several random ones whose router margins
  are clear (or the best), so that no expert choice hangs on rounding;
- the logits of reference.py in float32 must agree with its float64 run and
  with transformers (corrected where oracle.py says it deviates) to 1e-5 of
  the greatest logit, and all three must give the same greedy continuation;
- where transformers reads the written folder unaided, it must give the same
  logits from it, so names, shapes, shards and formats are checked as well.
"""

import argparse
import json
import math
import pathlib
import sys
import tempfile
import zlib
from unittest import mock

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import oracle  # noqa: E402
import reference  # noqa: E402
from cases import CASES, to_rope_parameters  # noqa: E402

TOLERANCE = 1e-5
CANDIDATES = 32
CLEAR_MARGIN = 0.03
GREEDY = 14
BLOCK = 128
FP8_MAX = 448.0


def draw(case, seed):
    """Random weights that keep activations near one and choices distinct."""
    generator = torch.Generator().manual_seed(seed)
    config, tensors = case.config, {}
    expert_gain = 1 / math.sqrt(max(1.0, config["routed_scaling_factor"]))
    for name, shape in reference.shapes(config).items():
        if name.endswith("correction_bias"):
            low, high = case.bias
            tensors[name] = low + (high - low) * torch.rand(shape, generator=generator)
            continue
        if len(shape) == 1:
            tensors[name] = 0.5 + torch.rand(shape, generator=generator)
            continue
        gain = 1.0
        if "embed_tokens" in name:
            # A tied head would otherwise predict the token it just read.
            gain = case.embed_gain * math.sqrt(shape[-1])
            gain *= 0.25 if config["tie_word_embeddings"] else 1.0
        elif any(part in name for part in ("q_b_proj", "q_proj", "gate.weight", "lm_head")):
            gain = 2.0
        elif ".experts." in name and "down_proj" in name:
            gain = expert_gain
        tensors[name] = torch.randn(shape, generator=generator) * gain / math.sqrt(shape[-1])
        if "_a_proj" in name:
            # Not the rows of the rotated key, which no norm brings back to size.
            rows = config["kv_lora_rank"] if "kv_a_proj" in name else shape[0]
            tensors[name][:rows] *= case.latent_gain
    return tensors


def is_fp8_weight(name):
    kept = ("embed_tokens", "lm_head", "norm", ".gate.")
    return not any(part in name for part in kept)


def blocks_of(weight):
    rows, columns = (math.ceil(size / BLOCK) for size in weight.shape)
    for row in range(rows):
        for column in range(columns):
            here = slice(row * BLOCK, (row + 1) * BLOCK), slice(column * BLOCK, (column + 1) * BLOCK)
            yield (row, column), here


def quantize_fp8(weight):
    scale = torch.empty([math.ceil(size / BLOCK) for size in weight.shape])
    stored = torch.empty(weight.shape, dtype=torch.float8_e4m3fn)
    for block, here in blocks_of(weight):
        scale[block] = weight[here].abs().max() / FP8_MAX
        stored[here] = (weight[here] / scale[block]).to(torch.float8_e4m3fn)
    return stored, scale


def dequantize_fp8(stored, scale):
    weight = stored.float()
    for block, here in blocks_of(weight):
        weight[here] *= scale[block]
    return weight


def store(case, tensors):
    """Returns (tensors as stored, the float32 values they stand for)."""
    stored, exact = {}, {}
    for name, value in tensors.items():
        if case.dtype == "fp8" and is_fp8_weight(name):
            for (row, column), here in blocks_of(value):
                # Blocks of different size, so that each needs its own scale.
                value[here] *= 2.0 ** ((row + 2 * column) % 3 - 1)
            stored[name], scale = quantize_fp8(value)
            stored[f"{name}_scale_inv"] = scale
            exact[name] = dequantize_fp8(stored[name], scale)
            continue
        dtype = torch.bfloat16 if case.dtype == "fp8" else getattr(torch, case.dtype)
        if name.endswith("correction_bias"):
            dtype = torch.float32
        stored[name] = value.to(dtype)
        exact[name] = stored[name].float()
    return stored, exact


def write_checkpoint(folder, config, stored, shards):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    if shards == 1:
        save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
        return
    # Round-robin, so that the tensors of one expert straddle the shards.
    files = [f"model-{i + 1:05}-of-{shards:06}.safetensors" for i in range(shards)]
    home = {name: files[i % shards] for i, name in enumerate(stored)}
    for file in files:
        part = {name: value for name, value in stored.items() if home[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    size = sum(value.numel() * value.element_size() for value in stored.values())
    index = {"metadata": {"total_size": size}, "weight_map": home}
    text = json.dumps(index, indent=1)
    (folder / "model.safetensors.index.json").write_text(text + "\n")


def margins(routing, count):
    """The smallest expert and group margin of each token over the layers."""
    infinite = torch.full((count,), math.inf)
    expert = torch.stack([r.expert_margin for r in routing] + [infinite]).amin(0)
    group = torch.stack([r.group_margin for r in routing] + [infinite]).amin(0)
    return expert, group


@torch.no_grad()
def choose_tokens(config, tensors, count, generator):
    """Builds the sequence token by token, keeping router margins clear."""
    has_router = any(
        reference.is_moe_layer(config, layer) for layer in range(config["num_hidden_layers"])
    )
    vocab = config["vocab_size"]
    if not has_router:
        return torch.randint(0, vocab, (count,), generator=generator)
    tokens = torch.zeros(0, dtype=torch.long)
    for length in range(1, count + 1):
        last = torch.randint(0, vocab, (CANDIDATES, 1), generator=generator)
        batch = torch.cat((tokens.expand(CANDIDATES, -1), last), 1)
        out = reference.forward(config, tensors, batch, rows=last_row(batch))
        expert, group = margins(out.routing, batch.numel())
        worst = torch.minimum(expert, group).view(CANDIDATES, length)[:, -1]
        # The first that is clear, not the clearest, which would favor experts.
        tokens = batch[worst.clamp(max=CLEAR_MARGIN).argmax()]
    return tokens


def last_row(batch):
    rows = torch.zeros_like(batch, dtype=torch.bool)
    rows[:, -1] = True
    return rows


@torch.no_grad()
def reference_greedy(config, tensors, prompt, count):
    """Returns the continuation and, a step, the lead of the best logit."""
    tokens, lead = prompt, []
    for _ in range(count):
        logits = reference.forward(config, tensors, tokens).logits[-1]
        best = logits.topk(2)
        lead.append(float(best.values[0] - best.values[1]))
        tokens = torch.cat((tokens, best.indices[:1]))
    return tokens[len(prompt) :], lead


def choose_prompt(config, tensors, tokens):
    """The prefix whose continuation has the clearest steps."""
    best = None
    for length in range(min(len(tokens), 66), 24, -1):
        continuation, lead = reference_greedy(config, tensors, tokens[:length], GREEDY)
        whole = torch.cat((tokens[:length], continuation))
        out = reference.forward(config, tensors, whole)
        expert, group = margins(out.routing, len(whole))
        # A logit is worth about 50 times less than a router score.
        clear = min(min(lead) / 50, float(expert.min()), float(group.min()))
        if best is None or clear > best[0]:
            best = (clear, length, continuation, lead, expert, group)
    return best[1:]


def difference(a, b):
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def with_bfloat16_inputs(config, tensors, tokens, prompt):
    """Logits and continuation when every matrix product rounds its input."""
    linear = torch.nn.functional.linear

    def rounded(x, weight):
        return linear(x.bfloat16().float(), weight)

    with mock.patch.object(torch.nn.functional, "linear", rounded):
        logits = reference.forward(config, tensors, tokens).logits
        return logits, reference_greedy(config, tensors, prompt, GREEDY)[0]


def read_by_transformers(config, folder, exact, tokens):
    """Logits from the folder itself, with float8 tensors expanded first."""
    with tempfile.TemporaryDirectory() as scratch:
        if "quantization_config" in config:
            plain = {k: v for k, v in config.items() if k != "quantization_config"}
            stored = load_file(folder / "model.safetensors")
            expanded = {
                name: dequantize_fp8(value, stored[f"{name}_scale_inv"])
                if f"{name}_scale_inv" in stored
                else value.float()
                for name, value in stored.items()
                if not name.endswith("_scale_inv")
            }
            folder = pathlib.Path(scratch)
            write_checkpoint(folder, plain, expanded, 1)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        )
    return oracle.logits(model.eval(), tokens)


def as_list(values):
    return [round(float(v), 7) if math.isfinite(v) else None for v in values]


def make(name, case, out):
    config, folder = case.config, out / name
    seed = zlib.crc32(name.encode())
    stored, exact = store(case, draw(case, seed))
    generator = torch.Generator().manual_seed(seed + 1)
    tokens = choose_tokens(config, exact, case.tokens, generator)
    result = reference.forward(config, exact, tokens)
    expert, group = margins(result.routing, len(tokens))

    double = {key: value.double() for key, value in exact.items()}
    exact_logits = reference.forward(config, double, tokens).logits
    model = oracle.build(config, exact)
    hf_logits = oracle.logits(model, tokens)
    agreement = {
        "reference float32 and float64": difference(result.logits, exact_logits),
        "transformers and reference float32": difference(hf_logits, result.logits),
        "transformers and reference float64": difference(hf_logits, exact_logits),
    }

    length, continuation, lead, greedy_expert, greedy_group = choose_prompt(config, exact, tokens)
    by_cache = oracle.greedy(model, tokens[:length], GREEDY)
    by_double, _ = reference_greedy(config, double, tokens[:length], GREEDY)
    if not continuation.tolist() == by_cache == by_double.tolist():
        raise SystemExit(f"{name}: the oracles disagree on the continuation")

    written = to_rope_parameters(config) if case.newer_format else config
    write_checkpoint(folder, written, stored, case.shards)
    corrected = oracle.corrections(config)
    logits = result.logits
    if not corrected:
        logits = hf_logits
        read = read_by_transformers(config, folder, exact, tokens)
        agreement["transformers from the folder"] = difference(read, hf_logits)
    for what, value in agreement.items():
        if value > TOLERANCE:
            raise SystemExit(f"{name}: {what} differ by {value:.2g}")

    coarse = with_bfloat16_inputs(config, exact, tokens, tokens[:length])
    np.save(folder / "tokens.npy", tokens.numpy().astype(np.int32))
    np.save(folder / "logits.npy", logits.numpy().astype(np.float32))
    np.save(folder / "greedy.npy", continuation.numpy().astype(np.int32))
    record = {
        "name": name,
        "purpose": case.purpose,
        "dtype": case.dtype,
        "prompt_length": length,
        "oracle": "reference.py" if corrected else oracle.VERSION,
        "corrected in transformers to compare": corrected,
        "agreement": {what: float(f"{value:.2g}") for what, value in agreement.items()},
        "with bfloat16 inputs": {
            "logits differ by": round(difference(coarse[0], logits), 4),
            "same continuation": coarse[1].equal(continuation),
        },
    }
    margin_record = {
        "expert": as_list(expert),
        "group": as_list(group),
        "greedy_logit": as_list(lead),
        "greedy_expert": as_list(greedy_expert),
        "greedy_group": as_list(greedy_group),
    }
    (folder / "case.json").write_text(json.dumps(record, indent=2) + "\n")
    (folder / "margins.json").write_text(json.dumps(margin_record) + "\n")
    used = {int(e) for r in result.routing for e in r.experts.unique()}
    size = sum(f.stat().st_size for f in folder.iterdir()) // 1024
    worst = max(agreement.values())
    tie = min(float(expert.min()), float(group.min()))
    print(
        f"{name}: {size} KiB, agreement {worst:.1e}, router margin {tie:.4f}, "
        f"experts used {len(used)}, prompt {length}, greedy lead {min(lead):.3f}, "
        f"oracle {record['oracle']}, bfloat16 {record['with bfloat16 inputs']}",
        flush=True,
    )


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, default=here / "fixtures")
    parser.add_argument("cases", nargs="*", default=list(CASES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    with torch.no_grad():
        for name in args.cases:
            make(name, CASES[name], args.out)


if __name__ == "__main__":
    main()
