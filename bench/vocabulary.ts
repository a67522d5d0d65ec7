import type { WritableValue } from "../src/gguf/encode.js";

/**
 * The metadata of a SentencePiece vocabulary of made-up words: `<unk>`, `<s>`, `</s>`, 256 byte tokens, then letters
 * and words of up to three syllables, each also with a space before it.
 */
export function madeUpVocabulary(size: number): [string, WritableValue][] {
  const tokens = ["<unk>", "<s>", "</s>", ...byteTokens(), ...pieces(size - 3 - 256)];
  const types = tokens.map((_, token) =>
    token < 3 ? specialTypes[token]! : token < 3 + 256 ? byte : normal,
  );
  const scores = tokens.map((_, token) => (types[token] === normal ? -token : 0));
  const uint32 = (value: number): WritableValue => ({ type: "uint32", value });
  return [
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    ["tokenizer.ggml.tokens", { type: "array", value: { elementType: "string", items: tokens } }],
    ["tokenizer.ggml.scores", { type: "array", value: { elementType: "float32", items: scores } }],
    ["tokenizer.ggml.token_type", { type: "array", value: { elementType: "int32", items: types } }],
    ["tokenizer.ggml.unknown_token_id", uint32(0)],
    ["tokenizer.ggml.bos_token_id", uint32(1)],
    ["tokenizer.ggml.eos_token_id", uint32(2)],
    ["tokenizer.ggml.add_bos_token", { type: "bool", value: true }],
    ["tokenizer.ggml.add_eos_token", { type: "bool", value: false }],
  ];
}

// enum llama_token_type in include/llama.h
const [normal, unknown, control, byte] = [1, 2, 3, 6];
const specialTypes = [unknown, control, control];

function byteTokens(): string[] {
  return Array.from(
    { length: 256 },
    (_, value) => `<0x${value.toString(16).toUpperCase().padStart(2, "0")}>`,
  );
}

function pieces(count: number): string[] {
  const found = ["▁"];
  for (let index = 0; found.length < count; index++) {
    const word = index < letters.length ? letters[index]! : syllables(index - letters.length);
    found.push(`▁${word}`, word);
  }
  return found.slice(0, count);
}

const consonants = [..."bcdfghjklmnpqrstvwxz"];
const vowels = [..."aeiou"];
const letters = [...consonants, ...vowels];
const all = consonants.flatMap((consonant) => vowels.map((vowel) => consonant + vowel));

/** The word of a number: its digits as syllables, counted so that no two numbers share a word. */
function syllables(index: number): string {
  const last = all[index % all.length]!;
  return index < all.length ? last : syllables(Math.floor(index / all.length) - 1) + last;
}
