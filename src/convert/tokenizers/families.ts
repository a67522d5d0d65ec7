import type { MetadataValue } from "../../gguf/metadata.js";
import type { TokenizerFolder } from "./folder.js";
import { field, type JsonRecord } from "./json.js";
import { setSpacePrefix } from "./sentencepiece.js";
import { specialTokenKeys } from "./special-tokens.js";

/** Token kinds of models that fill in the middle; GGUF has a key for the last of them only. */
const infillKinds = ["prefix", "suffix", "middle", "eot"];

/**
 * What single families have beyond their vocabulary's own keys.
 * Source: `set_vocab` of the Llama and Gemma models of llama.cpp's converter.
 */
export async function addFamilyKeys(
  keys: Map<string, MetadataValue>,
  folder: TokenizerFolder,
  { architecture, config }: { architecture: string; config: JsonRecord },
  document: JsonRecord | undefined,
  tokenCount: number,
): Promise<void> {
  const isSentencePiece = keys.get("tokenizer.ggml.model")?.value === "llama";
  const infill = async (kinds: string[], eot: number) => {
    const request = { folder, config, document, tokenCount, kinds, defaults: { eot } };
    for (const [key, value] of await specialTokenKeys(request)) keys.set(key, value);
  };
  if (/^gemma[23]?$/.test(architecture) && isSentencePiece) setSpacePrefix(keys, false);
  if (architecture === "gemma") await infill([...infillKinds, "fsep"], 107);
  if (architecture !== "llama") return;

  const prefix = field(await folder.setting("tokenizer_config.json"), "add_prefix_space");
  if (typeof prefix === "boolean") setSpacePrefix(keys, prefix);
  const size = field(config, "vocab_size");
  if (size === 32016) await infill(infillKinds, 32010); // Code Llama
  if (size === 49152) keys.set("tokenizer.ggml.add_bos_token", { type: "bool", value: false }); // Granite, SmolLM
}
