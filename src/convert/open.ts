import { openBytes } from "../gguf/byte-source.js";
import { isLegacyGgml, type LegacyOptions, openLegacyGgml } from "./legacy/open.js";
import type { ConvertibleModel } from "./model.js";
import { openGgufModel } from "./readers/gguf-model.js";

/**
 * What is said of a source beside its path, because it does not say it itself; each reader takes what concerns it. Plain
 * data: it crosses to the process that converts.
 */
export type SourceOptions = LegacyOptions;

/**
 * Opens anything a model can be made from, recognised by content: a GGUF file, or the first or any part of a split one;
 * a GGML file of 2023, or the first part of one.
 * Errors: those of the reader.
 */
export async function openModelSource(path: string, options: SourceOptions = {}): Promise<ConvertibleModel> {
  if (isLegacyGgml(await headOf(path))) return openLegacyGgml(path, options);
  return openGgufModel(path);
}

/** The first bytes of a file; fewer where it has fewer. */
async function headOf(path: string): Promise<Uint8Array> {
  const source = await openBytes(path);
  try {
    const head = new Uint8Array(16);
    return head.subarray(0, await source.read(head, 0));
  } finally {
    await source.close();
  }
}
