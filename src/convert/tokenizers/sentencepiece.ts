import { memoryArray } from "../../gguf/memory-array.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import type { SourceNote } from "../model.js";
import { malformed, problems, type TokenizerFolder } from "./folder.js";
import { asList, asRecord, asString, asTokenId, field, isRecord, type JsonRecord } from "./json.js";
import { parseSentencePieceModel, type SentencePieceModel } from "./sentencepiece-model.js";
import { looksSpecial, type TokenType, tokenTypes, Vocabulary, withSpaces } from "./vocabulary.js";

/** How the converter treats a family's SentencePiece models. */
export interface SentencePieceRules {
  /** Phi-3: added tokens also come from tokenizer.json, and only their `special` flag makes them control tokens. */
  phi3?: boolean;
  /** T5: written as `t5` with the model's own normalisation, and without the tokens of tokenizer_config.json. */
  t5?: boolean;
}

/**
 * The vocabulary of a SentencePiece model with the tokens that other files add to it.
 *
 * User-defined pieces of a BPE model are written as such, which the converter does not do: llama.cpp would take them
 * apart otherwise, where SentencePiece does not.
 * Tokens without a row in the embedding are left out, which `note` says; rows without a token become `[PADn]`.
 * Source: `_create_vocab_sentencepiece` of llama.cpp's converter, `set_vocab` of its Phi-3 and T5 models.
 */
export async function readSentencePiece(
  folder: TokenizerFolder,
  name: string,
  rows: number,
  rules: SentencePieceRules = {},
): Promise<{ keys: Map<string, MetadataValue>; model: SentencePieceModel; note?: SourceNote }> {
  const path = folder.pathOf(name);
  const model = parseSentencePieceModel(await folder.bytes(name), path);
  const vocabulary = new Vocabulary(path, rows, -10000);
  const isUnigram = rules.t5 && model.algorithm === "unigram";
  for (const [id, { text, score, type }] of model.pieces.slice(0, rows).entries()) {
    if (type !== tokenTypes.userDefined) vocabulary.set(id, text, type as TokenType, score);
    // the best path through a unigram model takes them by their score; as user-defined they would end a text's part
    else if (isUnigram) vocabulary.set(id, text, tokenTypes.normal, score);
    else vocabulary.set(id, withSpaces(text), tokenTypes.userDefined, score);
  }
  const leftOut = new Map(model.pieces.slice(rows).map(({ text }, index) => [rows + index, text]));
  for (const token of await addedTokens(folder, rules)) {
    if (token.id >= rows) {
      leftOut.set(token.id, token.text);
      continue;
    }
    const type = token.isControl ? tokenTypes.control : tokenTypes.userDefined;
    vocabulary.set(token.id, token.text, type, -1000);
  }
  const keys = vocabulary.metadata(isUnigram ? "t5" : "llama", "default", { withScores: true });
  if (isUnigram) addNormalisation(keys, model, path);
  else if (!model.addDummyPrefix) setSpacePrefix(keys, false);
  if (leftOut.size === 0) return { keys, model };
  const first = leftOut.get(Math.min(...leftOut.keys()))!;
  return { keys, model, note: { kind: "tokens-left-out", path, tokens: leftOut.size, rows, first } };
}

/** Whether a space is put before every text. */
export function setSpacePrefix(keys: Map<string, MetadataValue>, value: boolean): void {
  keys.set("tokenizer.ggml.add_space_prefix", { type: "bool", value });
}

function addNormalisation(keys: Map<string, MetadataValue>, model: SentencePieceModel, path: string): void {
  setSpacePrefix(keys, model.addDummyPrefix);
  const value = model.removeExtraWhitespaces;
  keys.set("tokenizer.ggml.remove_extra_whitespaces", { type: "bool", value });
  if (model.characterMap.length === 0) return;
  const map = memoryArray("uint8", [...model.characterMap], path);
  keys.set("tokenizer.ggml.precompiled_charsmap", { type: "array", value: map });
}

interface AddedToken {
  id: number;
  text: string;
  isControl: boolean;
}

/** In the order the converter sets them: the last one for an id stays. */
async function addedTokens(folder: TokenizerFolder, rules: SentencePieceRules): Promise<AddedToken[]> {
  const added: AddedToken[] = [];
  const refuse = (file: string, name: string) => (problem: string) =>
    malformed(folder.pathOf(file), name, problem);

  const map = (await folder.setting("added_tokens.json")) ?? {};
  for (const [text, id] of Object.entries(map))
    added.push({ id: asTokenId(id, refuse("added_tokens.json", text)), text, isControl: false });
  if (rules.t5) return added;

  const isControl = (token: JsonRecord, text: string) =>
    token.special === true || (!rules.phi3 && looksSpecial(text));
  const add = (id: number, token: JsonRecord, refuseContent: (problem: string) => Error) => {
    const text = asString(token.content, refuseContent);
    const control = isControl(token, text);
    added.push({ id, text: control || rules.phi3 ? text : withSpaces(text), isControl: control });
  };

  const config = "tokenizer_config.json";
  const decoder = field(await folder.setting(config), "added_tokens_decoder") ?? {};
  if (!isRecord(decoder)) throw refuse(config, "added_tokens_decoder")(problems.notA({ expected: "object" }));
  for (const [id, token] of Object.entries(decoder)) {
    const refuseToken = refuse(config, `added_tokens_decoder.${id}`);
    add(asTokenId(Number(id), refuseToken), asRecord(token, refuseToken), refuseToken);
  }
  if (rules.phi3 && (await folder.has("tokenizer.json"))) {
    const list = field(await folder.record("tokenizer.json"), "added_tokens") ?? [];
    for (const [index, item] of asList(list, refuse("tokenizer.json", "added_tokens")).entries()) {
      const refuseToken = refuse("tokenizer.json", `added_tokens[${index}]`);
      const token = asRecord(item, refuseToken);
      add(asTokenId(token.id, refuseToken), token, refuseToken);
    }
  }
  return added;
}
