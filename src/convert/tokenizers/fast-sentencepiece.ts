import type { MetadataValue } from "../../gguf/metadata.js";
import type { TokenizerDefinition } from "./definition.js";
import { malformed, problems, type TokenizerFolder } from "./folder.js";
import { field } from "./json.js";
import { readMerges } from "./merges.js";
import { specialTokenTexts } from "./special-texts.js";
import { tokenTypes, Vocabulary } from "./vocabulary.js";

/**
 * The keys of SentencePiece's BPE where only the fast tokenizer's tokenizer.json is there: `llama`.
 *
 * llama.cpp joins what gives the token of the highest score. The scores are therefore the order of the merges, as in
 * SentencePiece's own models; the converter gives all tokens the same score, which joins from left to right.
 * Source: `LlamaHfVocab` of gguf-py, for all but the scores.
 */
export async function fastSentencePieceKeys(
  folder: TokenizerFolder,
  definition: TokenizerDefinition,
  rows: number,
): Promise<Map<string, MetadataValue>> {
  const { path, document, added } = definition;
  const scores = scoresOf(await readMerges(folder, document, path), path);
  const vocabulary = new Vocabulary(path, rows, -10000);
  const unmerged = -scores.size - 1000;
  const special = await specialTokenTexts(folder);
  const unknown = field(document.model, "unk_token");
  for (const [text, id] of definition.vocabulary) {
    vocabulary.expectRoom(id + 1);
    const isControl = special.has(text) || added.get(text)?.special === true;
    const ordinary = text === unknown ? tokenTypes.unknown : tokenTypes.normal;
    const type = /^<0x[0-9A-Fa-f]{2}>$/.test(text) ? tokenTypes.byte : ordinary;
    vocabulary.set(id, text, isControl ? tokenTypes.control : type, scores.get(text) ?? unmerged);
  }
  for (const [text, token] of added) {
    if (definition.vocabulary.has(text)) continue;
    vocabulary.expectRoom(token.id + 1);
    const isControl = special.has(text) || token.special;
    vocabulary.set(token.id, text, isControl ? tokenTypes.control : tokenTypes.userDefined, -1000);
  }
  return vocabulary.metadata("llama", "default", { withScores: true });
}

/** By the text that a merge makes: the earlier the merge, the higher. */
function scoresOf(merges: readonly string[], path: string): Map<string, number> {
  if (merges.length === 0) throw malformed(path, "model.merges", problems.missing());
  const scores = new Map<string, number>();
  for (const merge of merges) {
    const text = merge.replace(" ", "");
    if (!scores.has(text)) scores.set(text, -scores.size);
  }
  return scores;
}
