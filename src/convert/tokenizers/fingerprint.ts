import { createHash } from "node:crypto";
import { JaugeError } from "../../errors.js";
import type { TokenizerDefinition } from "./definition.js";
import { fingerprints, preTokenizers } from "./fingerprints.js";
import type { TokenizerFolder } from "./folder.js";
import { field } from "./json.js";
import { tokenText } from "./special-texts.js";
import { runTokenizer, type TokenizerAnswers } from "./tokenizer-process.js";

/**
 * A text that pre-tokenizers cut up differently: white space, digits, contractions, many scripts.
 * Source: `chktxt` of llama.cpp's converter; any other text would give other fingerprints.
 */
export const checkText =
  "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n" +
  "🚀 (normal) 😶\u200d🌫️ (multiple emojis concatenated) ✅ 🦙🦙 " +
  "3 33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 " +
  "\u1780\u17b6\u1793\u17cb\u178f\u17c2\u1796\u17b7\u179f\u17c1\u179f\u17a2\u17b6\u1785😁 ?" +
  "我想在apple工作1314151天～ ------======= нещо на Български " +
  "''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? " +
  "'M not sure I'll make it, 'D you like some tea? We'Ve a'lL";

/** What running a tokenizer tells of it. */
export interface TokenizerTrial {
  /** Its name of `tokenizer.ggml.pre`. */
  pre: string;
  /** How an added token comes back that is looked for in the text as it is. */
  spelling: (text: string) => string;
}

/**
 * Runs the tokenizer: over the check text, to know its pre-tokenizer, and over its added tokens.
 *
 * With `pre` the fingerprint is not looked up; then a tokenizer that cannot be run is accepted as it is.
 * Errors: `tokenizer-fingerprint-unknown`, `tokenizer-pre-unknown`, `tokenizer-unusable`.
 */
export async function tryTokenizer(
  folder: TokenizerFolder,
  definition: TokenizerDefinition,
  pre: string | undefined,
): Promise<TokenizerTrial> {
  if (pre !== undefined) expectPre(pre);
  const texts = [...definition.added].filter(([, token]) => !token.normalized).map(([text]) => text);
  const settings = (await folder.setting("tokenizer_config.json")) ?? {};
  let answers: TokenizerAnswers;
  try {
    answers = await runTokenizer(definition.path, {
      document: definition.document,
      settings,
      checkText,
      texts,
    });
  } catch (error) {
    if (pre === undefined) throw error;
    return { pre, spelling: (text) => text };
  }
  const spellings = new Map(texts.map((text, index) => [text, answers.spellings[index] ?? text]));
  return {
    pre: pre ?? (await lookUp(folder, definition, answers)),
    spelling: (text) => spellings.get(text) ?? text,
  };
}

/** The SHA-256 that names a tokenizer by the ids it gives for the check text. */
export function fingerprintOf(ids: readonly number[]): string {
  return createHash("sha256")
    .update(`[${ids.join(", ")}]`)
    .digest("hex");
}

async function lookUp(
  folder: TokenizerFolder,
  definition: TokenizerDefinition,
  { ids, bareIds }: TokenizerAnswers,
): Promise<string> {
  const asLlama = await withLlamaTokens(folder, definition, bareIds);
  const hash = fingerprintOf(asLlama ?? ids);
  const name = knownName(hash) ?? knownName(fingerprintOf(ids));
  if (name === undefined)
    throw new JaugeError("tokenizer-fingerprint-unknown", { path: definition.path, hash });
  return name;
}

function knownName(hash: string): string | undefined {
  return Object.hasOwn(fingerprints, hash) ? fingerprints[hash] : undefined;
}

/**
 * The ids with the start and end tokens that `transformers` gives a tokenizer of its Llama class, whatever
 * tokenizer.json says of them; `undefined` for other classes.
 */
async function withLlamaTokens(
  folder: TokenizerFolder,
  definition: TokenizerDefinition,
  bareIds: readonly number[],
): Promise<number[] | undefined> {
  const settings = await folder.setting("tokenizer_config.json");
  if (!/^(Code)?Llama/.test(String(field(settings, "tokenizer_class")))) return undefined;
  const idOf = (kind: string) => definition.added.get(tokenText(field(settings, kind)) ?? "")?.id;
  const start = field(settings, "add_bos_token") === false ? undefined : idOf("bos_token");
  const end = field(settings, "add_eos_token") === true ? idOf("eos_token") : undefined;
  return [start, ...bareIds, end].filter((id) => id !== undefined);
}

const namesWithoutLoader = ["bert-bge", "bert-bge-large", "jina-v2-en"];

function expectPre(pre: string): void {
  if (preTokenizers.includes(pre) || namesWithoutLoader.includes(pre)) return;
  throw new JaugeError("tokenizer-pre-unknown", { pre, known: [...preTokenizers] });
}
