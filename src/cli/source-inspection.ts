import { open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { storedBytes } from "../convert/checkpoint.js";
import { isLegacyGgml } from "../convert/legacy/open.js";
import { openModelSource } from "../convert/open.js";
import { openCheckpoint } from "../convert/readers/open-checkpoint.js";
import { isJaugeError } from "../errors.js";
import { unreadable } from "../file-errors.js";
import { openBytes } from "../gguf/byte-source.js";
import type { WritableValue } from "../gguf/encode.js";
import { tensorBytes } from "../gguf/tensor-types.js";

/** What `jauge inspect` knows of weights that are no GGUF: a checkpoint, an adapter, a file of 2023. */
export interface SourceInspection {
  path: string;
  /** For people: `safetensors, 3 shards`. */
  format: string;
  /** As the configuration names it, or GGUF. */
  architecture?: string;
  parameters: number;
  bytes: number;
  /** The plain values and short lists of the configuration beside the weights, and its file's name. */
  configuration?: { file: string; values: Record<string, ConfigurationValue> };
  /** What a GGML file says in its header, as GGUF says it. */
  metadata?: ReadonlyMap<string, WritableValue>;
  tensors: InspectedTensor[];
}

type Plain = string | number | boolean;
export type ConfigurationValue = Plain | Plain[];

export interface InspectedTensor {
  name: string;
  /** By the names of its format. */
  type: string;
  /** In the order its format prints: outermost first in checkpoints, row length first in GGML files. */
  shape: number[];
  bytes: number;
}

/**
 * Reads the headers of weights in a format other than GGUF, from a file or a folder.
 * Errors: those of the readers; `not-a-gguf` where it is nothing that jauge reads.
 */
export async function inspectSource(path: string): Promise<SourceInspection> {
  const found = await stat(path).catch((cause: unknown) => Promise.reject(unreadable(path, cause)));
  if (!found.isDirectory() && (await isGgml(path))) return inspectModel(path);
  const names = found.isDirectory() ? await readdir(path) : [];
  const adapter = ["adapter_model.safetensors", "adapter_model.bin"].find((name) => names.includes(name));
  const weights = adapter && !names.includes("config.json") ? join(path, adapter) : path;
  const checkpoint = await openCheckpoint(weights);
  try {
    const tensors = [...checkpoint.tensors.values()].map(({ name, type, shape }) => ({
      ...{ name, type, shape: [...shape] },
      bytes: storedBytes[type] * product(shape),
    }));
    const folder = found.isDirectory() ? path : dirname(path);
    const isAdapter = adapter !== undefined || basename(path).startsWith("adapter_model");
    const configuration = await readConfiguration(folder, isAdapter);
    const counts = countsOf(tensors);
    if (!configuration) return { path, format: checkpoint.format, ...counts, tensors };
    const { architecture, ...rest } = configuration;
    const named = architecture === undefined ? {} : { architecture };
    return { path, format: checkpoint.format, ...named, ...counts, configuration: rest, tensors };
  } finally {
    await checkpoint.close();
  }
}

async function isGgml(path: string): Promise<boolean> {
  const file = await openBytes(path);
  try {
    const head = new Uint8Array(16);
    return isLegacyGgml(head.subarray(0, await file.read(head, 0)));
  } finally {
    await file.close();
  }
}

async function inspectModel(path: string): Promise<SourceInspection> {
  const model = await openModelSource(path);
  try {
    const tensors = model.tensors.map(({ name, type, shape }) => ({
      ...{ name, type, shape: [...shape] },
      bytes: tensorBytes(type, shape) ?? 0,
    }));
    const architecture = model.metadata.get("general.architecture")?.value;
    const named = typeof architecture === "string" ? { architecture } : {};
    return { path, format: model.format, ...named, ...countsOf(tensors), metadata: model.metadata, tensors };
  } finally {
    await model.close();
  }
}

interface Configuration {
  file: string;
  architecture?: string;
  values: Record<string, ConfigurationValue>;
}

const longestConfiguration = 2 ** 20;
const mostValues = 100;
const mostItems = 64;

/** The configuration beside the weights, where there is one that can be read: it explains them, they do without it. */
async function readConfiguration(folder: string, isAdapter: boolean): Promise<Configuration | undefined> {
  for (const file of isAdapter ? ["adapter_config.json"] : ["config.json", "params.json"]) {
    const value = await readSmallJson(join(folder, file));
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    const { architectures, ...others } = value as Record<string, unknown>;
    const shown = Object.entries(others).filter(
      (entry): entry is [string, ConfigurationValue] => isPlain(entry[1]) || isShortList(entry[1]),
    );
    const named = Array.isArray(architectures) ? architectures[0] : others.peft_type;
    return {
      file,
      values: Object.fromEntries(shown.slice(0, mostValues)),
      ...(typeof named === "string" && { architecture: named }),
    };
  }
  return undefined;
}

function isPlain(value: unknown): value is Plain {
  return ["string", "number", "boolean"].includes(typeof value);
}

function isShortList(value: unknown): value is Plain[] {
  return Array.isArray(value) && value.length > 0 && value.length <= mostItems && value.every(isPlain);
}

async function readSmallJson(path: string): Promise<unknown> {
  try {
    const file = await open(path);
    try {
      const { size } = await file.stat();
      if (size > longestConfiguration) return undefined;
      return JSON.parse((await file.readFile("utf8")).replace(/^\uFEFF/, ""));
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

/** Whether an error of the GGUF reader may mean that the path is another source. */
export function isOtherSource(error: unknown): boolean {
  if (isJaugeError(error, "not-a-gguf")) return true;
  return isJaugeError(error, "file-unreadable") && (error.cause as NodeJS.ErrnoException)?.code === "EISDIR";
}

function product(lengths: readonly number[]): number {
  return lengths.reduce((all, length) => all * length, 1);
}

function countsOf(tensors: readonly InspectedTensor[]): { parameters: number; bytes: number } {
  return tensors.reduce(
    (sum, { shape, bytes }) => ({ parameters: sum.parameters + product(shape), bytes: sum.bytes + bytes }),
    { parameters: 0, bytes: 0 },
  );
}
