#!/usr/bin/env python3
#
# make_blocks.py - Blocks of each GGUF type and the values they stand for
#
# SPDX-License-Identifier: Apache-2.0
#
# Writes blocks.gguf: for each type a tensor of random bytes, and beside it, as
# "<type>.values", what the `gguf` package makes of them in float32. Needs numpy
# and gguf; run by hand.

import os

import gguf
import numpy as np

TYPES = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K",
         "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
ROWS, WIDTH = 2, 512

# Where a block has f16 numbers: their exponents must not make them infinite.
HALVES = {"F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "blocks.gguf")
    writer = gguf.GGUFWriter(path, "blocks")
    random = np.random.default_rng(1)
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = random.integers(0, 256, (ROWS * WIDTH // elements, size), np.uint8)
        for at in HALVES.get(name, []):
            # Signs and mantissas at random, exponents of ordinary scales.
            high = blocks[:, at + 1]
            blocks[:, at + 1] = (high & 0x83) | random.integers(4, 18, high.shape).astype(np.uint8) << 2
        if name == "BF16":
            blocks[:, 1] &= 0xBF
        data = blocks.reshape(ROWS, -1)
        if name == "F16":
            values = data.view(np.float16).astype(np.float32)
        else:
            values = gguf.quants.dequantize(data, kind)
        assert np.isfinite(values).all() and values.shape == (ROWS, WIDTH), name
        writer.add_tensor(name, data, raw_shape=data.shape, raw_dtype=kind)
        writer.add_tensor(name + ".values", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
