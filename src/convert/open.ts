import type { ConvertibleModel } from "./model.js";
import { openGgufModel } from "./readers/gguf-model.js";

/**
 * Opens anything a model can be made from, recognised by content: a GGUF file, or the first or any part of a split one.
 * Errors: those of the reader.
 */
export function openModelSource(path: string): Promise<ConvertibleModel> {
  return openGgufModel(path);
}
