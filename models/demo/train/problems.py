# ===- problems.py - Sums for the bundled demo model --------------------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# Makes the problems, keeps the held-out ones apart, and turns them into
# tokens.
#
# ===---------------------------------------------------------------------===#
"""A problem is a pair of numbers from 0 to 999, written a+b=c.

A pair is held out, in both orders, when crc32("<smaller>+<larger>") is a
multiple of 50: 2 % of all pairs, never seen in training.
"""

import zlib

import numpy as np
import torch

LIMIT = 1000
LENGTH = 14  # BOS, 3 digits, +, 3 digits, =, 4 digits, EOS


def is_held_out(a, b):
    return zlib.crc32(f"{min(a, b)}+{max(a, b)}".encode()) % 50 == 0


def held_out_table():
    table = np.zeros((LIMIT, LIMIT), dtype=bool)
    for a in range(LIMIT):
        for b in range(a, LIMIT):
            table[a, b] = table[b, a] = is_held_out(a, b)
    return table


class Problems:
    def __init__(self, tokenizer):
        self.held_out = held_out_table()
        self.bos = tokenizer.token_to_id("<｜begin▁of▁sentence｜>")
        self.eos = tokenizer.token_to_id("<｜end▁of▁sentence｜>")
        self.ids = {c: tokenizer.token_to_id(c) for c in "0123456789+="}

    def pairs(self, random, count, held_out):
        """Draws pairs: by digits, uniformly, and with long carries."""
        chosen = np.zeros((0, 2), dtype=np.int64)
        while len(chosen) < count:
            by_digits = random.integers(0, 10 ** random.integers(1, 4, (count, 2)))
            uniform = random.integers(0, LIMIT, (count, 2))
            # The tens add up to nine or almost, so that a carry passes on.
            carry = random.integers(0, LIMIT, (count, 2))
            tens = np.clip(9 - carry[:, 0] // 10 % 10 + random.integers(-1, 2, count), 0, 9)
            carry[:, 1] += (tens - carry[:, 1] // 10 % 10) * 10
            kind = random.random((count, 1))
            pair = np.where(kind < 0.35, by_digits, np.where(kind < 0.8, uniform, carry))
            pair = pair[self.held_out[pair[:, 0], pair[:, 1]] == held_out]
            chosen = np.concatenate((chosen, pair))
        return chosen[:count]

    def encode(self, pairs):
        """Returns tokens [n, LENGTH] and the mask of rows that predict the
        answer or the end of the sentence."""
        tokens = np.full((len(pairs), LENGTH), self.eos, dtype=np.int64)
        answer = np.zeros((len(pairs), LENGTH), dtype=bool)
        for row, (a, b) in enumerate(pairs):
            question, result = f"{a}+{b}=", str(a + b)
            ids = [self.bos] + [self.ids[c] for c in question + result]
            tokens[row, : len(ids)] = ids
            answer[row, len(question) : len(ids)] = True
        return torch.from_numpy(tokens), torch.from_numpy(answer)
