import type { ImportanceEntry } from "../engine/protocol.js";
import { JaugeError } from "../errors.js";
import { type ImportanceMatrix, readImportanceMatrix } from "../quantize/importance-matrix.js";
import { writeImportance } from "./importance-file.js";
import { openForScoring, type ScoringModel, type ScoringRequest, tokensOf } from "./scoring-model.js";
import { Windows } from "./windows.js";

export interface ImportanceJob {
  modelPath: string;
  text: string;
  /** What the file will say it was computed on: the text's path. */
  dataset: string;
  outputPath: string;
  format: "gguf" | "legacy";
  /** Tokens of a window. */
  windowSize: number;
  /** Windows to compute at most; all where absent. */
  chunks?: number;
  /** Windows between two saves; 0 saves at the end alone. */
  saveEvery: number;
  /** Take in the output matrix. */
  output: boolean;
  /** Read control tokens where the text names them. */
  parseSpecial: boolean;
  /** Go on with what the output file has. */
  resume: boolean;
  /** Files whose sums are added, of the same model. */
  inFiles: readonly string[];
  request: ScoringRequest;
  onProgress?: (progress: ImportanceProgress) => void;
}

export interface ImportanceProgress {
  chunk: number;
  chunks: number;
  /** Of the text so far, in the windows of this run. */
  perplexity: number;
  tokensPerSecond: number;
}

export interface ImportanceResult {
  path: string;
  /** Windows in the file, those of files added included. */
  chunks: number;
  matrices: number;
  /** Windows of this run. */
  computed: number;
  /** Of the windows of this run; absent where there was none left to compute. */
  perplexity?: number;
  tokensPerSecond?: number;
  /** Stacks of experts of which some were never used. */
  partial: string[];
}

/**
 * Computes an importance matrix: runs a text through the model and adds up the squares of what each weight matrix is
 * multiplied by. Saved every so many windows, and where it is interrupted; it is resumed at the window after the last one
 * saved.
 *
 * Errors: those of `openForScoring`, `readImportanceMatrix` and `writeImportance`, `text-too-short`,
 * `importance-sizes-differ`, `importance-resume-mismatch`, `importance-not-finite`, `importance-interrupted`,
 * `compare-not-finite`, and `cancelled` before the first window.
 */
export async function computeImportance(job: ImportanceJob): Promise<ImportanceResult> {
  const { modelPath, windowSize, request, outputPath } = job;
  const before = job.resume ? await readResumable(job) : undefined;
  const added = await Promise.all(job.inFiles.map((path) => readImportanceMatrix(path)));
  await using model = await openForScoring(modelPath, windowSize, request, { output: job.output });
  const { engine } = model;
  const tokens = await tokensOf(model, job.text, job.parseSpecial);
  const windows = new Windows(tokens, windowSize, engine.info.model.tokens, job.chunks);

  const earlier = before ? [before] : added;
  for (const matrix of earlier) await addMatrix(model, matrix, windowSize);
  const chunksBefore = earlier.reduce((sum, { chunks }) => sum + chunks, 0);
  const datasets = [...new Set([...earlier.flatMap((matrix) => matrix.datasets), job.dataset])];
  const first = before ? before.chunks : 0;

  const save = async (computed: number) =>
    writeImportance(outputPath, job.format, {
      entries: await engine.importance(),
      sums: (name) => engine.importanceSums(name),
      ...{ datasets, chunks: chunksBefore + computed, chunkSize: windowSize },
    });
  const speed = new Speed();
  let partial: string[] = [];
  let saved = first;
  for (let index = first; index < windows.count; index++) {
    if (request.engine.signal?.aborted) {
      if (saved < index) await save(index - first);
      throw new JaugeError("importance-interrupted", {
        path: outputPath,
        kept: index > first ? chunksBefore + index - first : first,
        total: chunksBefore + windows.count - first,
        isResumable: job.format === "gguf" && job.inFiles.length === 0,
      });
    }
    const { surprise, decodeMs } = await engine.score(windows.at(index));
    if (!surprise.every(Number.isFinite))
      throw new JaugeError("compare-not-finite", { path: modelPath, window: index + 1 });
    speed.add(surprise, windowSize, decodeMs);
    const computed = index + 1 - first;
    const isLast = index + 1 === windows.count;
    if (isLast || (job.saveEvery > 0 && computed % job.saveEvery === 0)) {
      partial = await save(computed);
      saved = index + 1;
    }
    job.onProgress?.({ chunk: index + 1, chunks: windows.count, ...speed.figures });
  }
  const entries = await engine.importance();
  const computed = Math.max(0, windows.count - first);
  return {
    path: outputPath,
    chunks: chunksBefore + computed,
    computed,
    matrices: entries.length,
    ...(first < windows.count && speed.figures),
    partial,
  };
}

/** Perplexity and speed so far. */
class Speed {
  private surprise = 0;
  private scored = 0;
  private tokens = 0;
  private ms = 0;

  add(surprise: Float64Array, tokens: number, ms: number): void {
    for (const value of surprise) this.surprise += value;
    this.scored += surprise.length;
    this.tokens += tokens;
    this.ms += ms;
  }

  get figures(): { perplexity: number; tokensPerSecond: number } {
    return {
      perplexity: Math.exp(this.surprise / this.scored),
      tokensPerSecond: (1000 * this.tokens) / this.ms,
    };
  }
}

/** What the output file has; undefined where there is none yet. */
async function readResumable(job: ImportanceJob): Promise<ImportanceMatrix | undefined> {
  const { outputPath: path, windowSize, dataset } = job;
  let found: ImportanceMatrix;
  try {
    found = await readImportanceMatrix(path);
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw error;
  }
  const refuse = (field: string, is: string, expected: string) =>
    new JaugeError("importance-resume-mismatch", { path, field, found: is, expected });
  if (found.format !== "gguf") throw refuse("format", found.format, "gguf");
  if (found.chunkSize !== windowSize)
    throw refuse("imatrix.chunk_size", String(found.chunkSize), String(windowSize));
  // Where other files were added, the chunks are not the windows of this text.
  if (found.datasets.length !== 1 || found.datasets[0] !== dataset)
    throw refuse("imatrix.datasets", found.datasets.join(", "), dataset);
  return found;
}

/** Errors: `importance-sizes-differ` where the model has no such matrix. */
async function addMatrix(
  { engine, tensors }: ScoringModel,
  matrix: ImportanceMatrix,
  windowSize: number,
): Promise<void> {
  // The legacy format has means times chunks: times the tokens of a chunk they are sums again, as llama.cpp takes them.
  const factor = matrix.format === "legacy" ? windowSize : 1;
  for (const { name, values, counts, readSums } of matrix.entries.values()) {
    const shape = tensors.find((tensor) => tensor.name === name)?.shape ?? [];
    const expected = (shape[0] ?? 0) * (shape[2] ?? 1) * (shape[3] ?? 1);
    if (values !== expected)
      throw new JaugeError("importance-sizes-differ", {
        ...{ tensor: name, found: String(values), expected: String(expected) },
      });
    const sums = await readSums();
    if (factor !== 1) for (let index = 0; index < sums.length; index++) sums[index]! *= factor;
    const known = Float64Array.from(counts, (count) => count * factor);
    const entry: ImportanceEntry = {
      ...{ name, columns: values / counts.length, matrices: counts.length, counts: known },
    };
    await engine.addImportance(entry, sums);
  }
}
