#!/usr/bin/env python3
#
# sdpa.py - Time PyTorch's attention at the shapes of DeepSeek-V2
#
# SPDX-License-Identifier: Apache-2.0
#
# Usage: sdpa.py OUT [TOKENS]
#
# Causal, keys of 192 and values of 128, in bf16. Each back end that takes the
# shape is timed, with values padded to 192 where it wants one width; OUT gets a
# line "HEADS TOKENS SECONDS" of the fastest for each number of heads.

import sys
import time

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad, scaled_dot_product_attention

tokens = int(sys.argv[2]) if len(sys.argv) > 2 else 8192
device = "cuda" if torch.cuda.is_available() else "cpu"
backends = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
]
warm_up, repetitions = 3, 15
if device == "cpu":
    backends = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    warm_up, repetitions = 1, 2


def seconds_of(run):
    """Seconds of a run, from many in a row; the median of a few such rows."""
    for _ in range(warm_up):
        run()
    rows = []
    for _ in range(3):
        if device == "cpu":
            begin = time.perf_counter()
            for _ in range(repetitions):
                run()
            rows.append((time.perf_counter() - begin) / repetitions)
            continue
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        # The GPU waits for about a millisecond, while the CPU submits the
        # runs: what that takes is not part of them.
        torch.cuda._sleep(2_000_000)
        begin.record()
        for _ in range(repetitions):
            run()
        end.record()
        torch.cuda.synchronize()
        rows.append(begin.elapsed_time(end) / 1e3 / repetitions)
    return sorted(rows)[1]


with open(sys.argv[1], "w") as out:
    for heads in (16, 128) if tokens >= 1024 else (16,):
        torch.manual_seed(1)
        query, key = (
            torch.randn(
                1, heads, tokens, 192, dtype=torch.bfloat16, device=device
            )
            for _ in range(2)
        )
        value = torch.randn(
            1, heads, tokens, 128, dtype=torch.bfloat16, device=device
        )
        best = None
        for backend in backends:
            for padded in (False, True):
                values = pad(value, (0, 64)) if padded else value

                def run():
                    scaled_dot_product_attention(
                        query, key, values, is_causal=True
                    )

                try:
                    with sdpa_kernel(backend), torch.no_grad():
                        seconds = seconds_of(run)
                except RuntimeError:
                    continue
                print(
                    f"{heads} heads, {tokens} tokens, {backend.name}"
                    f"{', values padded' if padded else ''}:"
                    f" {seconds * 1e6:.0f} us"
                )
                if best is None or seconds < best:
                    best = seconds
        if best is not None:
            out.write(f"{heads} {tokens} {best:.9f}\n")
