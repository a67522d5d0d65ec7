import { defineTokenizer, type TokenizerDefinition } from "./definition.js";
import { malformed, problems, type TokenizerFolder } from "./folder.js";
import { asTokenId, field, type JsonRecord, mostTokens } from "./json.js";
import { parseMergesText } from "./merges.js";
import { specialTokenTexts } from "./special-texts.js";

/**
 * The tokenizer.json that `transformers` makes of vocab.json and merges.txt. Known for the classes of GPT-2 and Qwen 2;
 * `undefined` for others, whose pre-tokenizers these files do not tell.
 */
export async function definitionFromMerges(
  folder: TokenizerFolder,
  tokenizerClass: string,
): Promise<TokenizerDefinition | undefined> {
  const family = /^(GPT2|Qwen2|)Tokenizer(Fast)?$/.exec(tokenizerClass || "Tokenizer");
  if (!family) return undefined;
  const settings = await folder.setting("tokenizer_config.json");
  const vocab = await folder.record("vocab.json");
  const merges = parseMergesText(await folder.text("merges.txt"));
  const byteLevel = { type: "ByteLevel", trim_offsets: true, use_regex: true };
  const prefix = { add_prefix_space: field(settings, "add_prefix_space") === true };
  const isQwen = family[1] === "Qwen2";
  const document: JsonRecord = {
    normalizer: isQwen ? { type: "NFC" } : null,
    pre_tokenizer: isQwen ? qwenPreTokenizer : { ...byteLevel, ...prefix },
    post_processor: { ...byteLevel, add_prefix_space: true, trim_offsets: false },
    decoder: { ...byteLevel, add_prefix_space: true },
    model: { type: "BPE", vocab, merges },
    added_tokens: await addedTokens(folder, vocab),
  };
  return defineTokenizer(folder, folder.pathOf("vocab.json"), document);
}

/** Qwen 2 splits off contractions, words, single digits, punctuation and white space. */
const qwenPreTokenizer = {
  type: "Sequence",
  pretokenizers: [
    {
      type: "Split",
      pattern: {
        Regex:
          "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
      },
      behavior: "Isolated",
      invert: false,
    },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
  ],
};

/** Of added_tokens.json, and what GPT-2's and Qwen 2's classes take for their special token. */
async function addedTokens(folder: TokenizerFolder, vocab: JsonRecord): Promise<JsonRecord[]> {
  const name = "added_tokens.json";
  const special = await specialTokenTexts(folder);
  const added = new Map<string, number>();
  const usual = "<|endoftext|>";
  if (special.size === 0 && Object.hasOwn(vocab, usual)) special.add(usual);
  for (const [text, id] of Object.entries((await folder.setting(name)) ?? {}))
    added.set(
      text,
      asTokenId(id, (problem) => malformed(folder.pathOf(name), text, problem)),
    );
  for (const text of special)
    if (!added.has(text) && Object.hasOwn(vocab, text)) added.set(text, vocab[text] as number);
  return [...added].map(([content, id]) => ({
    id,
    content,
    special: special.has(content),
    normalized: true,
  }));
}

/** The tokenizer.json that `transformers` makes of BERT's vocab.txt: one token a line, its number the id. */
export async function definitionFromVocabularyText(folder: TokenizerFolder): Promise<TokenizerDefinition> {
  const name = "vocab.txt";
  const path = folder.pathOf(name);
  const lines = (await folder.text(name)).split("\n").map((line) => line.replace(/\r$/, ""));
  if (lines.at(-1) === "") lines.pop();
  if (lines.length > mostTokens) throw malformed(path, name, problems.tooMany({ limit: mostTokens }));
  const ids = new Map<string, number>();
  for (const [id, text] of lines.entries()) {
    const first = ids.get(text);
    if (first !== undefined)
      throw malformed(path, `line ${id + 1}`, problems.repeated({ first, second: id }));
    ids.set(text, id);
  }
  const settings = await folder.setting("tokenizer_config.json");
  const flag = (name: string, usual: boolean | null) => {
    const value = field(settings, name);
    return typeof value === "boolean" ? value : usual;
  };
  const special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].filter((text) => ids.has(text));
  for (const required of ["[UNK]", "[CLS]", "[SEP]"])
    if (!ids.has(required)) throw malformed(path, required, problems.missing());
  const template = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const single = [template("[CLS]"), text("A"), template("[SEP]")];
  const token = (id: string) => ({ id, ids: [ids.get(id)], tokens: [id] });
  const document: JsonRecord = {
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: flag("tokenize_chinese_chars", true),
      strip_accents: flag("strip_accents", null),
      lowercase: flag("do_lower_case", true),
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single,
      pair: [...single, text("B"), template("[SEP]")],
      special_tokens: { "[CLS]": token("[CLS]"), "[SEP]": token("[SEP]") },
    },
    decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(ids),
    },
    added_tokens: special.map((content) => ({
      id: ids.get(content),
      content,
      special: true,
      normalized: false,
    })),
  };
  return defineTokenizer(folder, path, document);
}
