"""Compares the tokenizer's ids with those of transformers' CLIPTokenizer on thousands of prompts.

CLIP's merges come from the open-clip-torch wheel; vocab.json and merges.txt are made of them as every
checkpoint has them.
"""

import argparse
import gzip
import importlib.util
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

MERGE_COUNT = 48894
PROMPT_COUNT = 6000
WRITTEN = [
    "", " ", "a photo of an astronaut riding a horse on mars", "A  PHOTO\tof\n\nA Cat!!!", "it's, don't, WE'LL, 'd 's",
    "don''t rock'n'roll '''s", "3.14159 x 10^-7 = ???", "éàü ÇŞĞ İstanbul ıı", "e\u0301 \u212b \ufb01 ﬀ",
    "ΟΔΥΣΣΕΥΣ ς σ", "Ünïcödé — “quotes” … ‽", "日本の山、夜、浮世絵", "한국어 프롬프트", "Кошка в шляпе", "قطة ترتدي قبعة",
    "חתול עם כובע", "बिल्ली टोपी में", "แมวใส่หมวก", "🐈‍⬛ 👩🏽‍🚀 🇫🇷 ❤️", "a\u00a0b\u2003c\u3000d\u2028e\u0085f\x0bg",
    "<|endoftext|> in <|startoftext|> the middle", "<|ENDOFTEXT|>", "<|endoftext|", "½ ¼ ² ⅷ ٣ 四", "x" * 1000,
    "word " * 200, "\u200b\u200dzero\ufeffwidth", "ǅ ǆ Ǆ ß ẞ", "a_b-c+d#e@f", "\\n \"quoted\" {json}", "\x00nul\x01",
]


def write_tokenizer(folder):
    """vocab.json and merges.txt from the wheel's list of merges."""
    package = pathlib.Path(importlib.util.find_spec("open_clip").origin).parent
    with gzip.open(package / "bpe_simple_vocab_16e6.txt.gz", "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1:MERGE_COUNT + 1]
    printable = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
    tokens = letters + [letter + "</w>" for letter in letters]
    tokens += [merge.replace(" ", "") for merge in merges] + ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def make_prompts(words):
    """Written ones, then mixtures of words, scripts and any assigned characters."""
    generator = random.Random(0)
    assigned = [code for code in range(1, 0x32000)
                if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")]
    blocks = [(0x20, 0x7f), (0xa0, 0x250), (0x370, 0x530), (0x5d0, 0x5eb), (0x620, 0x650), (0x900, 0x980),
              (0xe01, 0xe30), (0x1e00, 0x2000), (0x2000, 0x2070), (0x3040, 0x3100), (0x4e00, 0x5e00),
              (0xac00, 0xad00), (0x1f300, 0x1f650), (0x300, 0x370)]
    known = set(assigned)

    def piece():
        kind = generator.randrange(6)
        if kind == 0:
            return generator.choice(words)
        if kind == 1:
            return generator.choice(words).upper()
        if kind == 2:
            return generator.choice([" ", "  ", "'s", "'LL", ", ", "!", "?!", "-", "\n", "7", "2024", "'"])
        if kind == 3:
            return chr(generator.choice(assigned))
        low, high = generator.choice(blocks)
        codes = [generator.randrange(low, high) for _ in range(generator.randrange(1, 6))]
        return "".join(chr(code) for code in codes if code in known)

    prompts = list(WRITTEN)
    while len(prompts) < PROMPT_COUNT:
        prompts.append("".join(piece() + generator.choice(["", " "])
                               for _ in range(generator.randrange(1, 16))))
    return [prompt.replace("\x00", "") for prompt in prompts]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="tokenizer_ids")
    arguments = parser.parse_args()
    from transformers import CLIPTokenizer  # Takes a second.

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_tokenizer(folder)
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        words = [token.removesuffix("</w>") for token in vocabulary
                 if token.isascii() and token.removesuffix("</w>").isalpha()]
        prompts = make_prompts(words)
        result = subprocess.run([arguments.program, name], check=True, stdout=subprocess.PIPE,
                                input="".join(prompt + "\0" for prompt in prompts).encode())
        actual = [[int(token) for token in line.split()] for line in result.stdout.decode().splitlines()]
        reference = CLIPTokenizer.from_pretrained(name)
        expected = reference(prompts, add_special_tokens=False)["input_ids"]

    if len(actual) != len(prompts):
        print(f"{len(actual)} lines of ids for {len(prompts)} prompts")
        return 1
    differing = [i for i in range(len(prompts)) if actual[i] != expected[i]]
    for i in differing[:10]:
        print(f"{prompts[i]!r}\n  is        {actual[i]}\n  should be {expected[i]}")
    token_count = sum(map(len, expected))
    print(f"{len(prompts)} prompts, {token_count} ids: {len(differing)} prompts differ")
    return 1 if differing or token_count < 10 * len(prompts) else 0


if __name__ == "__main__":
    sys.exit(main())
