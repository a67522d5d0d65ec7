import type { KernelLane, QuantizeKernels } from "../quantize/kernels.js";
import type { OutputFile } from "./output-files.js";
import type { PartFile } from "./part-file.js";
import { type RowBlock, RowCut, roomFor } from "./row-blocks.js";

/** How far a conversion is, in bytes of the source. */
export interface ConversionProgress {
  bytes: number;
  totalBytes: number;
  /** Of `bytes`: done by an earlier start. */
  earlierBytes: number;
  /** The tensor that was begun last. */
  tensor: string;
}

/** What an importance matrix says of a model's tensors. */
export interface Weights {
  /** Names of those that it weighs. */
  tensors: ReadonlySet<string>;
  /** Differs wherever the matrix may. */
  fingerprint: string;
  /** One weight for each column, expert after expert. */
  read(tensor: string): Promise<Float32Array>;
}

export interface WriteTensorsOptions {
  kernels: QuantizeKernels;
  threads: number;
  weights?: Weights;
  signal?: AbortSignal;
  syncMs?: number;
  onProgress?: (progress: ConversionProgress) => void;
  /** Tensors that need no work, counted over all files in their order; those that get done are added. */
  finished: Set<number>;
  /** Told after every sync which tensors are on the disk for certain. */
  onSynced: (finished: ReadonlySet<number>) => Promise<void>;
}

/** Between two syncs where tensors are finished: no more than this, and the last sync's time, is ever done twice. */
const usualSyncMs = 1000;
/** Written bytes after which all is brought to the disk, however large a tensor: so much the system need not hold. */
const mostUnsyncedBytes = 512 * 2 ** 20;
/** Of all lanes' buffers together. */
const mostLaneBytes = 384 * 2 ** 20;

/** One tensor under way. */
interface Job {
  index: number;
  part: PartFile;
  /** Its place in its file. */
  place: number;
  cut: RowCut;
  weighted: boolean;
  /** Blocks that are not written yet; it is finished at none, once all are given out. */
  open: number;
  givenOut: boolean;
  weights?: Promise<Float32Array>;
}

/**
 * Converts and writes all tensors that are not finished, block by block: each lane reads a block, converts it and
 * writes it where it belongs, and takes the next. There are more lanes than threads, so that reading and writing
 * go on while others compute. Ends early on the first error, or when the signal says so; what was done is synced.
 */
export async function writeTensors(
  files: readonly OutputFile[],
  parts: readonly PartFile[],
  options: WriteTensorsOptions,
): Promise<void> {
  await new TensorWriter(files, parts, options).run();
}

class TensorWriter {
  private readonly jobs: Job[] = [];
  private readonly progress: ConversionProgress;
  private readonly work: Generator<{ job: Job; block: RowBlock }>;
  private failure: unknown;
  private unsyncedBytes = 0;
  private unsyncedTensors = 0;
  private lastSync = performance.now();
  private syncing: Promise<void> | undefined;

  constructor(
    files: readonly OutputFile[],
    private readonly parts: readonly PartFile[],
    private readonly options: WriteTensorsOptions,
  ) {
    let index = 0;
    let bytes = 0;
    let totalBytes = 0;
    for (const [at, file] of files.entries()) {
      for (const [place, tensor] of file.tensors.entries()) {
        const weighted = options.weights?.tensors.has(tensor.name) ?? false;
        const cut = new RowCut(tensor, weighted);
        totalBytes += cut.sourceBytes;
        if (options.finished.has(index)) bytes += cut.sourceBytes;
        else this.jobs.push({ index, part: parts[at]!, place, cut, weighted, open: 0, givenOut: false });
        index++;
      }
    }
    this.progress = { bytes, totalBytes, earlierBytes: bytes, tensor: "" };
    this.work = this.blocks();
  }

  async run(): Promise<void> {
    const { kernels, threads, onProgress } = this.options;
    onProgress?.({ ...this.progress });
    const converted = this.jobs.filter(({ cut }) => cut.tensor.type !== cut.tensor.source.type);
    await kernels.prepare([...new Set(converted.map(({ cut }) => cut.tensor.type))]);
    const room = roomFor(this.jobs.map(({ cut }) => cut));
    const laneBytes = room.sourceBytes + room.targetBytes + 4 * (room.elements + room.rowElements);
    const lanes = Math.min(threads + 2, Math.max(1, Math.floor(mostLaneBytes / Math.max(1, laneBytes))));
    await Promise.all(Array.from({ length: lanes }, () => this.runLane(kernels.lane(room))));
    await this.syncing;
    try {
      await this.sync();
    } catch (error) {
      this.failure ??= error;
    }
    if (this.failure !== undefined) throw this.failure;
  }

  private get ended(): boolean {
    return this.failure !== undefined || this.options.signal?.aborted === true;
  }

  private async runLane(lane: KernelLane): Promise<void> {
    try {
      while (!this.ended) {
        const next = this.work.next();
        if (next.done) return;
        await this.convert(lane, next.value.job, next.value.block);
      }
    } catch (error) {
      this.failure ??= error;
    }
  }

  private *blocks(): Generator<{ job: Job; block: RowBlock }> {
    for (const job of this.jobs) {
      this.progress.tensor = job.cut.tensor.name;
      let before: RowBlock | undefined;
      for (const block of job.cut.blocks()) {
        if (before) yield { job, block: before };
        before = block;
        job.open++;
      }
      job.givenOut = true;
      if (before) yield { job, block: before };
    }
  }

  private async convert(lane: KernelLane, job: Job, { firstRow, rows }: RowBlock): Promise<void> {
    const { cut } = job;
    const { tensor, rowElements } = cut;
    await tensor.source.readRows(lane.source.subarray(0, rows * cut.sourceRowBytes), firstRow);
    if (job.weighted) {
      job.weights ??= this.options.weights!.read(tensor.name);
      const expert = Math.floor(firstRow / (tensor.shape[1] ?? 1));
      const weights = (await job.weights).subarray(expert * rowElements, (expert + 1) * rowElements);
      lane.importance.set(weights);
    }
    const data = await lane.convert({
      ...{ tensor: tensor.name, firstRow, from: tensor.source.type, to: tensor.type },
      ...{ rows, rowElements, weighted: job.weighted },
    });
    await job.part.write(job.place, data, firstRow * cut.targetRowBytes);
    this.written(job, data.byteLength, rows * cut.sourceRowBytes);
  }

  private written(job: Job, bytes: number, sourceBytes: number): void {
    job.open--;
    if (job.givenOut && job.open === 0) {
      this.options.finished.add(job.index);
      this.unsyncedTensors++;
      job.weights = undefined;
    }
    this.progress.bytes += sourceBytes;
    this.options.onProgress?.({ ...this.progress });
    this.unsyncedBytes += bytes;
    if (this.syncing) return;
    const isTime = performance.now() - this.lastSync >= (this.options.syncMs ?? usualSyncMs);
    if (this.unsyncedBytes >= mostUnsyncedBytes || (isTime && this.unsyncedTensors > 0)) {
      this.syncing = this.sync()
        .catch((error) => {
          this.failure ??= error;
        })
        .finally(() => {
          this.syncing = undefined;
        });
    }
  }

  private async sync(): Promise<void> {
    this.unsyncedBytes = 0;
    this.unsyncedTensors = 0;
    // what is finished by now is what the sync brings to the disk
    const finished = new Set(this.options.finished);
    for (const part of this.parts) await part.sync();
    await this.options.onSynced(finished);
    this.lastSync = performance.now();
  }
}
