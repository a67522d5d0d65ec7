import type { MetadataValue } from "../../gguf/metadata.js";
import { gatherTokens } from "./byte-level.js";
import type { TokenizerDefinition } from "./definition.js";
import type { TokenizerFolder } from "./folder.js";
import { field, type JsonRecord } from "./json.js";
import { tokenTypes } from "./vocabulary.js";

/**
 * The keys of a WordPiece tokenizer: `bert`. llama.cpp marks beginnings of words by U+2581 where BERT marks the other
 * pieces by `##`.
 * Source: `BertModel.set_vocab` of llama.cpp's converter.
 */
export async function wordPieceKeys(
  folder: TokenizerFolder,
  definition: TokenizerDefinition,
  rows: number,
  pre: string | undefined,
  config: JsonRecord,
): Promise<Map<string, MetadataValue>> {
  const { vocabulary, name } = await gatherTokens(folder, definition, rows, pre);
  for (const [id, text] of vocabulary.tokens.entries()) {
    if (vocabulary.types[id] === tokenTypes.control) continue;
    vocabulary.tokens[id] = text.startsWith("##") ? text.slice(2) : `\u2581${text}`;
  }
  const keys = vocabulary.metadata("bert", name);
  const kinds = field(config, "type_vocab_size");
  const value = Number.isInteger(kinds) && (kinds as number) > 0 ? (kinds as number) : 1;
  keys.set("tokenizer.ggml.token_type_count", { type: "uint32", value });
  return keys;
}
