import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { isJaugeError, JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { type ByteSource, openBytes } from "../../gguf/byte-source.js";
import type { ConvertibleModel, SourceNote } from "../model.js";
import type { TokenizerOptions } from "../tokenizer-options.js";
import { magics } from "./format.js";
import { type LegacyFile, readLegacyFile } from "./header.js";
import { legacyMetadata, type UnstatedSettings } from "./metadata.js";
import { originalTokenizer } from "./original-tokenizer.js";
import { malformed, problems } from "./problems.js";
import { rowTensors } from "./rows.js";
import { hasScalesFirst } from "./scales-first.js";
import { admitTensor, countParts, hasAllTensors, joinTensors } from "./tensors.js";
import { vocabularyMetadata } from "./vocabulary.js";

export interface LegacyOptions extends UnstatedSettings, Pick<TokenizerOptions, "tokenizer"> {
  /**
   * Gives 32-bit floats instead of today's blocks wherever those would round a scale to half precision: for a conversion
   * to another type, which is then made from the file's own values. Default: today's blocks.
   */
  readonly exact?: boolean;
}

/** Whether a file that starts with `head` is a GGML file of 2023: four bytes tell. */
export function isLegacyGgml(head: Uint8Array): boolean {
  if (head.byteLength < 4) return false;
  const magic = new DataView(head.buffer, head.byteOffset, 4).getUint32(0, true);
  return Object.values<number>(magics).includes(magic);
}

/**
 * Opens a LLaMA in a GGML format of 2023 (`ggml`, `ggmf v1`, `ggjt v1` to `v3`) under the name of its first part; the
 * others (`.1`, `.2`, …) lie beside it. docs/LEGACY.md says what is kept, what is rounded and what is assumed.
 *
 * Errors: `file-unreadable`, `legacy-version`, `legacy-malformed`, `legacy-truncated`, `legacy-surplus`, `legacy-part-missing`,
 * `legacy-part-later`, `legacy-type`; `tokenizer-…` where one is named; from `readRows` also `legacy-scale`.
 */
export async function openLegacyGgml(path: string, options: LegacyOptions = {}): Promise<ConvertibleModel> {
  const files = await readParts(path);
  const first = files[0]!;
  const { tensors, sizes } = joinTensors(files);
  const notes: SourceNote[] = [];
  const tokenizer =
    options.tokenizer === undefined
      ? vocabularyMetadata(first.vocabulary, first.hyperparameters.n_vocab)
      : await originalTokenizer(first, options.tokenizer, (note) => notes.push(note));
  const metadata = legacyMetadata(first, sizes, basename(path), options, tokenizer);
  const sources: ByteSource[] = [];
  const close = async () => {
    await Promise.all(sources.map((source) => source.close()));
  };
  try {
    for (const file of files) sources.push(await openBytes(file.path));
    const scalesFirst = await hasScalesFirst(first, tensors, sources[0]!);
    return {
      path,
      format: formatOf(files, scalesFirst),
      metadata,
      tensors: rowTensors(tensors, { sources, exact: options.exact ?? false, scalesFirst }),
      fingerprint: await fingerprintOf(files, options),
      notes,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function readParts(path: string): Promise<LegacyFile[]> {
  const first = await readLegacyFile(path, admitTensor, hasAllTensors);
  const files = [first];
  const count = countParts(first);
  for (let part = 1; part < count; part++) {
    const file = await readLegacyFile(`${path}.${part}`, admitTensor, hasAllTensors).catch((error) => {
      if (
        !isJaugeError(error, "file-unreadable") ||
        (error.cause as NodeJS.ErrnoException)?.code !== "ENOENT"
      )
        throw error;
      const later = /^(.+)\.([1-9]\d*)$/.exec(path);
      if (later && Number(later[2]) < count)
        throw new JaugeError("legacy-part-later", { path, first: later[1]! });
      throw new JaugeError("legacy-part-missing", { path: `${path}.${part}`, part: part + 1, count });
    });
    const same =
      file.container === first.container &&
      Object.entries(first.hyperparameters).every(
        ([name, value]) => file.hyperparameters[name as keyof typeof file.hyperparameters] === value,
      );
    if (!same) throw malformed(file.path, "header", problems.otherHeader());
    files.push(file);
  }
  return files;
}

function formatOf(files: readonly LegacyFile[], scalesFirst: boolean): string {
  const first = files[0]!;
  const parts = files.length > 1 ? `, ${files.length} parts` : "";
  return `GGML of 2023 (${first.container}${scalesFirst ? ", scales first" : ""})${parts}`;
}

/** Names, sizes and change times of the parts, and what the options make of them. */
async function fingerprintOf(files: readonly LegacyFile[], options: LegacyOptions): Promise<string> {
  const hash = createHash("sha256");
  for (const { path } of files) {
    const facts = await stat(path, { bigint: true }).catch((cause) => {
      throw unreadable(path, cause);
    });
    hash.update(`${basename(path)}\0${facts.size}\0${facts.mtimeNs}\0`);
  }
  hash.update(JSON.stringify(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1))));
  return hash.digest("hex");
}
