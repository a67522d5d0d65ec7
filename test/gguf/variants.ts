import { arrayType, parseRaw, type RawGguf, type RawKey, serialiseRaw, stringType, u32 } from "./raw.js";

/** A well-formed model to start mutations from. */
export interface Variant {
  name: string;
  bytes: Buffer;
}

/** The embedded model, and the same weights under each other kind of vocabulary that llama.cpp has. */
export function variantsOf(stories: Buffer): Variant[] {
  const tokens = parseRaw(stories).keys.find(({ strings }) => strings)!.strings!;
  const variants: [name: string, tokenizer: string, tokens: Buffer[], more: RawKey[]][] = [
    ["gpt2", "gpt2", byteLevel(tokens), [strings("tokenizer.ggml.merges", merges)]],
    ["llama-bpe", "gpt2", byteLevel(tokens), [strings("tokenizer.ggml.merges", merges), pre("llama-bpe")]],
    ["gemma4", "gemma4", tokens, [strings("tokenizer.ggml.merges", merges)]],
    ["bert", "bert", wordPiece(tokens), []],
    ["t5", "t5", tokens, [characterMap()]],
    ["rwkv", "rwkv", escaped(tokens), []],
    ["plamo2", "plamo2", tokens, []],
  ];
  return [
    { name: "llama", bytes: stories },
    ...variants.map(([name, tokenizer, tokens, more]) => ({
      name,
      bytes: withVocabulary(stories, tokenizer, tokens, more),
    })),
  ];
}

function withVocabulary(stories: Buffer, tokenizer: string, tokens: Buffer[], more: RawKey[]): Buffer {
  const raw: RawGguf = parseRaw(stories);
  const find = (key: string) => raw.keys.find((entry) => entry.key.toString() === key)!;
  find("tokenizer.ggml.model").payload = Buffer.from(tokenizer);
  find("tokenizer.ggml.tokens").strings = tokens;
  // only llama, plamo2 and gemma4 have byte tokens, of type 6; type 1 is a normal token
  if (!["llama", "plamo2", "gemma4"].includes(tokenizer))
    find("tokenizer.ggml.token_type").payload = Buffer.concat(tokens.map(() => u32(1)));
  raw.keys.push(...more);
  return serialiseRaw(raw);
}

/** Byte-level BPE: a printable character for each byte first, then words, their spaces written as Ġ. */
function byteLevel(tokens: Buffer[]): Buffer[] {
  const isPlain = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  let shifted = 256;
  const characters = Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(isPlain(byte) ? byte : shifted++),
  );
  return distinct([...characters, "th", "he", "the", "in", "an"], tokens, (text) =>
    text.replaceAll("▁", "Ġ"),
  );
}
const merges = ["t h", "h e", "th e", "i n", "a n"];

function wordPiece(tokens: Buffer[]): Buffer[] {
  return distinct(["[PAD]", "[UNK]"], tokens, (text) => text);
}

/** RWKV writes each byte as an escape; the rest are words. */
function escaped(tokens: Buffer[]): Buffer[] {
  const bytes = Array.from({ length: 256 }, (_, byte) => `\\x${byte.toString(16).padStart(2, "0")}`);
  return distinct(bytes, tokens, (text) => text.replaceAll("▁", " ").replaceAll("\\", "\\\\"));
}

/** As many different tokens as the model has: `first`, then what comes of its own. */
function distinct(first: string[], tokens: Buffer[], change: (text: string) => string): Buffer[] {
  const texts = new Set(first);
  for (const token of tokens) if (texts.size < tokens.length) texts.add(change(token.toString()));
  for (let extra = 0; texts.size < tokens.length; extra++) texts.add(`extra${extra}`);
  return [...texts].map((text) => Buffer.from(text));
}

/** The smallest useful character map: `A` becomes `a`. */
export function characterMap(): RawKey {
  const array = new Uint32Array(512);
  const base = 256;
  array[0] = base << 10;
  const node = base ^ 0x41;
  const value = 10;
  array[node] = ((node ^ value) << 10) | (1 << 8) | 0x41;
  array[value] = 0;
  const payload = Buffer.concat([u32(array.byteLength), Buffer.from(array.buffer), Buffer.from("a\0")]);
  return array8("tokenizer.ggml.precompiled_charsmap", payload);
}

function array8(key: string, payload: Buffer): RawKey {
  return { key: Buffer.from(key), type: arrayType, elementType: 0, count: BigInt(payload.length), payload };
}

function strings(key: string, texts: string[]): RawKey {
  const strings = texts.map((text) => Buffer.from(text));
  const count = BigInt(texts.length);
  return {
    key: Buffer.from(key),
    type: arrayType,
    elementType: stringType,
    count,
    payload: Buffer.alloc(0),
    strings,
  };
}

function pre(name: string): RawKey {
  const key = Buffer.from("tokenizer.ggml.pre");
  return { key, type: stringType, elementType: stringType, count: 1n, payload: Buffer.from(name) };
}
