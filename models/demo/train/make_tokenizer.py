# ===- make_tokenizer.py - Tokenizer of the bundled demo model ----------===#
#
# SPDX-License-Identifier: Apache-2.0
#
# Writes tokenizer.json and tokenizer_config.json: a byte-level BPE of 320
# tokens with the pre-tokenizer steps of the DeepSeek-V2 models, so that the
# small model goes through the same text code as the large ones.
#
# ===---------------------------------------------------------------------===#
"""python3 models/demo/train/make_tokenizer.py [--out models/demo]

Ids 0-255 are the bytes (in the order of the byte alphabet), then come 62
merges learned from the text below, then the two special tokens. Digits are
never merged.
"""

import argparse
import json
import pathlib

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCAB_SIZE = 320
BOS, EOS = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"

# Cased letters, as inclusive ranges of code points.
LETTERS = """
41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376-377
37B-37D 37F 386 388-38A 38C 38E-3A1 3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5
13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A
1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D
1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC
1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128
212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183-2184 2C00-2C7B
2C7E-2CE4 2CEB-2CEE 2CF2-2CF3 A640-A66D A680-A69B A722-A76F A771-A787
A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F
104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943
"""

TEXT = """
The model adds numbers. The question is a sum and the answer is the number
that follows the equals sign. Each problem is written on its own, and then the
end of the sentence is marked. What is the sum of these two numbers? Read the
digits, add them from the right to the left, carry the one, and write the
answer from the left to the right. The other words here are in the text only
to give the tokenizer something to merge: the compiler, the runtime, the
tokens, the layers, the experts, the attention, and the latent cache.
"""


def letter_class():
    parts = []
    for item in LETTERS.split():
        ends = [chr(int(end, 16)) for end in item.split("-")]
        parts.append("-".join(ends))
    return "".join(parts)


def pre_tokenizer():
    def split(pattern):
        return pre_tokenizers.Split(Regex(pattern), "isolated")

    return pre_tokenizers.Sequence(
        [
            split("[\r\n]"),
            split(f"\\s?[{letter_class()}]+"),
            split("\\s?[!-/:-~！-／：-～‘-‟　-。]+"),
            split("\\s+$"),
            split("[一-龥ࠀ-一가-퟿]+"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def build():
    """Returns the tokenizer as the dict of its tokenizer.json."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - 2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator([TEXT], trainer)
    learner.add_special_tokens([BOS, EOS])
    learner.decoder = decoders.ByteLevel()
    learner.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A",
        pair=f"{BOS} $A {BOS}:1 $B:1",
        special_tokens=[(BOS, learner.token_to_id(BOS))],
    )
    return json.loads(learner.to_str())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("models/demo"))
    args = parser.parse_args()
    tokenizer = build()
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": BOS,
        "clean_up_tokenization_spaces": False,
        "eos_token": EOS,
        "model_max_length": 2048,
        "pad_token": EOS,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name, value in (("tokenizer", tokenizer), ("tokenizer_config", config)):
        text = json.dumps(value, ensure_ascii=False, indent=1)
        (args.out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
