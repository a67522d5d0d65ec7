import { mkdtemp, open, rm, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOfRow } from "../engine/log-probabilities.js";
import { JaugeError } from "../errors.js";
import { type Divergence, divergenceOf, type Perplexity, perplexityOf, type Scores } from "./figures.js";
import { measureGeneration } from "./generation-speed.js";
import { openForScoring, type ScoringModel, type ScoringRequest, tokensOf } from "./scoring-model.js";
import { refuseOtherVocabulary, type VocabularyPrint, vocabularyPrint } from "./vocabulary.js";
import { Windows } from "./windows.js";

export interface CompareJob {
  /** The first is what the others are held against. */
  paths: readonly string[];
  text: string;
  /** Tokens of a window. */
  windowSize: number;
  /** Windows at most; all of the text where absent. */
  chunks?: number;
  /** Folder for the first model's predictions while the others are measured; the system's where absent. */
  temporaryFolder?: string;
  request: ScoringRequest;
  onProgress?: (progress: CompareProgress) => void;
  /** A model is done: what to show as long as others are computed. */
  onResult?: (result: ModelFigures) => void;
}

export interface CompareProgress {
  path: string;
  chunk: number;
  chunks: number;
  perplexity: number;
}

/** What was measured of one file. */
export interface ModelFigures extends Perplexity {
  path: string;
  /** The mix the file says it has. */
  fileType?: string;
  /** Of the tensors. */
  bytes: number;
  parameters: number;
  bitsPerWeight: number;
  /** Tokens of the text per second, and of an answer. */
  promptTokensPerSecond: number;
  generationTokensPerSecond: number;
  /** Absent for the first file. */
  divergence?: Divergence;
}

export interface Comparison {
  windowSize: number;
  windows: number;
  scoredTokens: number;
  models: ModelFigures[];
}

/**
 * Measures models one after another on the same text, each within the budgets. The predictions of the first are kept in
 * a file of 2 bytes for each token of the vocabulary and each scored position, and the others' held against them.
 *
 * Errors: those of `openForScoring`, `text-too-short`, `compare-vocabulary`, `compare-not-finite`,
 * `compare-disk-full`, `cancelled`.
 */
export async function compareModels(job: CompareJob): Promise<Comparison> {
  const { paths } = job;
  const first = await vocabularyPrint(paths[0]!);
  for (const path of paths.slice(1)) refuseOtherVocabulary(first, await vocabularyPrint(path));
  const base = paths.length > 1 ? await BaseFile.create(job.temporaryFolder ?? tmpdir()) : undefined;
  const models: ModelFigures[] = [];
  let windows: Windows | undefined;
  let reference: Scores | undefined;
  try {
    for (const path of paths) {
      await using model = await openForScoring(path, job.windowSize, job.request);
      windows = new Windows(
        await tokensOf(model, job.text),
        job.windowSize,
        model.engine.info.model.tokens,
        job.chunks,
      );
      if (!reference) await base?.reserve(windows.count * windows.scoredTokens, first);
      const scores = await scoreAll(job, path, model, windows, base, reference !== undefined);
      const figures = await figuresOf(path, model, scores, reference);
      reference ??= scores;
      models.push(figures);
      job.onResult?.(figures);
    }
  } finally {
    await base?.remove();
  }
  const { count, scoredTokens } = windows!;
  return { windowSize: job.windowSize, windows: count, scoredTokens: count * scoredTokens, models };
}

async function scoreAll(
  job: CompareJob,
  path: string,
  { engine }: ScoringModel,
  windows: Windows,
  base: BaseFile | undefined,
  compares: boolean,
): Promise<Scores> {
  const total = windows.count * windows.scoredTokens;
  const scores: Scores = {
    surprise: new Float64Array(total),
    ...(compares && { divergence: new Float64Array(total), sameTop: new Uint8Array(total) }),
    tokens: windows.count * windows.size,
    decodeMs: 0,
  };
  let surprise = 0;
  for (let index = 0; index < windows.count; index++) {
    if (job.request.engine.signal?.aborted) throw new JaugeError("cancelled", {});
    const firstRow = index * windows.scoredTokens;
    const mode = compares ? ("compare" as const) : ("write" as const);
    const score = await engine.score({
      ...windows.at(index),
      ...(base && { base: { path: base.path, mode, firstRow } }),
    });
    if (!score.surprise.every((value) => !Number.isNaN(value)))
      throw new JaugeError("compare-not-finite", { path, window: index + 1 });
    scores.surprise.set(score.surprise, firstRow);
    if (score.divergence) scores.divergence!.set(score.divergence, firstRow);
    if (score.sameTop) scores.sameTop!.set(score.sameTop, firstRow);
    scores.decodeMs += score.decodeMs;
    for (const value of score.surprise) surprise += value;
    const perplexity = Math.exp(surprise / (firstRow + windows.scoredTokens));
    job.onProgress?.({ path, chunk: index + 1, chunks: windows.count, perplexity });
  }
  return scores;
}

async function figuresOf(
  path: string,
  { engine, outline }: ScoringModel,
  scores: Scores,
  reference: Scores | undefined,
): Promise<ModelFigures> {
  const { total } = outline.bytes;
  return {
    path,
    ...(outline.fileType !== undefined && { fileType: outline.fileType }),
    bytes: total,
    parameters: outline.parameters,
    bitsPerWeight: (8 * total) / outline.parameters,
    ...perplexityOf(scores.surprise),
    promptTokensPerSecond: (1000 * scores.tokens) / scores.decodeMs,
    generationTokensPerSecond: await measureGeneration(engine),
    ...(reference && { divergence: divergenceOf(scores, reference) }),
  };
}

/** The file with the first model's predictions: for the host to fill, and gone with the comparison. */
class BaseFile {
  private constructor(private readonly folder: string) {}

  static async create(parent: string): Promise<BaseFile> {
    return new BaseFile(await mkdtemp(join(parent, "jauge-compare-")));
  }

  get path(): string {
    return join(this.folder, "base.bin");
  }

  /** Makes the file, where the disk has room for all of it. Errors: `compare-disk-full`. */
  async reserve(rows: number, { tokens }: VocabularyPrint): Promise<void> {
    const neededBytes = rows * bytesOfRow(tokens);
    const { bavail, bsize } = await statfs(this.folder);
    const freeBytes = bavail * bsize;
    if (neededBytes > freeBytes)
      throw new JaugeError("compare-disk-full", { path: this.folder, neededBytes, freeBytes });
    await (await open(this.path, "wx", 0o600)).close();
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
