import { isJaugeError, JaugeError } from "../errors.js";
import { availableHostBytes } from "../hardware/memory.js";
import { checkPlan } from "../plan/check.js";
import { type Plan, streamFromRows, streamsFrom } from "../plan/plan.js";
import { checkAdapter } from "./check-adapter.js";
import { Connection } from "./connection.js";
import { Hosted } from "./hosted.js";
import type { LibraryWish } from "./native/libraries.js";
import type {
  CalibrationTask,
  Device,
  ImportanceEntry,
  ImportanceOptions,
  MemoryUse,
  OpenedModel,
  Pooling,
  ProcessorCalibration,
  ScoringWindow,
  Step,
  StepResult,
  WindowScore,
} from "./protocol.js";
import type { SamplingSettings } from "./sampling.js";

export interface EngineOptions {
  libraries?: LibraryWish;
  onProgress?: (fraction: number) => void;
  /** Lines of the native libraries' own log. */
  onLog?: (line: string) => void;
  signal?: AbortSignal;
  /** Collect the importance of columns while windows are scored. */
  importance?: ImportanceOptions;
  /** Another program to run as the host, which speaks the same protocol; for tests. */
  hostEntry?: string;
}

/**
 * A loaded model in a host process. Every call is a message; none blocks this process. When the host dies, the
 * calls under way fail with `host-crashed`, and `restart` brings a new host with the same plan: KV cache and
 * samplers are empty then, and whoever ran sequences replays them (the executor does).
 */
export class Engine extends Hosted {
  /** How often the host was started anew. */
  restarts = 0;

  private constructor(
    private currentPlan: Plan,
    private readonly options: EngineOptions,
    connection: Connection,
    private model: OpenedModel,
  ) {
    super(connection);
  }

  /**
   * Loads the model of a plan. Errors: those of the libraries (`library-…`, `backend-unavailable`), `plan-invalid`,
   * `device-unknown`, `model-load-failed`, `adapter-load-failed`, `out-of-memory`, `context-failed`, `cancelled`,
   * `host-crashed`. The host of a `measurer` goes over to the engine: its libraries are loaded already.
   */
  static async open(plan: Plan, options: EngineOptions = {}, measurer?: Measurer): Promise<Engine> {
    checkPlan(plan);
    const connection =
      (await measurer?.handOver(plan, options)) ??
      new Connection({ ...options, streamsFrom: streamsFrom(plan) });
    const model = await openModel(connection, plan, options);
    return new Engine(plan, options, connection, model);
  }

  /** The plan in force. */
  get plan(): Plan {
    return this.currentPlan;
  }

  get info(): OpenedModel {
    return this.model;
  }

  /** Which libraries compute. */
  get libraries(): LibraryWish {
    return this.options.libraries ?? {};
  }

  get logTail(): string {
    return this.connection.logTail;
  }

  step(step: Step): Promise<StepResult> {
    return this.ask("step", step);
  }

  /** Makes a sampler for runs to name. It has seen `history`. Errors: `grammar-invalid`. */
  async createSampler(id: number, settings: SamplingSettings, history: Int32Array): Promise<void> {
    await this.ask("createSampler", { id, settings, history });
  }

  /** One vector per text. Errors: `text-too-long`, `embeddings-unsupported`. */
  embed(texts: Int32Array[], pooling: Pooling = "model"): Promise<Float32Array[]> {
    return this.askSurely("embed", { texts, pooling });
  }

  /** Bytes per device that another plan of the same model would take, from a dry run in the host. */
  measure(plan: Plan): Promise<MemoryUse[]> {
    checkPlan(plan);
    return this.askSurely("measure", { wish: this.libraries, plan });
  }

  /** Errors: `decode-failed`, `importance-not-finite`, `file-unwritable`, `file-unreadable`. */
  score(window: ScoringWindow): Promise<WindowScore> {
    return this.ask("score", window);
  }

  /** What was collected of each matrix; see `EngineOptions.importance`. */
  importance(): Promise<ImportanceEntry[]> {
    return this.ask("importance", {});
  }

  importanceSums(name: string): Promise<Float32Array> {
    return this.ask("importanceSums", { name });
  }

  /** Adds what was collected before. Errors: `importance-sizes-differ`. */
  async addImportance(entry: ImportanceEntry, sums: Float32Array): Promise<void> {
    await this.ask("addImportance", { entry, sums });
  }

  saveState(path: string, sequence: number, tokens: Int32Array): Promise<{ bytes: number }> {
    return this.ask("saveState", { path, sequence, tokens });
  }

  loadState(path: string, sequence: number): Promise<{ tokens: Int32Array }> {
    return this.ask("loadState", { path, sequence });
  }

  /** Bytes allocated now, per device. */
  memory(): Promise<MemoryUse[]> {
    return this.askSurely("memory", {});
  }

  /**
   * Goes on with another plan of the same model, in a new host: KV cache and samplers are empty then, as after
   * `restart`. Where the new plan cannot be opened the old one is opened again, and the error thrown.
   */
  async replan(plan: Plan): Promise<void> {
    checkPlan(plan);
    await this.restarting;
    const before = this.currentPlan;
    this.currentPlan = plan;
    try {
      await this.restart({ force: true });
    } catch (error) {
      this.currentPlan = before;
      await this.restart({ force: true });
      throw error;
    }
  }

  /** The devices and what is free on them now. */
  devices(): Promise<Device[]> {
    return this.askSurely("devices", { wish: this.options.libraries ?? {} });
  }

  protected connectAgain(): Connection {
    this.restarts++;
    return new Connection({ ...this.lastingOptions, streamsFrom: streamsFrom(this.plan) });
  }

  protected async loadAgain(connection: Connection): Promise<void> {
    this.model = await openModel(connection, this.plan, this.lastingOptions);
  }

  /** Without those of the first load alone. */
  private get lastingOptions(): EngineOptions {
    const { signal: _, onProgress: __, ...options } = this.options;
    return options;
  }
}

/**
 * Measures plans: exact bytes per device, from a host that allocates nothing. Many plans may be measured one after
 * another, which saves the start of the host and its libraries.
 */
export class Measurer implements AsyncDisposable {
  private readonly connection: Connection;
  private isHandedOver = false;

  constructor(private readonly options: EngineOptions = {}) {
    this.connection = new Connection(options);
  }

  /**
   * The host, for an engine; this measurer is of no more use then. Undefined, and the host ended, where the plan streams
   * batches of other sizes than it was started for.
   */
  async handOver(plan: Plan, { onProgress }: EngineOptions): Promise<Connection | undefined> {
    if (streamsFrom(plan) !== streamFromRows) {
      await this.connection.close();
      return undefined;
    }
    this.isHandedOver = true;
    this.connection.onProgress = onProgress;
    return this.connection;
  }

  /** Errors: those of `Engine.open`. */
  async measure(plan: Plan): Promise<MemoryUse[]> {
    checkPlan(plan);
    refuseTooManyCells(plan);
    try {
      return await this.connection.ask("measure", { wish: this.options.libraries ?? {}, plan });
    } catch (error) {
      throw explainLoadFailure(error, this.connection.logTail, plan);
    }
  }

  devices(): Promise<Device[]> {
    return this.connection.ask("devices", { wish: this.options.libraries ?? {} });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.isHandedOver) await this.connection.close();
  }
}

/** Exact bytes per device that one plan would take. */
export async function measure(plan: Plan, options: EngineOptions = {}): Promise<MemoryUse[]> {
  await using measurer = new Measurer(options);
  return await measurer.measure(plan);
}

/** The vocabulary of a model, in a host that reads no weights. */
export class VocabularyHost extends Hosted {
  private constructor(
    private readonly plan: Plan,
    private readonly options: EngineOptions,
    connection: Connection,
  ) {
    super(connection);
  }

  /** Errors: those of `Engine.open`. */
  static async open(plan: Plan, options: EngineOptions = {}): Promise<VocabularyHost> {
    checkPlan(plan);
    const connection = new Connection(options);
    await openModel(connection, plan, options, true);
    return new VocabularyHost(plan, options, connection);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected connectAgain(): Connection {
    return new Connection(this.options);
  }

  protected async loadAgain(connection: Connection): Promise<void> {
    await openModel(connection, this.plan, this.options, true);
  }
}

/** The devices that the libraries can compute on. */
export async function listDevices(options: EngineOptions = {}) {
  const connection = new Connection(options);
  try {
    return await connection.ask("devices", { wish: options.libraries ?? {} });
  } finally {
    await connection.close();
  }
}

/**
 * Measures one processor, in a host that ends afterwards. What its backend takes of the device's memory is seen by a
 * second, idle host: the first one's own reading has the backend in it already. Errors: those of the libraries,
 * `device-unknown`, `out-of-memory`, `calibration-failed`, `cancelled`, `host-crashed`.
 */
export async function calibrate(
  task: CalibrationTask,
  options: EngineOptions = {},
): Promise<ProcessorCalibration> {
  const { signal, libraries: wish = {} } = options;
  if (signal?.aborted) throw new JaugeError("cancelled", {});
  const connection = new Connection(options);
  const observer = task.device === "CPU" ? undefined : new Connection();
  const stop = () => connection.close();
  signal?.addEventListener("abort", stop);
  try {
    const before = await freeBytes(observer, task.device, wish);
    const answer = await connection.ask("calibrate", { wish, task });
    const after = await freeBytes(observer, task.device, wish);
    return { ...answer, deviceBytes: Math.max(answer.deviceBytes, before - after) };
  } catch (error) {
    throw signal?.aborted ? new JaugeError("cancelled", {}) : error;
  } finally {
    signal?.removeEventListener("abort", stop);
    await Promise.all([connection.close(), observer?.close()]);
  }
}

/** Free memory of a device, by its driver's own reading where it has one. */
async function freeBytes(observer: Connection | undefined, name: string, wish: LibraryWish): Promise<number> {
  const devices = (await observer?.ask("devices", { wish })) ?? [];
  const device = devices.find((one) => one.name === name);
  return device?.reading?.freeBytes ?? device?.freeBytes ?? 0;
}

async function openModel(
  connection: Connection,
  plan: Plan,
  options: EngineOptions,
  dry = false,
): Promise<OpenedModel> {
  const { signal } = options;
  const cancel = () => connection.cancelLoad();
  try {
    if (signal?.aborted) throw new JaugeError("cancelled", {});
    signal?.addEventListener("abort", cancel);
    refuseTooManyCells(plan);
    for (const { path } of plan.adapters) await checkAdapter(path);
    const { libraries: wish = {}, importance } = options;
    const model = await connection.ask("open", { wish, plan, dry, ...(importance && { importance }) });
    // Too late to stop the load, not too late to mean it.
    if (signal?.aborted) throw new JaugeError("cancelled", {});
    return model;
  } catch (error) {
    const log = connection.logTail;
    await connection.close();
    throw explainLoadFailure(error, log, plan);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

/**
 * libllama keeps 52 bytes of host memory for each cell of the KV cache, wherever the cache is and in dry runs too:
 * positions, shifts and the set of sequences (llama-kv-cells.h v0.5.0). Too many of them, and the system would kill
 * the host, or another process. Errors: `out-of-memory`.
 */
function refuseTooManyCells(plan: Plan): void {
  const shared = plan.kvLayout === "unified" ? plan.kvCells : undefined;
  const neededBytes = 52 * (shared ?? plan.sequences * plan.contextLength);
  const freeBytes = availableHostBytes();
  if (neededBytes > freeBytes)
    throw new JaugeError("out-of-memory", { device: "host", neededBytes, freeBytes });
}

/** Turns a native failure into the error that says what to do, from what the libraries logged. */
function explainLoadFailure(error: unknown, log: string, plan: Plan): unknown {
  const failed =
    isJaugeError(error, "model-load-failed") ||
    isJaugeError(error, "context-failed") ||
    isJaugeError(error, "host-crashed");
  if (!failed) return error;
  const memory =
    /failed to allocate (\S+) buffer of size (\d+)|in a buffer \((\S+)\) that cannot run|unable to allocate (\S+) buffer|ErrorOutOf(?:Device|Host)Memory|out of memory|bad_alloc/i.exec(
      log,
    );
  if (!memory) return error;
  const size = /buffer of size (\d+)|allocating ([\d.]+) MiB/.exec(log);
  const neededBytes = size ? (size[1] ? Number(size[1]) : Math.round(Number(size[2]) * 2 ** 20)) : undefined;
  const device = (memory[1] ?? memory[3] ?? memory[4] ?? "host").replace(/^CPU.*/, "host");
  const onHost = device === "host";
  return new JaugeError(
    "out-of-memory",
    {
      device,
      ...(neededBytes === undefined ? {} : { neededBytes }),
      ...(onHost ? { freeBytes: availableHostBytes() } : {}),
    },
    { cause: { error, plan } },
  );
}
