import { numberChunks } from "./arrays.js";
import { isSoundCharacterMap } from "./character-map.js";
import { expectRange, invalid, problems } from "./invalid.js";
import type { MetadataArray } from "./metadata.js";
import type { ModelFile } from "./model-file.js";
import { readTokenTexts } from "./token-texts.js";

const mostTokens = 2 ** 22;
/** llama.cpp puts tokens into a trie by recursion (t5, rwkv), one stack frame a byte. */
const longestToken = 16 * 1024;
/** PLaMo-2's tokenizer builds every suffix of every token, and all prefixes of each. */
const longestPlamoToken = 256;
const byteTokenType = 6;

/** What llama.cpp takes for the special tokens a file does not name. Source: `llama_vocab::impl::load`. */
interface Defaults {
  bos?: number;
  eos?: number;
  sep?: number;
  addBos?: boolean;
  addEos?: boolean;
}
const tokenizers: Record<string, Defaults> = {
  llama: { bos: 1, eos: 2, addBos: true },
  bert: { bos: 101, sep: 102, addBos: true },
  gpt2: { bos: 11, eos: 11 },
  hybriddna: { bos: 11, eos: 11 },
  whitespace: { bos: 11, eos: 11 },
  gemma4: { addBos: true },
  t5: { eos: 1, addEos: true },
  rwkv: {},
  plamo2: {},
  test: {},
};
/** Pre-tokenizers of `gpt2` that add a start token by themselves, and those that have none. */
const preAddsBos =
  /^(llama3|llama-v3|llama-bpe|falcon3|falcon-h1|pixtral|midm-2\.0|lfm2|jina-v5-nano|tekken|chameleon)$/;
const preWithoutBos = /^(glm4|chatglm-bpe)$/;

/**
 * Checks the vocabulary where llama.cpp would abort, at load or at the first text: repeated tokens, bytes without a
 * token, a start token that is added but does not exist, a character map that points outside itself.
 */
export async function validateVocabulary(model: ModelFile): Promise<void> {
  const { metadata } = model;
  const field = "tokenizer.ggml.model";
  const tokenizer = metadata.string(field);
  if (tokenizer === undefined) throw invalid(model, field, problems.missing());
  const defaults = Object.hasOwn(tokenizers, tokenizer) ? tokenizers[tokenizer] : undefined;
  if (!defaults) {
    const allowed = Object.keys(tokenizers).join(", ");
    throw invalid(model, field, problems.notOneOf({ value: tokenizer, allowed }));
  }
  const tokens = metadata.array("tokenizer.ggml.tokens");
  if (!tokens) throw invalid(model, "tokenizer.ggml.tokens", problems.missing());
  expectElements(model, "tokenizer.ggml.tokens", tokens, ["string"]);
  expectRange(model, "tokenizer.ggml.tokens", tokens.count, 1, mostTokens);

  validateSpecialTokens(model, tokenizer, defaults, tokens.count);
  await validateTexts(model, tokenizer, tokens);
  await validateScores(model, tokens.count);
  await validateTypes(model, tokenizer, tokens.count);
  if (tokenizer === "t5") await validateCharacterMap(model);
}

/** Where a start, end or separator token is added to every text, it must exist. */
function validateSpecialTokens(model: ModelFile, tokenizer: string, defaults: Defaults, count: number): void {
  const { metadata } = model;
  const pre = metadata.string("tokenizer.ggml.pre") ?? "";
  const exists = (key: string, fallback: number | undefined) => {
    const id = metadata.number(key);
    return (id !== undefined && id >= 0 && id < count) || (fallback !== undefined && fallback < count);
  };
  const expect = (key: string, fallback: number | undefined) => {
    if (exists(key, fallback)) return;
    const value = metadata.number(key);
    if (value === undefined) throw invalid(model, key, problems.missing());
    throw invalid(model, key, problems.outOfRange({ value, low: 0, high: count - 1 }));
  };
  const isBpe = tokenizer === "gpt2";
  const addBos =
    metadata.boolean("tokenizer.ggml.add_bos_token") ?? (defaults.addBos || (isBpe && preAddsBos.test(pre)));
  const addsBosAnyway = tokenizer === "bert" || tokenizer === "gemma4" || pre === "gemma4";
  if (addBos || addsBosAnyway)
    expect("tokenizer.ggml.bos_token_id", isBpe && preWithoutBos.test(pre) ? undefined : defaults.bos);
  if (metadata.boolean("tokenizer.ggml.add_eos_token") ?? defaults.addEos)
    expect("tokenizer.ggml.eos_token_id", defaults.eos);
  if (tokenizer === "bert") expect("tokenizer.ggml.seperator_token_id", defaults.sep);
}

async function validateTexts(model: ModelFile, tokenizer: string, tokens: MetadataArray): Promise<void> {
  const field = "tokenizer.ggml.tokens";
  const limit = tokenizer === "plamo2" ? longestPlamoToken : longestToken;
  const texts = await readTokenTexts(tokens, limit);
  if (texts.tooLong) throw invalid(model, field, problems.tokenTooLong({ ...texts.tooLong, limit }));
  if (texts.repeated) {
    const [first, second] = texts.repeated;
    throw invalid(model, field, problems.tokenRepeated({ first, second }));
  }
  // RWKV's tokenizer starts over, for ever, where a text begins like a token but holds none
  if (tokenizer === "rwkv") {
    const stuck = texts.startsToken.findIndex((starts, byte) => starts === 1 && texts.isToken[byte] === 0);
    if (stuck >= 0) throw invalid(model, field, problems.noByteTokens({ byte: hexadecimal(stuck) }));
  }
  // these tokenizers write what no token covers byte by byte
  if (tokenizer !== "llama" && tokenizer !== "plamo2") return;
  const missing = texts.hasByte.indexOf(0);
  if (missing >= 0) throw invalid(model, field, problems.noByteTokens({ byte: hexadecimal(missing) }));
}

function hexadecimal(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}

async function validateScores(model: ModelFile, tokens: number): Promise<void> {
  const field = "tokenizer.ggml.scores";
  const scores = model.metadata.array(field);
  if (!scores) return;
  expectElements(model, field, scores, ["float32", "int32"]);
  expectCovers(model, field, scores, tokens);
  for await (const chunk of numberChunks(scores)) {
    const bad = chunk.find((score) => Number.isNaN(score));
    if (bad !== undefined) throw invalid(model, field, problems.notFinite({ value: bad }));
  }
}

async function validateTypes(model: ModelFile, tokenizer: string, tokens: number): Promise<void> {
  const field = "tokenizer.ggml.token_type";
  const types = model.metadata.array(field);
  if (!types) return;
  expectElements(model, field, types, ["int32"]);
  expectCovers(model, field, types, tokens);
  // asked for the byte of such a token, WordPiece aborts
  if (tokenizer !== "bert") return;
  let token = 0;
  for await (const chunk of numberChunks(types)) {
    const at = chunk.indexOf(byteTokenType);
    if (at >= 0) throw invalid(model, field, problems.badToken({ token: token + at }));
    token += chunk.length;
  }
}

async function validateCharacterMap(model: ModelFile): Promise<void> {
  const field = "tokenizer.ggml.precompiled_charsmap";
  const map = model.metadata.array(field);
  if (!map || map.count === 0) return;
  expectElements(model, field, map, ["int8", "uint8"]);
  if (!(await isSoundCharacterMap(map))) throw invalid(model, field, problems.badCharsmap());
}

function expectElements(model: ModelFile, field: string, array: MetadataArray, allowed: string[]): void {
  if (allowed.includes(array.elementType)) return;
  throw invalid(
    model,
    field,
    problems.wrongType({ found: array.elementType, expected: allowed.join(" | ") }),
  );
}

function expectCovers(model: ModelFile, field: string, array: MetadataArray, tokens: number): void {
  if (array.count < tokens)
    throw invalid(model, field, problems.fewerThanTokens({ count: array.count, tokens }));
}
