import type { TokenizerFolder } from "./folder.js";
import { field } from "./json.js";

const kinds = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((kind) => `${kind}_token`);

/**
 * The texts of a tokenizer's special tokens as tokenizer_config.json names them, or special_tokens_map.json where that
 * is from before configurations listed their added tokens.
 * Source: `from_pretrained` of `transformers`.
 */
export async function specialTokenTexts(folder: TokenizerFolder): Promise<Set<string>> {
  const config = await folder.setting("tokenizer_config.json");
  const isOld = field(config, "added_tokens_decoder") === undefined;
  const map = isOld ? await folder.setting("special_tokens_map.json") : undefined;
  const texts = new Set<string>();
  for (const kind of kinds) {
    const text = tokenText(field(config, kind)) ?? tokenText(field(map, kind));
    if (text) texts.add(text);
  }
  const more = field(config, "additional_special_tokens") ?? field(map, "additional_special_tokens");
  if (Array.isArray(more)) {
    for (const token of more) {
      const text = tokenText(token);
      if (text) texts.add(text);
    }
  }
  return texts;
}

/** A token is named by its text or by an object that has it. */
export function tokenText(token: unknown): string | undefined {
  const text = typeof token === "string" ? token : field(token, "content");
  return typeof text === "string" ? text : undefined;
}
