#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the tokenizer with Hugging Face `tokenizers` on random texts.

  compare_tokenizers.py --program build/bin/tokenize-lines \
      --tokenizer DIRECTORY [--pre-tokenizer deepseek-v3] [--lines 100000]

DIRECTORY holds a tokenizer.json. With --pre-tokenizer, its pre-tokenizer is
replaced by that of another model family. Exits with 1 if any line differs.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer

CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
         "use_regex": False}


def split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern},
            "behavior": behavior, "invert": invert}


PRE_TOKENIZERS = {
    "deepseek-coder": [
        split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK),
        {"type": "Digits", "individual_digits": True}, BYTES],
    "deepseek-v3": [
        split(r"\p{N}{1,3}"),
        split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
        split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
              r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
              r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), BYTES],
    "byte-level": [dict(BYTES, use_regex=True, add_prefix_space=True)],
    "behaviors": [
        split(r"\p{Lu}", "MergedWithNext"), split(r"[,.;]", "MergedWithPrevious"),
        split(r"\h+$|\bx*", "Contiguous"), split(r"^\w+", "Isolated", True),
        split(r"\p{Han}|\p{Hiragana}+|[^\S\t]{2,}", "Isolated"),
        {"type": "Digits", "individual_digits": False}, BYTES],
}

WORDS = """the of and to Hello world I'm we'll They'VE don't naïve Führer façade
über straße Größe être école año niño привет мир нещо на Български Ελληνικά
λόγος مرحبا بالعالم שלום עולם नमस्ते दुनिया ภาษาไทย ខ្មែរ한국어 안녕하세요 こんにちは 世界
カタカナ 我想在apple工作 中文，标点。 「引用」 Việt Nam ქართული ԲարեՎ Հայերեն ᏣᎳᎩ ǅ ǈ
def main(): return x[i]++; for(int i=0;i<n;++i) {\t}\n #include <vector> a->b
std::vector<std::string> $HOME /usr/bin C:\\Users\\x http://example.com/?q=1&r=2
3.14159 1,000,000 0xDEADBEEF 1e-9 2024-01-31 12:34:56 ½ ² ⅷ ٣٤٥ १२३ 𝟙𝟚 ㊿ 四
... !!! ??? -- === <|x|> “quoted” ‘single’ — – … • ™ © ™️ № ℃ ≤ ∑ 😀 😶‍🌫️ 👨‍👩‍👧‍👦 🇩🇪 👍🏽
✅ 🦙 ～ ， 　 ﷽ ﬁ Ⅳ ａｂｃ １２３ ＡＢＣ é ǆ ı İ ſ K Å""".split(" ")
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n ", "\u00a0", "\u3000",
          "\u2003", "\u2028", "\u0085", "\u180e", "\u200b", "\x0b", "\x0c", "\x1c",
          "    ", "\t\t", " \t", "        ", "\ufeff", "\u202f"]
RANGES = [(0x20, 0x7e), (0, 0x20), (0x80, 0x24f), (0x250, 0x36f), (0x370, 0x5ff),
          (0x600, 0x8ff), (0x900, 0xdff), (0xe00, 0x109f), (0x10a0, 0x13ff),
          (0x1400, 0x1cff), (0x1d00, 0x20ff), (0x2100, 0x2bff), (0x2c00, 0x303f),
          (0x3040, 0x33ff), (0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xa000, 0xabff),
          (0xac00, 0xd7ff), (0xe000, 0xf8ff), (0xf900, 0xffff),
          (0x10000, 0x10fff), (0x11000, 0x12fff), (0x13000, 0x1afff),
          (0x1b000, 0x1efff), (0x1f000, 0x1faff), (0x1fb00, 0x323af),
          (0xe0000, 0xe01ff), (0, 0x10ffff)]


def character(rng, low, high):
    while True:
        code = rng.randint(low, high)
        if not 0xd800 <= code < 0xe000:
            return chr(code)


def random_text(rng, special):
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(WORDS))
        elif kind < 0.55:
            parts.append(rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 5]))
        elif kind < 0.80:
            low, high = rng.choice(RANGES)
            parts.extend(character(rng, low, high)
                         for _ in range(rng.randint(1, 8)))
        elif kind < 0.88:
            parts.append("".join(rng.choice("0123456789.,-")
                                 for _ in range(rng.randint(1, 9))))
        elif kind < 0.96:
            parts.append(character(rng, 0x21, 0x7e) * rng.randint(1, 20))
        else:
            parts.append(rng.choice(special))
    return "".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--tokenizer", required=True, type=pathlib.Path)
    parser.add_argument("--pre-tokenizer", choices=sorted(PRE_TOKENIZERS))
    parser.add_argument("--lines", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--show", type=int, default=5, help="differences shown")
    args = parser.parse_args()
    print(f"seed {args.seed}")

    rng = random.Random(args.seed)
    data = json.loads((args.tokenizer / "tokenizer.json").read_text("utf-8"))
    if args.pre_tokenizer:
        data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers":
                                 PRE_TOKENIZERS[args.pre_tokenizer]}
    # No text is processed: the program adds BOS by configuration alone.
    data["post_processor"] = None
    special = [token["content"] for token in data["added_tokens"]]
    # Every assigned-in-no-version character once, too, then random texts.
    texts = [" ".join(map(chr, range(low, low + 64)))
             for low in range(0, 0x33000, 64) if not 0xd7c0 <= low < 0xe000]
    texts += [random_text(rng, special or [""]) for _ in range(args.lines)]

    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "tokenizer.json"
        path.write_text(json.dumps(data), "utf-8")
        reference = Tokenizer.from_file(str(path))
        lines = "".join(json.dumps(text) + "\n" for text in texts)
        run = subprocess.run([args.program, directory], input=lines.encode(),
                             stdout=subprocess.PIPE, check=True)
    ours = [[int(i) for i in line.split()]
            for line in run.stdout.decode().split("\n")[:-1]]
    if len(ours) != len(texts):
        sys.exit(f"expected {len(texts)} lines, but got {len(ours)}")

    different = 0
    for text, ids in zip(texts, ours):
        expected = reference.encode(text, add_special_tokens=False).ids
        if ids != expected:
            different += 1
            if different <= args.show:
                print(f"text {text!r}\n  expected {expected}\n  found    {ids}")
    tokens = sum(map(len, ours))
    print(f"{len(texts)} lines, {tokens} tokens, {different} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
