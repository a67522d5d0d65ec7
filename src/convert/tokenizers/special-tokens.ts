import type { MetadataValue } from "../../gguf/metadata.js";
import { chatTemplateKeys } from "./chat-template.js";
import { malformed, problems, type TokenizerFolder } from "./folder.js";
import { field, isRecord, type JsonRecord } from "./json.js";
import { tokenText } from "./special-texts.js";

export const specialKinds = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] as const;

/** GGUF's key of each kind of special token; the converter writes no others. */
const idKeys: Record<string, string> = {
  bos: "bos_token_id",
  eos: "eos_token_id",
  eot: "eot_token_id",
  eom: "eom_token_id",
  unk: "unknown_token_id",
  sep: "seperator_token_id",
  pad: "padding_token_id",
  mask: "mask_token_id",
};
const addKeys: Record<string, string> = { bos: "add_bos_token", eos: "add_eos_token", sep: "add_sep_token" };

export interface SpecialTokensRequest {
  folder: TokenizerFolder;
  /** config.json. */
  config: JsonRecord;
  /** The tokenizer.json, or one made in its place; absent where there is none. */
  document: JsonRecord | undefined;
  /** Ids at or above it name no token and are passed over. */
  tokenCount: number;
  kinds?: readonly string[];
  /** Ids of kinds that the files do not state. */
  defaults?: Record<string, number>;
}

/**
 * The keys of the special tokens, of what is added around texts, of the chat templates and of the normaliser.
 *
 * An id comes from the text that tokenizer_config.json gives for a kind, among the added tokens of tokenizer.json;
 * else from config.json. What the post-processor of tokenizer.json adds counts where the configuration says nothing.
 * Source: `SpecialVocab` of gguf-py.
 */
export async function specialTokenKeys(request: SpecialTokensRequest): Promise<Map<string, MetadataValue>> {
  const { folder, config, document, tokenCount, defaults = {} } = request;
  const configured = await folder.setting("tokenizer_config.json");
  const settings: JsonRecord = { ...configured };
  const kinds = [...(request.kinds ?? specialKinds)];
  const adds = new Map<string, boolean>();
  if (document) {
    if (!isSet(settings.bos_token) && isSet(settings.cls_token)) settings.bos_token = settings.cls_token;
    if (!isSet(settings.eos_token) && isSet(settings.sep_token)) settings.eos_token = settings.sep_token;
    readPostProcessor(field(document, "post_processor"), settings, configured !== undefined, kinds, adds);
  }

  const ids = new Map<string, number>();
  const setId = (kind: string, id: unknown, where: () => Error) => {
    if (!Number.isInteger(id) || ids.has(kind)) return;
    if ((id as number) < 0) throw where();
    if ((id as number) < tokenCount) ids.set(kind, id as number);
  };
  if (configured) {
    const added = listOf(field(document, "added_tokens"));
    for (const kind of kinds) {
      const add = field(settings, `add_${kind}_token`);
      if (typeof add === "boolean") adds.set(kind, add);
      const text = tokenText(field(settings, `${kind}_token`));
      if (text === undefined) continue;
      const token = added.find((token) => field(token, "content") === text);
      setId(kind, field(token, "id"), () => outOfRange(folder, "tokenizer.json", "added_tokens", token));
    }
  }
  for (const kind of kinds) {
    const name = `${kind}_token_id`;
    const id = field(config, name) ?? field(field(config, "text_config"), name);
    setId(kind, id, () => outOfRange(folder, "config.json", name, { id }));
  }
  for (const [kind, id] of Object.entries(defaults)) setId(kind, id, () => new RangeError(kind));

  const keys = new Map<string, MetadataValue>();
  for (const [kind, id] of ids) {
    const key = idKeys[kind];
    if (key) keys.set(`tokenizer.ggml.${key}`, { type: "uint32", value: id });
  }
  for (const [kind, value] of adds) {
    const key = addKeys[kind];
    if (key) keys.set(`tokenizer.ggml.${key}`, { type: "bool", value });
  }
  for (const [key, value] of await chatTemplateKeys(folder)) keys.set(key, value);
  addNormaliser(field(document, "normalizer"), keys);
  return keys;
}

function outOfRange(folder: TokenizerFolder, file: string, name: string, token: unknown): Error {
  const value = Number(field(token, "id"));
  return malformed(folder.pathOf(file), name, problems.outOfRange({ value, low: 0, high: 2 ** 22 - 1 }));
}

const isSet = (value: unknown) => Boolean(value);
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/**
 * Guesses from the post-processor what is added around a text: only from simple templates, as the converter does.
 * Changes the settings (a template's own first and last token are the start and end tokens), kinds and adds.
 */
function readPostProcessor(
  value: unknown,
  settings: JsonRecord,
  hasSettings: boolean,
  kinds: string[],
  adds: Map<string, boolean>,
): void {
  if (!isRecord(value)) return;
  const processors = listOf(field(value, "processors") ?? [value]);
  const special = {
    bos: tokenText(settings.bos_token),
    cls: tokenText(settings.cls_token),
    eos: tokenText(settings.eos_token),
    sep: tokenText(settings.sep_token),
  };
  const adopt = (kind: "bos" | "cls" | "eos" | "sep", text: unknown) => {
    if (hasSettings) settings[`${kind}_token`] = text;
    special[kind] = tokenText(text);
  };
  for (const processor of processors) {
    const type = field(processor, "type");
    if (type === "RobertaProcessing") {
      for (const kind of ["bos", "eos", "sep"]) adds.set(kind, true);
      if (!isSet(special.cls) && hasSettings) adopt("cls", listOf(field(processor, "cls"))[0] ?? special.bos);
      if (!isSet(special.sep) && hasSettings) adopt("sep", listOf(field(processor, "sep"))[0] ?? special.eos);
    } else if (type === "TemplateProcessing") {
      const single = listOf(field(processor, "single"));
      const [first, last] = single.length > 1 ? [specialOf(single[0]), specialOf(single.at(-1))] : [];
      if (first) {
        if (!hasSettings) special.bos = first;
        else if (!isAny(first, special.bos, special.cls)) {
          if (!isSet(special.bos)) adopt("bos", first);
          if (!isSet(special.cls)) adopt("cls", first);
        }
        adds.set("bos", isAny(first, special.bos, special.cls));
      }
      if (last) {
        if (!hasSettings) special.eos = last;
        else if (!isAny(last, special.eos)) {
          const kind = ["eot", "eom"].find((kind) => !kinds.includes(kind));
          if (kind) {
            kinds.push(kind);
            settings[`${kind}_token`] = special.eos;
          }
          adopt("eos", last);
        }
        adds.set("eos", true);
      }
      const pair = listOf(field(processor, "pair"));
      if (pair.length > 0) readPair(pair, first, last, special, hasSettings ? settings : undefined, adds);
    }
  }
}

/** What stands between the two texts of a pair: `A [sep] [eos] B`. */
function readPair(
  pair: unknown[],
  first: string | undefined,
  last: string | undefined,
  special: { eos: string | undefined; sep: string | undefined },
  settings: JsonRecord | undefined,
  adds: Map<string, boolean>,
): void {
  const start = first && specialOf(pair[0]) === first ? 1 : 0;
  const stop = last && specialOf(pair.at(-1)) === last ? -1 : undefined;
  const inner = pair.slice(start, stop);
  if (field(field(inner[0], "Sequence"), "id") !== "A") return;
  if (field(field(inner.at(-1), "Sequence"), "id") !== "B") return;
  const between = inner.slice(1, -1);
  if (between.length === 0) return;
  const separator = specialOf(between[0]);
  let addsSeparator = separator !== undefined && isAny(separator, special.sep, special.eos) && !last;
  const second = between.length === 2 ? specialOf(between[1]) : undefined;
  if (second && isAny(second, special.sep, special.eos)) addsSeparator = true;
  adds.set("sep", addsSeparator);
  if (addsSeparator && !isSet(special.sep) && settings) settings.sep_token = special.eos;
}

const specialOf = (item: unknown): string | undefined => {
  const id = field(field(item, "SpecialToken"), "id");
  return typeof id === "string" && id !== "" ? id : undefined;
};
const isAny = (text: string, ...tokens: unknown[]) => tokens.some((token) => token === text);

function addNormaliser(value: unknown, keys: Map<string, MetadataValue>): void {
  const set = (name: string, flag: unknown) => {
    const key = `tokenizer.ggml.normalizer.${name}`;
    if (typeof flag === "boolean") keys.set(key, { type: "bool", value: flag });
    else if (flag === null) keys.delete(key);
  };
  const pending: unknown[] = [value];
  for (let normaliser = pending.shift(); normaliser !== undefined; normaliser = pending.shift()) {
    const type = field(normaliser, "type");
    if (type === "Lowercase") set("lowercase", true);
    else if (type === "StripAccents") set("strip_accents", true);
    else if (type === "BertNormalizer") {
      set("lowercase", field(normaliser, "lowercase"));
      set("strip_accents", field(normaliser, "strip_accents"));
    } else if (type === "Sequence")
      for (const inner of listOf(field(normaliser, "normalizers"))) pending.push(inner);
  }
}
