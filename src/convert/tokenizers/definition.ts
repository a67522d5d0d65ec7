import { malformed, problems, type TokenizerFolder } from "./folder.js";
import {
  asList,
  asRecord,
  asString,
  asTokenId,
  field,
  isRecord,
  type JsonRecord,
  mostTokens,
} from "./json.js";
import { specialTokenTexts } from "./special-texts.js";

/** A tokenizer as `tokenizer.json` defines one, whichever files it comes from. */
export interface TokenizerDefinition {
  /** The file its vocabulary comes from, as errors name it. */
  path: string;
  /** The whole definition, with the added tokens below. */
  document: JsonRecord;
  /** Ids of the tokens of the model itself, by text. */
  vocabulary: Map<string, number>;
  /** Tokens added to the model's own, by text. */
  added: Map<string, AddedToken>;
}

export interface AddedToken {
  id: number;
  special: boolean;
  /** Whether it is looked for in the normalised text, not in the text as it is. */
  normalized: boolean;
  /** All its fields as in the file. */
  fields: JsonRecord;
}

/** Reads `tokenizer.json` and what tokenizer_config.json adds to it. Errors: `tokenizer-malformed`. */
export async function readDefinition(folder: TokenizerFolder): Promise<TokenizerDefinition> {
  const name = "tokenizer.json";
  const document = await folder.record(name);
  return defineTokenizer(folder, folder.pathOf(name), document);
}

/**
 * Completes a definition as `transformers` does when it loads one: the flags of tokenizer_config.json win, and the
 * special tokens it names are added tokens even where tokenizer.json does not list them.
 */
export async function defineTokenizer(
  folder: TokenizerFolder,
  path: string,
  document: JsonRecord,
): Promise<TokenizerDefinition> {
  const model = asRecord(document.model, (problem) => malformed(path, "model", problem));
  const vocabulary = readVocabulary(path, model);
  const added = new Map<string, AddedToken>();
  const owners = new Map<number, string>();
  let nextId = 0;
  const own = (id: number, text: string) => {
    owners.set(id, text);
    nextId = Math.max(nextId, id + 1);
  };
  for (const [text, id] of vocabulary) own(id, text);

  const add = (
    text: string,
    wanted: number | undefined,
    fields: JsonRecord,
    where: () => Error | undefined,
  ) => {
    const before = added.get(text);
    const id = vocabulary.get(text) ?? before?.id ?? wanted ?? nextId;
    const owner = owners.get(id);
    if (owner !== undefined && owner !== text)
      throw where() ?? malformed(path, "added_tokens", problems.idTaken({ id, text: owner }));
    own(id, text);
    const merged: JsonRecord = { ...before?.fields, ...fields, id, content: text };
    const special = merged.special === true;
    const normalized = typeof merged.normalized === "boolean" ? merged.normalized : !special;
    added.set(text, { id, special, normalized, fields: { ...merged, special, normalized } });
  };

  const list = document.added_tokens ?? [];
  for (const [index, item] of asList(list, (problem) => malformed(path, "added_tokens", problem)).entries()) {
    const refuse = (problem: string) => malformed(path, `added_tokens[${index}]`, problem);
    const token = asRecord(item, refuse);
    const text = asString(token.content, refuse);
    add(text, asTokenId(token.id, refuse), token, () => undefined);
  }
  await addConfigured(folder, add);
  for (const text of await specialTokenTexts(folder))
    if (!added.get(text)?.special) add(text, undefined, { special: true }, () => undefined);

  const addedTokens = [...added.values()].toSorted((a, b) => a.id - b.id).map(({ fields }) => fields);
  return { path, vocabulary, added, document: { ...document, added_tokens: addedTokens } };
}

type Add = (text: string, id: number, fields: JsonRecord, where: () => Error | undefined) => void;

async function addConfigured(folder: TokenizerFolder, add: Add): Promise<void> {
  const name = "tokenizer_config.json";
  const decoder = field(await folder.setting(name), "added_tokens_decoder");
  if (!isRecord(decoder)) return;
  for (const [key, value] of Object.entries(decoder)) {
    const refuse = (problem: string) =>
      malformed(folder.pathOf(name), `added_tokens_decoder.${key}`, problem);
    const id = asTokenId(Number(key), refuse);
    const token = asRecord(value, refuse);
    const text = asString(token.content, refuse);
    add(text, id, token, () => refuse(problems.idTaken({ id, text })));
  }
}

/** The vocabulary of a BPE or WordPiece model: text to id, each id once. */
function readVocabulary(path: string, model: JsonRecord): Map<string, number> {
  const entries = Object.entries(asRecord(model.vocab, (problem) => malformed(path, "model.vocab", problem)));
  if (entries.length > mostTokens)
    throw malformed(path, "model.vocab", problems.tooMany({ limit: mostTokens }));
  const vocabulary = new Map<string, number>();
  const texts = new Map<number, string>();
  for (const [text, value] of entries) {
    const refuse = (problem: string) => malformed(path, `model.vocab[${JSON.stringify(text)}]`, problem);
    const id = asTokenId(value, refuse);
    const owner = texts.get(id);
    if (owner !== undefined) throw refuse(problems.idTaken({ id, text: owner }));
    texts.set(id, text);
    vocabulary.set(text, id);
  }
  return vocabulary;
}
