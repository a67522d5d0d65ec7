import type { WritableValue } from "../../gguf/encode.js";
import type { LegacyVocabulary } from "./header.js";

/** Kinds of tokens, by their numbers in `tokenizer.ggml.token_type`: `llama_token_type` of llama.h. */
const kinds = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

/** Tokens 3 to 258 of LLaMA's vocabulary are the bytes 0 to 255; pieces of text begin at 259. */
const firstByte = 3;
const firstPiece = firstByte + 256;
/** Tokens of the vocabulary that LLaMA was trained with; what others added stands behind. */
const originalTokens = 32000;

const replacementCharacter = Buffer.from("\ufffd");

/**
 * The vocabulary as GGUF's keys state it, from the texts and scores of a file.
 *
 * Files have the text a token stands for, where GGUF has the piece of SentencePiece: a space is "▁" there, a byte
 * "<0x0A>". The first three tokens are unknown, beginning and end of sequence by convention, whatever their text.
 * Files of before 15 March 2023 have "\ufffd" for bytes that are no character alone; their numbers still tell which.
 *
 * Scores: where a file has none, or nothing but zeros (llama.cpp's own upgrade of old files wrote those), token 259 + n
 * gets −n. Those are the scores of LLaMA's `tokenizer.model`, in which pieces stand in the order they were merged.
 *
 * Source: convert-pth-to-ggml.py of llama.cpp until 30 March 2023; convert_llama_ggml_to_gguf.py of v0.5.0.
 */
export function vocabularyMetadata(
  { texts, scores }: LegacyVocabulary,
  count: number,
): Map<string, WritableValue> {
  const withBytes = hasByteTokens(texts);
  const tokens: string[] = [];
  const types: number[] = [];
  for (let id = 0; id < count; id++) {
    const { text, kind } = tokenOf(id, texts[id], withBytes);
    tokens.push(text);
    types.push(kind);
  }
  makeUnique(tokens);
  const given = scores?.some((score) => score !== 0) ? scores : undefined;
  const ranked = given ?? Float32Array.from({ length: count }, (_, id) => synthesisedScore(id, withBytes));
  const padding = tokens.findIndex((text, id) => id > 2 && /^(<pad>|\[PAD\])$/.test(text));
  const token = (value: number) => ({ type: "uint32" as const, value });
  return new Map<string, WritableValue>([
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    ["tokenizer.ggml.pre", { type: "string", value: "default" }],
    ["tokenizer.ggml.tokens", { type: "array", value: { elementType: "string", items: tokens } }],
    ["tokenizer.ggml.scores", { type: "array", value: { elementType: "float32", items: [...ranked] } }],
    ["tokenizer.ggml.token_type", { type: "array", value: { elementType: "int32", items: types } }],
    ["tokenizer.ggml.unknown_token_id", token(0)],
    ["tokenizer.ggml.bos_token_id", token(1)],
    ["tokenizer.ggml.eos_token_id", token(2)],
    ...(padding < 0 ? [] : [["tokenizer.ggml.padding_token_id", token(padding)] as const]),
  ]);
}

function tokenOf(id: number, bytes: Buffer | undefined, withBytes: boolean): { text: string; kind: number } {
  if (id === 0) return { text: "<unk>", kind: kinds.unknown };
  if (id === 1) return { text: "<s>", kind: kinds.control };
  if (id === 2) return { text: "</s>", kind: kinds.control };
  // the token that gpt4all.cpp adds where its file lists one too few
  if (!bytes) return { text: "<pad>", kind: kinds.control };
  const byte = id - firstByte;
  if (byte < 256 && (withBytes || (bytes.length === 1 && bytes[0] === byte)))
    return { text: `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, kind: kinds.byte };
  if (bytes.length === 0) return { text: `[EMPTY_${id}]`, kind: kinds.control };
  const text = bytes.toString("utf8");
  if (id >= originalTokens && looksSpecial(text)) return { text, kind: kinds.control };
  return { text: text.replaceAll(" ", "\u2581"), kind: kinds.normal };
}

/** Whether tokens 3 to 258 are the bytes, as such or as what the first converter made of them. */
function hasByteTokens(texts: readonly Buffer[]): boolean {
  if (texts.length < firstPiece) return false;
  for (let byte = 0; byte < 256; byte++) {
    const text = texts[firstByte + byte]!;
    const itself = text.length === 1 && text[0] === byte;
    if (!itself && !(byte >= 0x80 && text.equals(replacementCharacter))) return false;
  }
  return true;
}

function synthesisedScore(id: number, withBytes: boolean): number {
  const first = withBytes ? firstPiece : firstByte;
  return id <= first ? 0 : first - id;
}

/** Tokens that were added to steer a model: <pad>, [PAD], <|im_start|>. */
function looksSpecial(text: string): boolean {
  return /^(<[^<> ]+>|\[[A-Z]+\])$/.test(text);
}

/** llama.cpp ends the process where two tokens have the same text; all but the first get their number behind it. */
function makeUnique(tokens: string[]): void {
  const all = new Set(tokens);
  if (all.size === tokens.length) return;
  const taken = new Set<string>();
  for (const [id, text] of tokens.entries()) {
    let unique = text;
    if (taken.has(text)) {
      unique = `${text}[${id}]`;
      while (all.has(unique)) unique += "]";
      tokens[id] = unique;
      all.add(unique);
    }
    taken.add(unique);
  }
}
