import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { openBytes } from "../../gguf/byte-source.js";
import { localized } from "../../messages/locale.js";
import { tokenizerProblems } from "../../messages/tokenizer.js";
import { asRecord, type JsonRecord } from "./json.js";

export const problems = localized(tokenizerProblems);

const mebibyte = 2 ** 20;
/** The largest known of each kind: tokenizer.json 35 MB (Gemma 3), tokenizer.model 5 MB, tokenizer_config.json 1.2 MB. */
const limitBytes = { vocabulary: 96 * mebibyte, model: 32 * mebibyte, setting: 16 * mebibyte };

/** The files a vocabulary is in: one that a person names stands for all of them. */
const vocabularyFiles: ReadonlySet<string> = new Set([
  ...["tokenizer.model", "tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "spiece.model"],
]);

/** A file with a vocabulary that lies elsewhere, or has a name of its own. */
interface GivenFile {
  path: string;
  /** The name it is looked for under. */
  name: string;
  /** Whether nothing else counts. */
  isAlone: boolean;
}

/** The tokenizer's files in a model's folder, each read at most once and only where its size is sane. */
export class TokenizerFolder {
  private readonly records = new Map<string, Promise<JsonRecord>>();

  constructor(
    readonly path: string,
    private readonly given?: GivenFile,
  ) {}

  /**
   * The files of `folder`; or of `tokenizer`, where a person names that instead: another folder, or one file, in place of
   * those of the folder that hold a vocabulary, and alone where there is no folder.
   * Errors: `file-unreadable`.
   */
  static async open(folder: string | undefined, tokenizer?: string): Promise<TokenizerFolder> {
    if (tokenizer === undefined) return new TokenizerFolder(folder ?? ".");
    const found = await stat(tokenizer).catch((cause: unknown) =>
      Promise.reject(unreadable(tokenizer, cause)),
    );
    if (found.isDirectory()) return new TokenizerFolder(tokenizer);
    const name = (await startsLikeJson(tokenizer)) ? "tokenizer.json" : "tokenizer.model";
    const given = { path: tokenizer, name, isAlone: folder === undefined };
    return new TokenizerFolder(folder ?? dirname(tokenizer), given);
  }

  pathOf(name: string): string {
    return name === this.given?.name ? this.given.path : join(this.path, name);
  }

  async has(name: string): Promise<boolean> {
    if (this.given && name !== this.given.name && (this.given.isAlone || vocabularyFiles.has(name)))
      return false;
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
    if (this.given?.isAlone) return [];
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

/** Errors: `file-unreadable`. */
async function startsLikeJson(path: string): Promise<boolean> {
  const source = await openBytes(path);
  try {
    const start = Buffer.alloc(64);
    const filled = await source.read(start, 0);
    return /^(\xef\xbb\xbf)?\s*\{/.test(start.toString("latin1", 0, filled));
  } finally {
    await source.close();
  }
}

export function malformed(path: string, field: string, problem: string): JaugeError<"tokenizer-malformed"> {
  return new JaugeError("tokenizer-malformed", { path, field, problem });
}
