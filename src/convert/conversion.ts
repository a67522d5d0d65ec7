import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { JaugeError } from "../errors.js";
import { unreadable } from "../file-errors.js";
import type { WritableValue } from "../gguf/encode.js";
import { fileTypes } from "../gguf/outline.js";
import { type TensorTypeName, tensorBytes } from "../gguf/tensor-types.js";
import { columnWeights, type ImportanceMatrix, readImportanceMatrix } from "../quantize/importance-matrix.js";
import type { QuantizeKernels } from "../quantize/kernels.js";
import { fileTypeOf } from "../quantize/mixes.js";
import { weightedTensors } from "../quantize/weighted-tensors.js";
import { type MakeOptions, makeFiles } from "./make-model.js";
import type { ConvertibleModel, SourceNote } from "./model.js";
import { openModelSource, type SourceOptions } from "./open.js";
import { type Division, type OutputFile, outputFiles } from "./output-files.js";
import { openGgufModel } from "./readers/gguf-model.js";
import { settingsOf } from "./settings.js";
import { type TypeWishes, targetTypes } from "./target-types.js";
import type { Weights } from "./write-tensors.js";

/** One conversion, as plain data: it crosses to the process that does it. */
export interface ConversionRequest {
  source: string;
  sourceOptions?: SourceOptions;
  /**
   * The file to write; of a split model, the name its parts begin with. Absent: named after the source and the type, in
   * the current folder.
   */
  output?: string;
  wishes: TypeWishes;
  division: Division;
  /** A file with an importance matrix. */
  importance?: string;
  threads: number;
  restart?: boolean;
  overwrite?: boolean;
}

/** What a conversion would write. */
export interface ConversionPlan {
  format: string;
  notes: readonly SourceNote[];
  files: OutputFile[];
  /** Names of the tensors that the importance matrix weighs. */
  weighted: ReadonlySet<string>;
}

/**
 * What becomes of a model: files, and the type of each tensor. Errors: `tokenizer-inside`; those of `targetTypes` and
 * `weightedTensors`.
 */
export function planConversion(
  model: ConvertibleModel,
  request: ConversionRequest,
  importance?: ImportanceMatrix,
): ConversionPlan {
  const { wishes, division, sourceOptions } = request;
  if (sourceOptions?.tokenizer !== undefined && model.hasTokenizer)
    throw new JaugeError("tokenizer-inside", { path: model.path });
  const types = targetTypes(model, wishes, {
    importanceMatrix: importance !== undefined,
    inGivenOrder: division.kind === "as-source" && model.tensors.some(({ part }) => part !== undefined),
  });
  const changes = model.tensors.map(({ name, shape, type }, at) => ({
    name,
    shape,
    from: type,
    type: types[at]!,
  }));
  const weighted = weightedTensors(changes, wishes.type, importance);
  const fileType = fileTypeFor(model, types, wishes);
  const metadata = new Map<string, WritableValue>([
    ...model.metadata,
    ["general.quantization_version", { type: "uint32", value: 2 }],
    ["general.file_type", { type: "uint32", value: fileType }],
    ...(importance ? importanceKeys(importance) : []),
  ]);
  const named = wishes.type === "auto" ? fileTypes[fileType]! : wishes.type;
  const output = request.output ?? namedAfter(request.source, named);
  const files = outputFiles(output, model, types, metadata, division);
  return { format: model.format, notes: model.notes ?? [], files, weighted };
}

/** `Llama-3.2-1B-Q4_K_M.gguf` */
function namedAfter(source: string, type: string): string {
  return `${basename(resolve(source)).replace(/\.(gguf|bin|pth|safetensors)$/i, "")}-${type}.gguf`;
}

/** As llama-quantize states it, cut where it cuts: 127 bytes. */
function importanceKeys(importance: ImportanceMatrix): [string, WritableValue][] {
  const { path, datasets, entries, chunks } = importance;
  const text = (value: string): WritableValue => ({
    type: "string",
    value: Buffer.from(value)
      .subarray(0, 127)
      .toString("utf8")
      .replace(/\ufffd$/, ""),
  });
  const keys: [string, WritableValue][] = [["quantize.imatrix.file", text(path)]];
  if (datasets[0] !== undefined) keys.push(["quantize.imatrix.dataset", text(datasets[0])]);
  keys.push(["quantize.imatrix.entries_count", { type: "uint32", value: entries.size }]);
  if (chunks > 0) keys.push(["quantize.imatrix.chunks_count", { type: "uint32", value: chunks }]);
  return keys;
}

/** The number of the mix; where types were kept, of the one that takes most bytes. */
function fileTypeFor(
  model: ConvertibleModel,
  types: readonly TensorTypeName[],
  { type }: TypeWishes,
): number {
  if (type !== "auto") return fileTypeOf(type);
  const bytes = new Map<TensorTypeName, number>();
  for (const [at, { shape }] of model.tensors.entries())
    bytes.set(types[at]!, (bytes.get(types[at]!) ?? 0) + (tensorBytes(types[at]!, shape) ?? 0));
  const [most] = [...bytes].sort((a, b) => b[1] - a[1])[0] ?? ["F16"];
  const named = (name: string) => Object.entries(fileTypes).find(([, fileType]) => fileType === name)?.[0];
  return Number(named(most) ?? named(`${most}_M`) ?? named(`${most}_MOE`) ?? 1);
}

export type ConversionHooks = Pick<MakeOptions, "signal" | "onProgress" | "verify" | "version" | "syncMs"> & {
  kernels: QuantizeKernels;
  /** Refuses what would be written, by throwing; nothing is written yet. */
  check?: (source: string, files: readonly OutputFile[]) => Promise<void>;
  onPlanned?: (plan: ConversionPlan) => void;
};

/**
 * Converts a source into files. Errors: those of `openModelSource`, `readImportanceMatrix`, `planConversion` and
 * `makeFiles`. Returns the bytes of all files.
 */
export async function convertModel(request: ConversionRequest, hooks: ConversionHooks): Promise<number> {
  const model = await openModelSource(request.source, request.sourceOptions, hooks.kernels);
  try {
    const importance =
      request.importance === undefined ? undefined : await readImportanceMatrix(request.importance);
    const plan = planConversion(model, request, importance);
    hooks.onPlanned?.(plan);
    await hooks.check?.(model.path, plan.files);
    const { threads, restart, overwrite } = request;
    return await makeFiles(model, plan.files, {
      ...{ threads, restart, overwrite, settings: settingsOf(request) },
      ...(importance ? { weights: await weightsOf(importance, plan.weighted) } : {}),
      ...hooks,
    });
  } finally {
    await model.close();
  }
}

/** Errors: those of `columnWeights`: what cannot be used is said before the work, not hours later. */
async function weightsOf(matrix: ImportanceMatrix, weighted: ReadonlySet<string>): Promise<Weights> {
  const read = (name: string) => columnWeights(matrix, matrix.entries.get(name)!);
  for (const name of weighted) await read(name);
  const { size, mtimeMs } = await stat(matrix.path).catch((cause) => {
    throw unreadable(matrix.path, cause);
  });
  return { tensors: weighted, fingerprint: `${basename(matrix.path)}, ${size}, ${mtimeMs}`, read };
}

/** A copy of a GGUF whose tensors stay as they are: parts become one file, or a file parts. */
export interface CopyRequest extends Pick<ConversionRequest, "source" | "threads" | "restart" | "overwrite"> {
  copy: true;
  output: string;
  division: Division;
}

/** Copies a model into other files. Errors: those of `openGgufModel` and `makeFiles`. Returns the bytes of all files. */
export async function copyModel(request: CopyRequest, hooks: ConversionHooks): Promise<number> {
  const model = await openGgufModel(request.source, { asIs: true });
  try {
    const { output, division, threads, restart, overwrite } = request;
    const types = model.tensors.map(({ type }) => type);
    const files = outputFiles(output, model, types, model.metadata, division);
    hooks.onPlanned?.({ format: model.format, notes: [], files, weighted: new Set() });
    return await makeFiles(model, files, { threads, restart, overwrite, ...hooks });
  } finally {
    await model.close();
  }
}
