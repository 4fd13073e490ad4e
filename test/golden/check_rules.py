# ===- check_rules.py - Do the fixtures notice a broken rule? -----------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# Breaks one rule of the reference at a time and lists the fixtures whose
# logits move, so that no rule goes untested.
#
# ===---------------------------------------------------------------------===#
"""python3 test/golden/check_rules.py

Runs the intact reference on every fixture first. A broken rule counts as
noticed where the logits move more than twice as far as bfloat16 inputs move
them (case.json). Exit status 1 when a rule is noticed nowhere.
"""

import json
import pathlib
import sys
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import reference  # noqa: E402
from cases import from_rope_parameters  # noqa: E402
from make_fixtures import TOLERANCE, dequantize_fp8, difference  # noqa: E402

FIXTURES = pathlib.Path(__file__).resolve().parent / "fixtures"
INTACT_ROUTE = reference.route
INTACT_FREQUENCIES = reference.rope_frequencies


class Fixture:
    def __init__(self, folder, one_scale=False):
        self.name = folder.name
        case = json.loads((folder / "case.json").read_text())
        self.rounding = case["with bfloat16 inputs"]["logits differ by"]
        config = json.loads((folder / "config.json").read_text())
        self.config = from_rope_parameters(config)
        self.tokens = torch.from_numpy(np.load(folder / "tokens.npy")).long()
        self.logits = torch.from_numpy(np.load(folder / "logits.npy"))
        stored, self.tensors = {}, {}
        for file in sorted(folder.glob("*.safetensors")):
            stored.update(load_file(file))
        for name, value in stored.items():
            scale = stored.get(f"{name}_scale_inv")
            if scale is not None:
                scale = torch.full_like(scale, scale.mean()) if one_scale else scale
                value = dequantize_fp8(value, scale)
            self.tensors[name] = value.float()

    def moved(self, config=None, tensors=None):
        config, tensors = config or self.config, tensors or self.tensors
        out = reference.forward(config, tensors, self.tokens)
        return difference(out.logits, self.logits)


def with_config(**changes):
    """Breaks by other config values, where the config has the key."""

    def moved(fixture):
        kept = {k: v for k, v in changes.items() if k in fixture.config}
        return fixture.moved(config={**fixture.config, **kept})

    return moved


def with_part(name, part):
    """Breaks by replacing a part of the reference."""

    def moved(fixture):
        with mock.patch.object(reference, name, part):
            return fixture.moved()

    return moved


def latent_eps(fixture):
    with mock.patch.object(reference, "LATENT_NORM_EPS", fixture.config["rms_norm_eps"]):
        return fixture.moved()


def no_bias(fixture):
    tensors = dict(fixture.tensors)
    for name, value in tensors.items():
        if name.endswith("correction_bias"):
            tensors[name] = torch.zeros_like(value)
    return fixture.moved(tensors=tensors)


def one_scale(fixture):
    return Fixture(FIXTURES / fixture.name, one_scale=True).moved()


def plain_scale(config):
    return (config["qk_nope_head_dim"] + config["qk_rope_head_dim"]) ** -0.5


def latent_scale(config):
    return (config["kv_lora_rank"] + config["qk_rope_head_dim"]) ** -0.5


def plain_frequencies(config):
    plain = INTACT_FREQUENCIES({**config, "rope_scaling": None})[0]
    return plain, INTACT_FREQUENCIES(config)[1]


def interpolated_frequencies(config):
    plain, multiplier = plain_frequencies(config)
    scaling = config.get("rope_scaling")
    return plain / (scaling["factor"] if scaling else 1), multiplier


def unit_multiplier(config):
    return INTACT_FREQUENCIES(config)[0], 1.0


def rotate_halves(x, cos, sin):
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


def always_scaled(config, tensors, prefix, x):
    weights, routing = INTACT_ROUTE(config, tensors, prefix, x)
    if config["norm_topk_prob"] and config["scoring_func"] == "softmax":
        weights = weights * config["routed_scaling_factor"]
    return weights, routing


def never_scaled_when_normalized(config, tensors, prefix, x):
    weights, routing = INTACT_ROUTE(config, tensors, prefix, x)
    if config["norm_topk_prob"] and config["scoring_func"] == "sigmoid":
        weights = weights / config["routed_scaling_factor"]
    return weights, routing


def biased_weights(config, tensors, prefix, x):
    weights, routing = INTACT_ROUTE(config, tensors, prefix, x)
    bias = tensors.get(f"{prefix}.gate.e_score_correction_bias")
    if bias is not None:
        weights = (routing.scores + bias).gather(1, routing.experts)
        weights = weights / weights.sum(-1, keepdim=True) * config["routed_scaling_factor"]
    return weights, routing


def other_group_score(grouped, best):
    return grouped.topk(3 - best, dim=-1).values.sum(-1)


BROKEN = {
    "softmax scale without the YaRN factor": with_part("softmax_scale", plain_scale),
    "softmax scale from the latent width": with_part("softmax_scale", latent_scale),
    "latent norms with rms_norm_eps": latent_eps,
    "other norms with eps 1e-6": with_config(rms_norm_eps=1e-6),
    "halves rotated, not pairs": with_part("rotate_pairs", rotate_halves),
    "YaRN frequencies left plain": with_part("rope_frequencies", plain_frequencies),
    "YaRN frequencies all divided": with_part("rope_frequencies", interpolated_frequencies),
    "cos/sin multiplier left out": with_part("rope_frequencies", unit_multiplier),
    "rope_theta not read": with_config(rope_theta=10000),
    "norm_topk_prob not read": with_config(norm_topk_prob=False),
    "routed_scaling_factor not read": with_config(routed_scaling_factor=1.0),
    "V2 scales normalized weights": with_part("route", always_scaled),
    "V3 leaves normalized weights unscaled": with_part("route", never_scaled_when_normalized),
    "groups not limited": with_config(n_group=1, topk_group=1),
    "best and two best of a group swapped": with_part("score_groups", other_group_score),
    "dropped groups at zero": with_part("DROPPED_GROUP", 0.0),
    "softmax instead of sigmoid": with_config(scoring_func="softmax"),
    "correction bias not read": no_bias,
    "correction bias in the weights": with_part("route", biased_weights),
    "one scale for all FP8 blocks": one_scale,
}


def main():
    torch.set_num_threads(1)
    fixtures = [Fixture(folder) for folder in sorted(FIXTURES.iterdir())]
    for fixture in fixtures:
        if fixture.moved() > TOLERANCE:
            raise SystemExit(f"{fixture.name}: the reference gives other logits")
    unnoticed = 0
    for rule, moved in BROKEN.items():
        noticed = []
        for fixture in fixtures:
            value = moved(fixture)
            if value > 2 * fixture.rounding:
                noticed.append(f"{fixture.name} {value:.2f}")
        unnoticed += not noticed
        print(f"{rule}: {', '.join(noticed) or 'NOWHERE'}", flush=True)
    if unnoticed:
        raise SystemExit(f"{unnoticed} rules are noticed by no fixture")


if __name__ == "__main__":
    with torch.no_grad():
        main()
