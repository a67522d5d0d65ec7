import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { JaugeError } from "../../errors.js";
import { openBytes } from "../../gguf/byte-source.js";
import { localized } from "../../messages/locale.js";
import { tokenizerProblems } from "../../messages/tokenizer.js";
import { asRecord, type JsonRecord } from "./json.js";

export const problems = localized(tokenizerProblems);

const mebibyte = 2 ** 20;
/** The largest known of each kind: tokenizer.json 35 MB (Gemma 3), tokenizer.model 5 MB, tokenizer_config.json 1.2 MB. */
const limitBytes = { vocabulary: 96 * mebibyte, model: 32 * mebibyte, setting: 16 * mebibyte };

/** The tokenizer's files in a model's folder, each read at most once and only where its size is sane. */
export class TokenizerFolder {
  private readonly records = new Map<string, Promise<JsonRecord>>();

  constructor(readonly path: string) {}

  pathOf(name: string): string {
    return join(this.path, name);
  }

  async has(name: string): Promise<boolean> {
    return stat(this.pathOf(name)).then(
      (entry) => entry.isFile(),
      () => false,
    );
  }

  /** The first of these files that is there. */
  async first(...names: string[]): Promise<string | undefined> {
    for (const name of names) if (await this.has(name)) return name;
    return undefined;
  }

  /** Names of the files of a folder inside, sorted; none where it is not there. */
  async list(folder: string): Promise<string[]> {
    return (await readdir(this.pathOf(folder)).catch(() => [])).toSorted();
  }

  /** Errors: `file-unreadable`, `tokenizer-too-large`. */
  async bytes(name: string, limit = limitBytes.model): Promise<Buffer> {
    const path = this.pathOf(name);
    const source = await openBytes(path);
    try {
      if (source.bytes > limit)
        throw new JaugeError("tokenizer-too-large", { path, fileBytes: source.bytes, limitBytes: limit });
      const content = Buffer.alloc(source.bytes);
      let filled = 0;
      while (filled < content.length) {
        const read = await source.read(content.subarray(filled), filled);
        if (read === 0) break;
        filled += read;
      }
      return content.subarray(0, filled);
    } finally {
      await source.close();
    }
  }

  async text(name: string, limit = limitBytes.vocabulary): Promise<string> {
    const content = await this.bytes(name, limit);
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(content);
    } catch {
      throw malformed(this.pathOf(name), name, problems.notUtf8());
    }
  }

  /** A small JSON file's object; `undefined` where there is no such file. */
  async setting(name: string): Promise<JsonRecord | undefined> {
    return (await this.has(name)) ? this.record(name, limitBytes.setting) : undefined;
  }

  /** A JSON file's object. */
  record(name: string, limit = limitBytes.vocabulary): Promise<JsonRecord> {
    let record = this.records.get(name);
    if (!record) {
      record = this.parse(name, limit);
      this.records.set(name, record);
    }
    return record;
  }

  private async parse(name: string, limit: number): Promise<JsonRecord> {
    const text = await this.text(name, limit);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw malformed(this.pathOf(name), name, problems.notJson());
    }
    return asRecord(value, (problem) => malformed(this.pathOf(name), name, problem));
  }
}

export function malformed(path: string, field: string, problem: string): JaugeError<"tokenizer-malformed"> {
  return new JaugeError("tokenizer-malformed", { path, field, problem });
}
