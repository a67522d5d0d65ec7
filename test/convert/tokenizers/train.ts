import { readFileSync } from "node:fs";
import { byteCharacters } from "../../../src/convert/tokenizers/byte-characters.js";
import { fixture } from "./harness.js";

export const trainingText = readFileSync(fixture("training.txt"), "utf8");

/** Texts that take tokenizers apart. */
export const torture: string[] = [
  ...(JSON.parse(readFileSync(fixture("sentencepiece-ids.json"), "utf8")) as { texts: string[] }).texts,
  "\u00a0non\u2003breaking\u3000spaces\u200b",
  "a\r\nb\rc\n\n\n  d\t \n e",
  "e\u0301te\u0301 été ǅ İstanbul ﬀ",
  "x'S y'LL 12345678 1.5e10 ½ ٣٤ ⅷ",
  "\ud83d lone surrogate",
];

export interface TrainedBpe {
  vocab: Record<string, number>;
  merges: string[];
}

/** Byte-level BPE by counting pairs, the most frequent first. All 256 bytes come first. */
export function trainBpe(text: string, pattern: RegExp, mergeCount: number): TrainedBpe {
  const words = new Map<string, { parts: string[]; count: number }>();
  for (const [word] of text.matchAll(pattern)) {
    const entry = words.get(word);
    if (entry) entry.count++;
    else words.set(word, { parts: [...Buffer.from(word)].map((byte) => byteCharacters[byte]!), count: 1 });
  }
  const vocab: Record<string, number> = Object.fromEntries(byteCharacters.map((text, byte) => [text, byte]));
  const merges: string[] = [];
  while (merges.length < mergeCount) {
    const counts = new Map<string, number>();
    for (const { parts, count } of words.values())
      for (let index = 1; index < parts.length; index++) {
        const pair = `${parts[index - 1]} ${parts[index]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + count);
      }
    const best = [...counts].reduce((best, pair) => (pair[1] > best[1] ? pair : best), ["", 1]);
    if (best[0] === "") break;
    merges.push(best[0]);
    const [left, right] = best[0].split(" ") as [string, string];
    vocab[left + right] ??= Object.keys(vocab).length;
    for (const entry of words.values()) entry.parts = joined(entry.parts, left, right);
  }
  return { vocab, merges };
}

function joined(parts: readonly string[], left: string, right: string): string[] {
  const after: string[] = [];
  for (const part of parts)
    if (part === right && after.at(-1) === left) after[after.length - 1] = left + right;
    else after.push(part);
  return after;
}

export const patterns = {
  "gpt-2": "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "llama-bpe":
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  qwen2:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
};

/** A tokenizer.json of byte-level BPE, in the form that models with that pre-tokenizer have. */
export function byteLevelTokenizer(pre: keyof typeof patterns, { vocab, merges }: TrainedBpe) {
  const size = Object.keys(vocab).length;
  const split = { type: "Split", pattern: { Regex: patterns[pre] }, behavior: "Isolated", invert: false };
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: pre === "gpt-2",
  };
  return {
    version: "1.0",
    added_tokens: [
      { id: size, content: "<|endoftext|>", special: true, normalized: false, lstrip: false, rstrip: false },
      { id: size + 1, content: "<b>", special: false, normalized: false, lstrip: false, rstrip: false },
    ],
    normalizer: null,
    pre_tokenizer: pre === "gpt-2" ? byteLevel : { type: "Sequence", pretokenizers: [split, byteLevel] },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      unk_token: null,
      byte_fallback: false,
      ignore_merges: pre === "llama-bpe",
      vocab,
      merges: merges as (string | string[])[],
    },
  };
}
