import { JaugeError } from "../../errors.js";
import { numberChunks, stringChunks } from "../../gguf/arrays.js";
import type { MetadataArray, MetadataValue } from "../../gguf/metadata.js";
import type { SourceNote } from "../model.js";
import { readTokenizer } from "../tokenizers/read-tokenizer.js";
import { tokenTypes } from "../tokenizers/vocabulary.js";
import type { LegacyFile } from "./header.js";

/**
 * The keys of a model's tokenizer from its original files (a `tokenizer.model`, or a folder), in place of the texts that
 * the GGML file lists. These only tell whether both are of one model.
 *
 * Errors: those of `readTokenizer`; `tokenizer-other-model`.
 */
export async function originalTokenizer(
  { path, hyperparameters, vocabulary }: LegacyFile,
  tokenizer: string,
  onNote: (note: SourceNote) => void,
): Promise<Map<string, MetadataValue>> {
  const vocabularySize = hyperparameters.n_vocab;
  const keys = await readTokenizer({ tokenizer, config: {}, architecture: "llama", vocabularySize, onNote });
  const difference = await differenceOf(keys, vocabulary.texts);
  if (difference.count * 2 > difference.compared)
    throw new JaugeError("tokenizer-other-model", { path: tokenizer, model: path, ...difference });
  return keys;
}

/**
 * In how many ordinary tokens the two differ, and the first. Control and byte tokens the programs of 2023 wrote in
 * several ways, and some wrote nothing for tokens that were added.
 */
async function differenceOf(keys: Map<string, MetadataValue>, texts: readonly Buffer[]) {
  const types: number[] = [];
  for await (const chunk of numberChunks(arrayOf(keys, "tokenizer.ggml.token_type")))
    for (const type of chunk) types.push(type);
  let [id, compared, count] = [0, 0, 0];
  let first = { id: 0, text: "", expected: "" };
  for await (const tokens of stringChunks(arrayOf(keys, "tokenizer.ggml.tokens")))
    for (const token of tokens) {
      const found = texts[id]?.toString("utf8") ?? "";
      if (types[id] === tokenTypes.normal && found !== "") {
        const text = token.replaceAll("\u2581", " ");
        compared++;
        if (text !== found && count++ === 0) first = { id, text, expected: found };
      }
      id++;
    }
  return { ...first, compared, count };
}

function arrayOf(keys: Map<string, MetadataValue>, key: string): MetadataArray {
  const entry = keys.get(key);
  if (entry?.type !== "array") throw new RangeError(`${key} is no array`);
  return entry.value;
}
