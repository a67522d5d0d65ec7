import { JaugeError } from "../../errors.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import type { SourceNote } from "../model.js";
import { byteLevelKeys, isSentencePieceBpe } from "./byte-level.js";
import { readDefinition, type TokenizerDefinition } from "./definition.js";
import { addFamilyKeys } from "./families.js";
import { fastSentencePieceKeys } from "./fast-sentencepiece.js";
import { TokenizerFolder } from "./folder.js";
import { field, type JsonRecord } from "./json.js";
import { definitionFromMerges, definitionFromVocabularyText } from "./older-definitions.js";
import { readSentencePiece } from "./sentencepiece.js";
import { specialTokenKeys } from "./special-tokens.js";
import { isTiktoken, tiktokenKeys } from "./tiktoken.js";
import { wordPieceKeys } from "./wordpiece.js";

export interface TokenizerRequest {
  /** The folder of the tokenizer's files: that of the model, or of Meta's checkpoint. Absent: `tokenizer` is all there is. */
  folder?: string;
  /** A folder or a file with a vocabulary that a person names in its place. */
  tokenizer?: string;
  /** The parsed config.json; empty for Meta's checkpoints. */
  config: JsonRecord;
  /** The architecture's name in GGUF: `llama`, `qwen2`, `gemma3` … */
  architecture: string;
  /** Rows of the embedding. Missing tokens are filled up with `[PADn]`. */
  vocabularySize: number;
  /** The pre-tokenizer's name for `tokenizer.ggml.pre`, where its fingerprint is unknown. */
  pre?: string;
  /** Told what a person should know of the tokenizer. */
  onNote?: (note: SourceNote) => void;
}

/**
 * The metadata of a model's tokenizer: all keys `tokenizer.…` of its GGUF, as llama.cpp v0.5.0's converter writes them
 * but for what docs/TOKENIZERS.md names.
 *
 * Errors: `tokenizer-…`, `option-unused` for `pre`, `file-unreadable`.
 */
export async function readTokenizer(request: TokenizerRequest): Promise<Map<string, MetadataValue>> {
  const folder = await TokenizerFolder.open(request.folder, request.tokenizer);
  const found = await readVocabulary(folder, request);
  // kinds that have no choice of a pre-tokenizer take no name of one
  if (request.pre !== undefined && found.keys.get("tokenizer.ggml.pre")?.value !== request.pre)
    throw new JaugeError("option-unused", { path: folder.path, option: "--pre", reason: "tokenizer" });
  const tokens = found.keys.get("tokenizer.ggml.tokens");
  const tokenCount = tokens?.type === "array" ? tokens.value.count : 0;
  const { config } = request;
  const special = await specialTokenKeys({
    ...{ folder, config, tokenCount, document: found.document, defaults: found.defaults ?? {} },
  });
  const keys = new Map([...found.keys, ...special]);
  await addFamilyKeys(keys, folder, request, found.document, tokenCount);
  return keys;
}

/** A vocabulary's keys, and the definition from which special tokens are read. */
interface FoundVocabulary {
  keys: Map<string, MetadataValue>;
  document?: JsonRecord;
  defaults?: Record<string, number>;
}

/** Architectures whose tokenizers are byte-level BPE whatever else lies in the folder. */
const byteLevelFamilies = /^(gpt2|gptneox|falcon|olmo|olmo2|olmoe|stablelm|gpt-oss|bloom|mpt|starcoder2?)$/;

async function readVocabulary(folder: TokenizerFolder, request: TokenizerRequest): Promise<FoundVocabulary> {
  const { architecture } = request;
  if (/^(bert|nomic-bert)$/.test(architecture)) return readWordPiece(folder, request);
  if (/^(t5|t5encoder)$/.test(architecture)) return readT5(folder, request);
  const settings = await folder.setting("tokenizer_config.json");
  const isPhi4 = architecture === "phi3" && field(settings, "tokenizer_class") === "GPT2Tokenizer";
  const model = "tokenizer.model";
  if (!isPhi4 && !byteLevelFamilies.test(architecture) && (await folder.has(model))) {
    const content = await folder.bytes(model);
    if (!isTiktoken(content)) return readSentencePieceFamily(folder, request);
    if (!(await folder.has("tokenizer.json"))) return readTiktoken(folder, request, content);
  }
  if (architecture === "phi3" && !isPhi4) throw missing(folder, [model]);
  if (/^gemma2?$/.test(architecture)) throw missing(folder, [model]);
  return readByJson(folder, request);
}

async function readSentencePieceFamily(
  folder: TokenizerFolder,
  { architecture, vocabularySize, config, onNote }: TokenizerRequest,
): Promise<FoundVocabulary> {
  const rules = { phi3: architecture === "phi3" };
  const { keys, model, note } = await readSentencePiece(folder, "tokenizer.model", vocabularySize, rules);
  if (note) onNote?.(note);
  const document = (await folder.has("tokenizer.json")) ? await folder.record("tokenizer.json") : undefined;
  // Meta's checkpoints have no other files: the model itself says what its special tokens are
  const isAlone = Object.keys(config).length === 0 && !document;
  const special = isAlone ? withoutUndefined(model.special) : {};
  return { keys, defaults: special, ...(document && { document }) };
}

function withoutUndefined(ids: Record<string, number | undefined>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(ids).filter((entry): entry is [string, number] => entry[1] !== undefined),
  );
}

async function readTiktoken(
  folder: TokenizerFolder,
  { vocabularySize }: TokenizerRequest,
  content: Uint8Array,
): Promise<FoundVocabulary> {
  const isScaled = field(await folder.setting("params.json"), "use_scaled_rope") === true;
  return { keys: tiktokenKeys(content, folder.pathOf("tokenizer.model"), vocabularySize, isScaled) };
}

/** What tokenizer.json says it is, or vocab.json with merges.txt. */
async function readByJson(folder: TokenizerFolder, request: TokenizerRequest): Promise<FoundVocabulary> {
  const { architecture, vocabularySize, pre } = request;
  const definition = await findDefinition(folder);
  const { document } = definition;
  const type = String(field(document.model, "type") ?? "BPE");
  if (type !== "BPE") throw unsupported(definition, type, ["BPE"]);
  if (architecture === "llama" && isSentencePieceBpe(document))
    return { keys: await fastSentencePieceKeys(folder, definition, vocabularySize), document };
  return { keys: await byteLevelKeys(folder, definition, vocabularySize, pre), document };
}

async function findDefinition(folder: TokenizerFolder): Promise<TokenizerDefinition> {
  if (await folder.has("tokenizer.json")) return readDefinition(folder);
  if (!(await folder.has("vocab.json")) || !(await folder.has("merges.txt")))
    throw missing(folder, ["tokenizer.model", "tokenizer.json", "vocab.json + merges.txt"]);
  const settings = await folder.setting("tokenizer_config.json");
  const tokenizerClass = String(field(settings, "tokenizer_class") ?? "");
  const definition = await definitionFromMerges(folder, tokenizerClass);
  if (definition) return definition;
  const path = folder.pathOf("vocab.json");
  throw new JaugeError("tokenizer-unsupported", { path, kind: tokenizerClass, known: ["tokenizer.json"] });
}

async function readWordPiece(folder: TokenizerFolder, request: TokenizerRequest): Promise<FoundVocabulary> {
  const file = await folder.first("tokenizer.json", "vocab.txt");
  if (!file) throw missing(folder, ["tokenizer.json", "vocab.txt"]);
  const isJson = file === "tokenizer.json";
  const definition = await (isJson ? readDefinition(folder) : definitionFromVocabularyText(folder));
  const { document } = definition;
  const type = String(field(document.model, "type"));
  if (type !== "WordPiece") throw unsupported(definition, type, ["WordPiece"]);
  const { vocabularySize, pre, config } = request;
  return { keys: await wordPieceKeys(folder, definition, vocabularySize, pre, config), document };
}

async function readT5(
  folder: TokenizerFolder,
  { vocabularySize, onNote }: TokenizerRequest,
): Promise<FoundVocabulary> {
  const file = await folder.first("tokenizer.model", "spiece.model");
  if (!file) throw missing(folder, ["tokenizer.model", "spiece.model"]);
  const { keys, note } = await readSentencePiece(folder, file, vocabularySize, { t5: true });
  if (note) onNote?.(note);
  const document = (await folder.has("tokenizer.json")) ? await folder.record("tokenizer.json") : undefined;
  return { keys, ...(document && { document }) };
}

function missing(folder: TokenizerFolder, expected: string[]): JaugeError<"tokenizer-missing"> {
  return new JaugeError("tokenizer-missing", { path: folder.path, expected: expected.join(", ") });
}

function unsupported(
  definition: TokenizerDefinition,
  kind: string,
  known: string[],
): JaugeError<"tokenizer-unsupported"> {
  return new JaugeError("tokenizer-unsupported", { path: definition.path, kind, known });
}
