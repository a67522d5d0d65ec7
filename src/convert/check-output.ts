import { basename } from "node:path";
import { isJaugeError, JaugeError } from "../errors.js";
import type { ByteOrigin, ByteSource } from "../gguf/byte-source.js";
import { readModel } from "../gguf/model-file.js";
import { validateModel } from "../gguf/validate.js";
import type { OutputFile } from "./output-files.js";
import { headerOf } from "./part-file.js";

/**
 * Reads the headers of files that are still to be written as a reader of the finished ones would, and refuses what
 * llama.cpp could not run: what is wrong with a source is said at once, not after hours. `source` is its path.
 *
 * Errors: `source-unrunnable`, `gguf-architecture-unknown`.
 */
export async function checkOutput(source: string, files: readonly OutputFile[]): Promise<void> {
  const origins = new Map<string, ByteOrigin>();
  for (const file of files) {
    const { path, layout } = file;
    const bytes = new UnwrittenBytes(path, await headerOf(file), layout.end);
    origins.set(basename(path), { path, open: async () => bytes });
  }
  const fileName = basename(files[0]!.path);
  const beside = (name: string) => origins.get(name)!;
  try {
    await validateModel(await readModel({ fileName, origin: beside(fileName), beside }));
  } catch (cause) {
    if (isJaugeError(cause, "gguf-invalid") || isJaugeError(cause, "gguf-malformed")) {
      const { field, problem } = cause.facts;
      throw new JaugeError("source-unrunnable", { path: source, field, problem }, { cause });
    }
    if (isJaugeError(cause, "gguf-architecture-unknown"))
      throw new JaugeError("gguf-architecture-unknown", { ...cause.facts, path: source }, { cause });
    throw cause;
  }
}

/** A file as it will be, with zeros for its data. */
class UnwrittenBytes implements ByteSource {
  readonly bytes: number;

  constructor(
    readonly path: string,
    private readonly header: Uint8Array,
    dataBytes: number,
  ) {
    this.bytes = header.byteLength + dataBytes;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    const bytes = Math.max(0, Math.min(target.byteLength, this.bytes - position));
    target.fill(0, 0, bytes);
    target.set(this.header.subarray(position, position + bytes));
    return bytes;
  }

  async close(): Promise<void> {}
}
