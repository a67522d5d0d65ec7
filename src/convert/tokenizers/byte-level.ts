import { memoryArray } from "../../gguf/memory-array.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import type { TokenizerDefinition } from "./definition.js";
import { tryTokenizer } from "./fingerprint.js";
import { malformed, problems, type TokenizerFolder } from "./folder.js";
import { field } from "./json.js";
import { readMerges } from "./merges.js";
import { looksSpecial, tokenTypes, Vocabulary, withSpaces } from "./vocabulary.js";

/**
 * The keys of a byte-level BPE tokenizer: `gpt2`. `pre` names its pre-tokenizer where the fingerprint is unknown.
 * Source: `_set_vocab_gpt2` of llama.cpp's converter.
 */
export async function byteLevelKeys(
  folder: TokenizerFolder,
  definition: TokenizerDefinition,
  rows: number,
  pre: string | undefined,
): Promise<Map<string, MetadataValue>> {
  const { path, document } = definition;
  const merges = await readMerges(folder, document, path);
  if (merges.length === 0) throw malformed(path, "model.merges", problems.missing());
  const { vocabulary, name } = await gatherTokens(folder, definition, rows, pre);
  const keys = vocabulary.metadata("gpt2", name);
  keys.set("tokenizer.ggml.merges", { type: "array", value: memoryArray("string", merges, path) });
  return keys;
}

/**
 * All tokens of a definition by id, with the name of its pre-tokenizer. Also for WordPiece.
 * Source: `get_vocab_base` of llama.cpp's converter.
 */
export async function gatherTokens(
  folder: TokenizerFolder,
  definition: TokenizerDefinition,
  rows: number,
  pre: string | undefined,
): Promise<{ vocabulary: Vocabulary; name: string }> {
  const vocabulary = new Vocabulary(definition.path, rows);
  let tokens = 0;
  for (const id of definition.vocabulary.values()) tokens = Math.max(tokens, id + 1);
  for (const { id } of definition.added.values()) tokens = Math.max(tokens, id + 1);
  vocabulary.expectRoom(tokens);
  const trial = await tryTokenizer(folder, definition, pre);
  for (const [text, id] of definition.vocabulary) vocabulary.set(id, text, tokenTypes.normal);
  for (const [text, { id, special, normalized }] of definition.added) {
    const spelling = normalized ? text : trial.spelling(text);
    if (special || looksSpecial(spelling)) vocabulary.set(id, spelling, tokenTypes.control);
    else vocabulary.set(id, withSpaces(spelling), tokenTypes.userDefined);
  }
  return { vocabulary, name: trial.pre };
}

/** Whether a tokenizer.json is SentencePiece's BPE in the form of a fast tokenizer: characters, bytes where they miss. */
export function isSentencePieceBpe(document: unknown): boolean {
  const model = field(document, "model");
  return (
    field(model, "type") === "BPE" &&
    field(model, "byte_fallback") === true &&
    field(field(document, "decoder"), "type") === "Sequence"
  );
}
