import type { ConvertibleModel } from "./model.js";
import { openGgufModel } from "./readers/gguf-model.js";

/** What is said of a source beside its path. Plain data: it crosses to the process that converts. */
export type SourceOptions = Record<string, never>;

/**
 * Opens anything a model can be made from, recognised by content: a GGUF file, or the first or any part of a split one.
 * Errors: those of the reader.
 */
export function openModelSource(path: string, _options: SourceOptions = {}): Promise<ConvertibleModel> {
  return openGgufModel(path);
}
