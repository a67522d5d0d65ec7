import { JaugeError } from "../errors.js";
import { type TensorTypeName, tensorBytes, tensorTypes } from "../gguf/tensor-types.js";
import { type ImportanceMatrix, readImportanceMatrix } from "../quantize/importance-matrix.js";
import type { QuantizeKernels } from "../quantize/kernels.js";
import { isQuantisable } from "../quantize/quantisable.js";
import { needsImportance, needsMatrix } from "../quantize/weighted-tensors.js";
import { checkOutput } from "./check-output.js";
import { type ConversionRequest, planConversion } from "./conversion.js";
import type { ConvertibleModel, ConvertibleTensor } from "./model.js";
import { openModelSource } from "./open.js";
import { headerOf } from "./part-file.js";
import { targetTypes } from "./target-types.js";
import { isWeighted, sampleLanes, TensorSample } from "./tensor-sample.js";

/** What to measure, as plain data: it crosses to the process that quantises. */
export interface MeasureRequest
  extends Pick<ConversionRequest, "source" | "sourceOptions" | "importance" | "threads"> {
  measure: true;
  /** The only types to try, where a tensor's rows can have them; those that are worth it where absent. */
  types?: readonly TensorTypeName[];
  /** Elements of each tensor that are quantised to see what is lost. */
  sampledElements: number;
  allowRequantize?: boolean;
}

/** What each type would cost each tensor. */
export interface Measurement {
  format: string;
  /** Bytes of the file beside the tensors that have a choice: header, vocabulary, and tensors that stay as they are. */
  fixedBytes: number;
  tensors: MeasuredTensor[];
}

export interface MeasuredTensor {
  name: string;
  shape: readonly number[];
  from: TensorTypeName;
  /** Whether the importance matrix weighs it. */
  weighted: boolean;
  types: MeasuredType[];
}

export interface MeasuredType {
  type: TensorTypeName;
  /** In the file, padding included. */
  bytes: number;
  /** Part of the tensor's output that is error: Σ h·(w − ŵ)² / Σ h·w². */
  error: number;
}

export interface MeasureHooks {
  kernels: QuantizeKernels;
  signal?: AbortSignal;
  onProgress?: (progress: MeasureProgress) => void;
}

export interface MeasureProgress {
  /** Types of tensors that are measured, and in all. */
  done: number;
  total: number;
  tensors: number;
  /** All that are tried. */
  types: readonly TensorTypeName[];
}

/** From few bits to many. Those that are nothing without an importance matrix are tried where there is one. */
const blocksOf256: readonly TensorTypeName[] = [
  ...(["IQ2_XXS", "IQ2_XS", "IQ2_S", "Q2_K", "IQ3_XXS", "IQ3_S", "Q3_K"] as const),
  ...(["IQ4_XS", "Q4_K", "Q5_K", "Q6_K", "Q8_0"] as const),
];
/** For rows that are no multiple of 256. */
const smallBlocks: readonly TensorTypeName[] = ["Q4_0", "IQ4_NL", "Q4_1", "Q5_0", "Q5_1", "Q8_0"];

/** Every tensor starts at a multiple of it in the files that are written. */
const alignment = 32;

/**
 * Measures what quantising loses: for each tensor that a mix may change and each type, a sample of rows, evenly spread
 * over all of them, is quantised and turned back. The error is relative to what the tensor puts out, so that tensors of
 * any size and scale can be compared: with h the mean square of each column's input (the importance matrix; 1 where
 * there is none) it is the expected ‖(W − Ŵ)x‖² / ‖Wx‖² for inputs whose columns are not correlated.
 *
 * Errors: `target-type-unweighted`; those of `openModelSource`, `readImportanceMatrix` and `checkOutput`,
 * `requantise-refused`, `cancelled`.
 */
export async function measureTypes(request: MeasureRequest, hooks: MeasureHooks): Promise<Measurement> {
  checkTypes(request);
  const model = await openModelSource(request.source, request.sourceOptions, hooks.kernels);
  try {
    const { importance } = request;
    const matrix = importance === undefined ? undefined : await readImportanceMatrix(importance);
    const plan = await fixedPlan(model, request, matrix);
    const jobs = model.tensors.filter(isFree);
    const candidates = new Map(
      jobs.map((tensor) => [
        tensor,
        candidatesOf(tensor, request, plan.unquantised.get(tensor.name)!, matrix),
      ]),
    );
    const types = [...new Set([...candidates.values()].flat())];
    await hooks.kernels.prepare(types);
    const measured = new Map<string, MeasuredTensor>();
    const total = [...candidates.values()].reduce((sum, { length }) => sum + length, 0);
    const progress = { done: 0, total, tensors: jobs.length, types };
    hooks.onProgress?.({ ...progress });
    const onMeasured = () => {
      progress.done++;
      hooks.onProgress?.({ ...progress });
      if (hooks.signal?.aborted) throw new JaugeError("cancelled", {});
    };
    const queue = jobs.values();
    const work = async () => {
      const lanes = sampleLanes(hooks.kernels, jobs, request.sampledElements);
      for (const tensor of queue) {
        const sample = new TensorSample(tensor, request.sampledElements, lanes, matrix);
        measured.set(tensor.name, await measureTensor(tensor, candidates.get(tensor)!, sample, onMeasured));
      }
    };
    await Promise.all(Array.from({ length: Math.min(request.threads, jobs.length) }, work));
    const tensors = jobs.map(({ name }) => measured.get(name)!);
    return { format: model.format, fixedBytes: plan.fixedBytes, tensors };
  } finally {
    await model.close();
  }
}

async function measureTensor(
  { name, shape, type: from }: ConvertibleTensor,
  candidates: readonly TensorTypeName[],
  sample: TensorSample,
  onMeasured: () => void,
): Promise<MeasuredTensor> {
  await sample.read();
  const types: MeasuredType[] = [];
  for (const type of candidates) {
    types.push({ type, bytes: padded(type, shape), error: await sample.errorOf(type) });
    onMeasured();
  }
  return { name, shape, from, weighted: sample.weighted, types };
}

/** Refuses a named type that no tensor may have: left out, nobody would learn it. Errors: `target-type-unweighted`. */
function checkTypes({ types = [], importance }: MeasureRequest): void {
  const refused = importance === undefined ? types.find(needsMatrix) : undefined;
  if (refused !== undefined) throw new JaugeError("target-type-unweighted", { type: refused });
}

/**
 * The types a tensor can have, each once: those asked for, else the usual ones and what it is where nothing is quantised.
 * What is nothing without its columns' weights is left out where a matrix does not weigh them; a tensor that no type is
 * left for stays unquantised.
 */
function candidatesOf(
  { name, shape }: ConvertibleTensor,
  { types }: MeasureRequest,
  unquantised: TensorTypeName,
  matrix: ImportanceMatrix | undefined,
): TensorTypeName[] {
  const wished = types ?? ((shape[0] ?? 1) % 256 === 0 ? blocksOf256 : smallBlocks);
  const weighted = isWeighted({ name, shape }, matrix);
  const fits = (type: TensorTypeName) =>
    (shape[0] ?? 1) % tensorTypes[type].blockElements === 0 &&
    (weighted || !needsImportance(name, type, "Q8_0"));
  const fitting = wished.filter(fits);
  return [...new Set(types && fitting.length > 0 ? fitting : [...fitting, unquantised])];
}

/** Whether a mix may give a tensor another type. */
function isFree(tensor: ConvertibleTensor): boolean {
  return isQuantisable(tensor) && tensor.keepAs === undefined;
}

/** What does not depend on the choices. Errors: `requantise-refused`, those of `checkOutput`. */
async function fixedPlan(
  model: ConvertibleModel,
  request: MeasureRequest,
  matrix: ImportanceMatrix | undefined,
) {
  const { source, threads, allowRequantize } = request;
  const wishes = { type: "Q8_0", ...(allowRequantize && { allowRequantize }) } as const;
  const division = { kind: "whole", order: "layers" } as const;
  const { files } = planConversion(model, { source, threads, wishes, division }, matrix);
  await checkOutput(model.path, files);
  const [file] = files;
  const free = new Set(model.tensors.filter(isFree).map(({ name }) => name));
  let fixedBytes = (await headerOf(file!)).byteLength;
  for (const { name, type, shape } of file!.tensors) if (!free.has(name)) fixedBytes += padded(type, shape);
  const plain = targetTypes(model, { type: "auto", allowRequantize: true });
  const unquantised = new Map(model.tensors.map(({ name }, index) => [name, plain[index]!]));
  return { fixedBytes, unquantised };
}

function padded(type: TensorTypeName, shape: readonly number[]): number {
  return Math.ceil(tensorBytes(type, shape)! / alignment) * alignment;
}
