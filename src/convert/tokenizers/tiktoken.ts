import { memoryArray } from "../../gguf/memory-array.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import { byteCharacters } from "./byte-characters.js";
import { malformed, problems } from "./folder.js";
import { mostTokens } from "./json.js";
import { tokenTypes, Vocabulary } from "./vocabulary.js";

/** Llama 3's longest has 128. */
const longestToken = 256;

/** Whether a `tokenizer.model` is a list of ranks and not a protocol buffer: its first line is base64 and a number. */
export function isTiktoken(content: Uint8Array): boolean {
  const start = Buffer.from(content.subarray(0, 4096)).toString("latin1");
  return /^[A-Za-z0-9+/]+={0,2} \d+\r?(\n|$)/.test(start);
}

/**
 * The keys of Llama 3's tokenizer as Meta ships it: a line of base64 and rank for each token, and 256 special tokens
 * behind them that only Meta's program knows. `isScaled` says that it is of version 3.1 or later, which gave names to
 * some that were reserved before.
 *
 * Source: tokenizer.py of Meta's llama3 and llama-models; `add_bos_token` as their Hugging Face form has it.
 * Errors: `tokenizer-malformed`, `tokenizer-too-many-tokens`.
 */
export function tiktokenKeys(
  content: Uint8Array,
  path: string,
  rows: number,
  isScaled: boolean,
): Map<string, MetadataValue> {
  const tokens = parseRanks(content, path);
  const special = isScaled ? specialTokens31() : specialTokens3();
  const vocabulary = new Vocabulary(path, rows);
  vocabulary.expectRoom(tokens.length + special.length);
  const printable = tokens.map(printableText);
  for (const [rank, text] of printable.entries()) vocabulary.set(rank, text, tokenTypes.normal);
  for (const [index, text] of special.entries())
    vocabulary.set(tokens.length + index, text, tokenTypes.control);

  const keys = vocabulary.metadata("gpt2", "llama-bpe");
  const merges = recoverMerges(tokens, path).map(([left, right]) => `${printable[left]} ${printable[right]}`);
  keys.set("tokenizer.ggml.merges", { type: "array", value: memoryArray("string", merges, path) });
  const start = tokens.length;
  keys.set("tokenizer.ggml.bos_token_id", { type: "uint32", value: start });
  keys.set("tokenizer.ggml.eos_token_id", { type: "uint32", value: start + 1 });
  if (isScaled) keys.set("tokenizer.ggml.padding_token_id", { type: "uint32", value: start + 4 });
  keys.set("tokenizer.ggml.add_bos_token", { type: "bool", value: true });
  return keys;
}

/** The bytes of each token by rank, one character for each byte. All single bytes must be there. */
function parseRanks(content: Uint8Array, path: string): string[] {
  const lines = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
    .toString("latin1")
    .split("\n");
  const tokens: string[] = [];
  const known = new Map<string, number>();
  for (const [index, line] of lines.entries()) {
    if (line.trim() === "") continue;
    const refuse = (problem: string) => malformed(path, `line ${index + 1}`, problem);
    const match = /^([A-Za-z0-9+/]+={0,2}) (\d{1,9})\r?$/.exec(line);
    if (!match) throw refuse(problems.notBase64Rank());
    if (tokens.length >= mostTokens) throw refuse(problems.tooMany({ limit: mostTokens }));
    const token = Buffer.from(match[1]!, "base64").toString("latin1");
    if (token.length > longestToken) throw refuse(problems.tooLong({ limit: longestToken }));
    const rank = Number(match[2]);
    if (rank !== tokens.length) throw refuse(problems.rankOrder({ expected: tokens.length, value: rank }));
    const first = known.get(token);
    if (first !== undefined) throw refuse(problems.repeated({ first, second: rank }));
    known.set(token, rank);
    tokens.push(token);
  }
  for (let byte = 0; byte < 256; byte++)
    if (!known.has(String.fromCharCode(byte))) throw malformed(path, "ranks", problems.noByte({ byte }));
  return tokens;
}

/**
 * The merges that join bytes in the order of the ranks: for each token, every way to make it of two others, the parts
 * of lowest rank first. As pairs of ranks.
 * Source: `extract_vocab_merges_from_model` of `transformers`.
 */
export function recoverMerges(tokens: readonly string[], path: string): [left: number, right: number][] {
  const ranks = new Map(tokens.map((token, rank) => [token, rank]));
  const merges: [number, number][] = [];
  for (const [rank, token] of tokens.entries()) {
    if (token.length === 1) continue;
    const ways: [number, number][] = [];
    for (let cut = 1; cut < token.length; cut++) {
      const left = ranks.get(token.slice(0, cut));
      if (left === undefined) continue;
      const right = ranks.get(token.slice(cut));
      if (right !== undefined) ways.push([left, right]);
    }
    if (ways.length === 0) throw malformed(path, `rank ${rank}`, problems.noMerge());
    ways.sort(([left, right], [otherLeft, otherRight]) => left - otherLeft || right - otherRight);
    for (const way of ways) merges.push(way);
  }
  return merges;
}

function printableText(token: string): string {
  let text = "";
  for (let index = 0; index < token.length; index++) text += byteCharacters[token.charCodeAt(index)];
  return text;
}

const specialCount = 256;
const reserved = (number: number) => `<|reserved_special_token_${number}|>`;

function specialTokens3(): string[] {
  const named = ["<|begin_of_text|>", "<|end_of_text|>", reserved(0), reserved(1), reserved(2), reserved(3)];
  named.push("<|start_header_id|>", "<|end_header_id|>", reserved(4), "<|eot_id|>");
  return filled(named, 5);
}

function specialTokens31(): string[] {
  const named = ["<|begin_of_text|>", "<|end_of_text|>", reserved(0), reserved(1)];
  named.push("<|finetune_right_pad_id|>", reserved(2), "<|start_header_id|>", "<|end_header_id|>");
  named.push("<|eom_id|>", "<|eot_id|>", "<|python_tag|>");
  return filled(named, 3);
}

function filled(named: readonly string[], nextReserved: number): string[] {
  const more = Array.from({ length: specialCount - named.length }, (_, index) =>
    reserved(nextReserved + index),
  );
  return [...named, ...more];
}
