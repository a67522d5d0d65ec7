import { fileURLToPath } from "node:url";
import { type ChatGeneration, PreparingGeneration } from "./chat-generation.js";
import type { ScoringRequest } from "./compare/scoring-model.js";
import { checkSampling } from "./engine/check-sampling.js";
import { type Engine, type EngineOptions, listDevices, VocabularyHost } from "./engine/engine.js";
import { type Backend, backends, llamaVersion } from "./engine/native/libraries.js";
import type { MemoryUse, OpenedModel, Pooling } from "./engine/protocol.js";
import { defaultSampling, type SamplingSettings } from "./engine/sampling.js";
import { JaugeError } from "./errors.js";
import { Executor } from "./executor/executor.js";
import { jsonSchemaToGrammar } from "./executor/grammar/json-schema.js";
import { type ChosenFormat, chooseFormat } from "./executor/prompts/choose.js";
import { fitConversation } from "./executor/prompts/fit.js";
import type { Message, RenderedPrompt } from "./executor/prompts/prompt.js";
import type { Generation, GenerationRequest } from "./executor/request.js";
import { readModel } from "./gguf/model-file.js";
import type { ModelOutline } from "./gguf/outline.js";
import { validateModel } from "./gguf/validate.js";
import { residentBytes } from "./hardware/resident.js";
import { localized } from "./messages/locale.js";
import { planTexts } from "./messages/plan-texts.js";
import type { BudgetWish, BudgetWishes, VramWish } from "./plan/budget.js";
import { parseRamBudget, parseVramBudget } from "./plan/budget-text.js";
import { planBeside, usualPooling } from "./plan/embedding.js";
import type { JobProfile } from "./plan/job.js";
import type { ModelPlan, Objective } from "./plan/model-plan.js";
import { type Plan, simplePlan } from "./plan/plan.js";
import { checkSavedPlan, refuseChanged, refuseContradiction } from "./plan/saved-plan.js";
import { planFields } from "./plan/saved-plan-schema.js";
import type { ModelSource } from "./plan/source.js";
import { checkRoomBeside } from "./planner/embedding-room.js";
import { openAsPlanned, openPlanned, type Planned } from "./planner/open-planned.js";
import { planModel } from "./planner/plan-model.js";
import { planWithin } from "./planner/smaller-plan.js";
import { openModelFile } from "./planner/sources/open.js";
import { DeviceWatch, type EnergyUse, type SpaceTaken } from "./planner/watch.js";

const texts = localized(planTexts);

export type { ChatGeneration, ChatResult } from "./chat-generation.js";

/** The model that comes with the package. */
export const defaultModelPath = fileURLToPath(new URL("../models/stories260K.gguf", import.meta.url));

/**
 * How to load a model. What is said is fixed; all else is planned, within the budgets. A `contextLength` of 0 is the
 * model's own.
 */
export interface LoadOptions extends Partial<Omit<Plan, "modelPath">> {
  /** Device memory that may be used: `11.5GB`, `90%`, `free-512MiB`, `0=11.5GB,1=8GiB`. A safe share of what is free by default. */
  vram?: string | VramWish;
  /** RAM that may be used: `56GiB`, `90%`, `free-2GiB`. */
  ram?: string | BudgetWish;
  /** What the plan is to be best at; `chat` by default. */
  objective?: Objective;
  /** Of a batch: what its requests are like, so that the plan has room for as many of them as pay. */
  job?: JobProfile;
  /** Let weights be read from the disk again and again where RAM does not suffice. */
  allowDisk?: boolean;
  /** A plan made before, to be carried out as it is; refused where the model, the devices or the libraries changed. */
  savedPlan?: ModelPlan;
  /** Move to a smaller plan when another program takes device memory. */
  yieldMemory?: boolean;
  /** Another program took device memory while the model was loaded. */
  onSpaceTaken?: (taken: SpaceTaken) => void;
  /** Which libraries compute; `auto` takes the fastest that this machine can use. */
  backend?: Backend | "auto";
  /** A folder of llama.cpp libraries built elsewhere; JAUGE_LIB_DIR where absent. */
  libraryDirectory?: string;
  /** A prompt format by name, a Jinja template, or the path of a file with one. */
  template?: string;
  /** Guess tokens by prompt lookup where it pays; never changes a text. On by default. */
  speculation?: boolean;
  /** One sequence at a time, computed in the same micro-batches every time: texts that depend on their request alone. */
  exact?: boolean;
  signal?: AbortSignal;
  /** The part of the model that is loaded, 0 to 1. */
  onProgress?: (fraction: number) => void;
  /** Lines of the native libraries' own log. */
  onLog?: (line: string) => void;
}

/** How to answer: sampling settings, and where to stop. */
export type GenerateOptions = Partial<SamplingSettings> &
  Omit<GenerationRequest, "tokens" | "sampling"> & {
    /** The answer must be JSON of this schema. */
    jsonSchema?: unknown;
  };

/**
 * Loads a GGUF model as planned within the budgets, and proves that it keeps them. Its file is checked in full before
 * native code sees it.
 * Errors: `file-unreadable`, `not-a-gguf`, `gguf-…`, `budget-…`, `plan-…`, and those of `Engine.open`.
 */
export async function load(path: string, options: LoadOptions = {}): Promise<Model> {
  const source = await openModelFile(path);
  const engineOptions = engineOptionsOf(options);
  if (options.signal?.aborted) throw new JaugeError("cancelled", {});
  const request = {
    model: source,
    budgets: budgetsOf(options),
    wishes: wishesOf(options),
    objective: options.objective ?? "chat",
    ...(options.allowDisk !== undefined && { allowDisk: options.allowDisk }),
    ...(options.job && { job: options.job }),
  };
  const planned = options.savedPlan
    ? await openSaved(options.savedPlan, source, engineOptions)
    : await openPlanned(request, engineOptions);
  try {
    const format = await formatFor(planned.engine, path, source.outline, options.template);
    return new Model(path, source.outline, planned, format, options);
  } catch (error) {
    await planned.engine.close();
    throw error;
  }
}

/** What options of a load say to a model that is only to be scored. Errors: `budget-…`, `plan-invalid`. */
export function scoringRequestOf(options: LoadOptions): ScoringRequest {
  const { allowDisk } = options;
  return {
    budgets: budgetsOf(options),
    wishes: wishesOf(options),
    ...(allowDisk !== undefined && { allowDisk }),
    engine: engineOptionsOf(options),
  };
}

/** How to plan: the settings of a load, and for which machine and quantisation. */
export interface PlanOptions
  extends Omit<LoadOptions, "savedPlan" | "onProgress" | "onLog" | "onSpaceTaken"> {
  /** A hardware file or a profile's name: plan for that machine instead of this one. */
  hardware?: string;
  /** Plan the model as if it were quantised so: `Q4_K_M`. */
  mix?: string;
}

/**
 * Plans a model without loading it: a GGUF here or on the web, or the configuration of one that is not converted. Where
 * nothing fits, the plan says so (`fits`). Errors: those of `openSource`, `budget-…`, `hardware-…`, `plan-invalid`.
 */
export async function plan(model: string, options: PlanOptions = {}): Promise<ModelPlan> {
  const { hardware, mix, allowDisk, signal, ...rest } = options;
  return planModel({
    model,
    budgets: budgetsOf(rest),
    wishes: wishesOf(rest),
    objective: rest.objective ?? "chat",
    ...engineOptionsOf(rest),
    ...(hardware !== undefined && { hardware }),
    ...(mix !== undefined && { mix }),
    ...(allowDisk !== undefined && { allowDisk }),
    ...(rest.job && { job: rest.job }),
    ...(signal && { signal }),
  });
}

/**
 * Loads a model's vocabulary alone, to turn text into tokens and back: quick, whatever the model's size.
 * Errors: those of `load`.
 */
export async function loadTokenizer(
  path: string,
  options: Pick<LoadOptions, "backend" | "libraryDirectory" | "signal" | "onLog"> = {},
): Promise<VocabularyHost> {
  await validateModel(await readModel(path));
  const smallest = { gpuLayers: 0, contextLength: 256, microBatch: 32, threads: 1 };
  return VocabularyHost.open(simplePlan({ modelPath: path, ...smallest }), engineOptionsOf(options));
}

/** A loaded model. Many generations may run at once; they share what their prompts have in common. */
export class Model implements AsyncDisposable {
  private readonly executor: Executor;
  private readonly engine: Engine;
  private readonly watch: DeviceWatch;
  private currentPlan: ModelPlan;
  /** Plans of contexts beside this one that were found to fit, as JSON. */
  private readonly roomFor = new Set<string>();

  /** Use `load`. */
  constructor(
    readonly path: string,
    readonly outline: ModelOutline,
    planned: Planned,
    /** The prompt format in use, and why. */
    readonly format: ChosenFormat,
    options: LoadOptions,
  ) {
    this.engine = planned.engine;
    this.currentPlan = planned.plan;
    this.executor = new Executor(this.engine, {
      speculation: options.speculation ?? true,
      exact: options.exact ?? false,
    });
    this.watch = new DeviceWatch(this.engine, (taken) => {
      options.onSpaceTaken?.(taken);
      if (options.yieldMemory) this.yieldTo(taken).catch(() => {});
    });
  }

  /** The plan in force, with its budgets and predictions. */
  get modelPlan(): ModelPlan {
    return this.currentPlan;
  }

  /**
   * Moves to the best plan within smaller budgets, between two steps: what runs goes on in it, and no token is lost or
   * repeated. Settings stay; only places change. Errors: `plan-does-not-fit`, those of `Engine.open`; the model
   * goes on as before then.
   */
  async moveWithin(budgets: Pick<LoadOptions, "vram" | "ram">): Promise<ModelPlan> {
    const plan = await planWithin(this.engine, this.currentPlan, budgetsOf(budgets));
    await this.executor.betweenSteps(() => this.engine.replan(plan.engine));
    this.currentPlan = plan;
    this.roomFor.clear();
    return plan;
  }

  private async yieldTo({ device, leftBytes, keepFreeBytes }: SpaceTaken): Promise<void> {
    const held = this.currentPlan.devices.find(({ name }) => name === device);
    if (!held) return;
    const bytes = Math.max(0, held.plannedBytes - Math.max(0, keepFreeBytes - leftBytes));
    await this.moveWithin({
      vram: { kind: "by-device", wishes: [{ device, wish: { kind: "bytes", bytes } }] },
    });
  }

  get info(): OpenedModel {
    return this.engine.info;
  }

  get plan(): Plan {
    return this.engine.plan;
  }

  /** Most tokens of one conversation, prompt and answer together. */
  get contextLength(): number {
    return this.executor.contextLength;
  }

  /** Process that holds the model's memory. */
  get hostProcessId(): number | undefined {
    return this.engine.processId;
  }

  /**
   * Answers the last message of a conversation, in the model's own prompt format. A conversation that does not fit
   * loses its oldest turns, never the system prompt; the result says how many.
   */
  chat(messages: readonly Message[], options: GenerateOptions = {}): ChatGeneration {
    return new PreparingGeneration(async () => {
      const tokenized = new Map<RenderedPrompt, Int32Array>();
      const fitted = await fitConversation(this.format, messages, {
        contextLength: this.contextLength,
        reserve: Math.min(options.maxTokens ?? 512, Math.floor(this.contextLength / 2)),
        countTokens: async (prompt) => {
          const tokens = await this.tokenizePrompt(prompt);
          tokenized.set(prompt, tokens);
          return tokens.length;
        },
      });
      const generation = this.submit(this.chatRequest(tokenized.get(fitted.prompt)!, options));
      return { generation, format: this.format.name, droppedTurns: fitted.droppedTurns };
    });
  }

  /**
   * The request that a conversation (in the model's own prompt format), a text or tokens (continued as they are) make, for
   * `submit`: its prompt's tokens are known before it runs. Nothing is left out of a conversation that does not fit.
   * Errors: those of the prompt format, `sampling-invalid`, `json-schema-unsupported`.
   */
  async prepare(
    prompt: readonly Message[] | string | Int32Array,
    options: GenerateOptions = {},
  ): Promise<GenerationRequest> {
    if (typeof prompt === "string") return this.request(await this.tokenize(prompt), options);
    if (prompt instanceof Int32Array) return this.request(prompt, options);
    return this.chatRequest(await this.tokenizePrompt(await this.format.render(prompt)), options);
  }

  /** Runs what `prepare` made. */
  submit(request: GenerationRequest): Generation {
    return this.executor.submit(request);
  }

  /** Continues a text as it is: no prompt format. */
  complete(prompt: string, options: GenerateOptions = {}): ChatGeneration {
    return new PreparingGeneration(async () => {
      const tokens = await this.tokenize(prompt);
      return {
        generation: this.submit(this.request(tokens, options)),
        format: "raw",
        droppedTurns: 0,
      };
    });
  }

  /** Continues tokens. Sampling settings that are not given have llama.cpp's defaults. */
  generate(
    request: Omit<GenerationRequest, "tokens" | "sampling"> & {
      tokens: ArrayLike<number>;
      sampling?: Partial<SamplingSettings>;
    },
  ): Generation {
    const sampling = { ...defaultSampling, ...request.sampling };
    checkSampling(sampling, this.info.model.vocabularySize);
    return this.executor.submit({ ...request, tokens: Int32Array.from(request.tokens), sampling });
  }

  /**
   * One vector per text (or its tokens), of length 1 unless `normalize` is false. A plan for embeddings has the memory for it;
   * with any other, a context is made beside the plan's for as long as this takes, where the budgets leave room for it.
   * Errors: `text-too-long`, `embeddings-unsupported`, `embeddings-beyond-budget`.
   */
  async embed(
    texts: (string | Int32Array)[],
    options: { pooling?: Pooling; normalize?: boolean } = {},
  ): Promise<Float32Array[]> {
    if (texts.length === 0) return [];
    const tokens = await Promise.all(
      texts.map((text) =>
        typeof text === "string" ? this.tokenize(text, { parseSpecial: false }) : this.checkTokens(text),
      ),
    );
    const pooling = options.pooling ?? this.plan.embeddings?.pooling ?? usualPooling(this.outline);
    const longest = tokens.reduce((most, { length }) => Math.max(most, length), 1);
    await this.checkRoomToEmbed(longest, pooling);
    const vectors = await this.engine.embed(tokens, pooling);
    return options.normalize === false ? vectors : vectors.map(normalized);
  }

  /** Text to tokens. Special tokens are added as the model's metadata says, and read where the text names them. */
  tokenize(
    text: string,
    options: { addSpecial?: boolean; parseSpecial?: boolean } = {},
  ): Promise<Int32Array> {
    return this.engine.tokenize(text, options);
  }

  detokenize(tokens: ArrayLike<number>): Promise<string> {
    return this.engine.detokenize(tokens, { unparseSpecial: true });
  }

  /** The text of each token by itself, for display: a part of a character shows as U+FFFD. */
  tokenTexts(tokens: number[]): Promise<string[]> {
    return this.engine.tokenTexts(tokens);
  }

  /** The bytes of each token by itself. */
  async tokenBytes(tokens: number[]): Promise<Uint8Array[]> {
    return (await this.engine.pieces(tokens)).map(({ bytes }) => bytes);
  }

  /** Bytes allocated now, per device. */
  memory(): Promise<MemoryUse[]> {
    return this.engine.memory();
  }

  /**
   * The most that was held so far, by device and for `host` (the engine's process), where the driver or the system counts it.
   */
  async peakMemory(): Promise<Record<string, number>> {
    const peaks = Object.fromEntries(await this.watch.peakBytes());
    const host = this.hostProcessId && residentBytes(this.hostProcessId, { mappedFiles: false });
    return host ? { ...peaks, host: host.peak } : peaks;
  }

  /** What the CPU and the devices of the plan took since the model was loaded, where their counters or drivers tell. */
  energy(): Promise<EnergyUse> {
    return this.watch.energy();
  }

  /** Ends all generations and frees all memory. */
  async close(): Promise<void> {
    this.watch.stop();
    await this.executor.close();
    await this.engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async checkRoomToEmbed(longest: number, pooling: Pooling): Promise<void> {
    // What can never be embedded is refused where it would be.
    const hasPooling = pooling !== "rank" || this.outline.pooling === "rank";
    if (longest > this.plan.contextLength || !hasPooling) return;
    const beside = planBeside(this.plan, longest, pooling);
    if (!beside) return;
    const key = JSON.stringify(beside);
    if (this.roomFor.has(key)) return;
    await checkRoomBeside(this.engine, this.currentPlan, beside, this.outline);
    this.roomFor.add(key);
  }

  private checkTokens(tokens: Int32Array): Int32Array {
    const { vocabularySize } = this.info.model;
    const unknown = tokens.find((token) => token < 0 || token >= vocabularySize);
    if (unknown !== undefined) throw new JaugeError("token-unknown", { token: unknown, vocabularySize });
    return tokens;
  }

  private chatRequest(tokens: Int32Array, options: GenerateOptions): GenerationRequest {
    const stop = [...this.format.stops, ...(options.stop ?? [])];
    const trimStart = options.trimStart ?? this.format.name !== "raw";
    return this.request(tokens, { ...options, stop, trimStart });
  }

  private request(tokens: Int32Array, options: GenerateOptions): GenerationRequest {
    const { jsonSchema, ...rest } = options;
    const sampling = { ...defaultSampling };
    const request: Omit<GenerationRequest, "sampling"> = { tokens };
    for (const [name, value] of Object.entries(rest)) {
      if (value === undefined) continue;
      const target = name in defaultSampling || name === "grammar" || name === "seed" ? sampling : request;
      Object.assign(target, { [name]: value });
    }
    if (jsonSchema !== undefined) sampling.grammar = jsonSchemaToGrammar(jsonSchema);
    checkSampling(sampling, this.info.model.vocabularySize);
    return { ...request, sampling };
  }

  /** The tokens of a prompt: what a person wrote can never become a control token. */
  private async tokenizePrompt({ segments, addSpecial }: RenderedPrompt): Promise<Int32Array> {
    const { addBos, bos } = this.info.model.tokens;
    const parts = await Promise.all(
      segments.map(({ text, special }) =>
        this.engine.tokenize(text, { addSpecial: false, parseSpecial: special }),
      ),
    );
    return Int32Array.from([...(addSpecial && addBos ? [bos] : []), ...parts.flatMap((part) => [...part])]);
  }
}

const notOfThePlan = [
  ...["backend", "libraryDirectory", "template", "speculation", "signal", "onProgress", "onLog"],
  ...["vram", "ram", "objective", "job", "allowDisk", "savedPlan", "yieldMemory", "onSpaceTaken", "exact"],
] as const satisfies (keyof Omit<LoadOptions, keyof Plan>)[];

/** What is fixed of the engine's plan. Errors: `plan-invalid` for a setting that does not exist. */
function wishesOf(options: LoadOptions): Partial<Plan> {
  const others = new Set<string>(notOfThePlan);
  const given = Object.entries(options).filter(([name, value]) => value !== undefined && !others.has(name));
  // A limit that is misspelt would be no limit.
  const unknown = given.find(([name]) => !planFields.includes(name));
  if (unknown) throw new JaugeError("plan-invalid", { field: unknown[0], problem: texts.unknownSetting });
  return Object.fromEntries(given);
}

function budgetsOf({ vram, ram }: Pick<LoadOptions, "vram" | "ram">): BudgetWishes {
  return {
    ...(vram !== undefined && {
      vram: typeof vram === "object" ? vram : parseVramBudget(String(vram), "vram"),
    }),
    ...(ram !== undefined && { ram: typeof ram === "object" ? ram : parseRamBudget(String(ram), "ram") }),
  };
}

async function openSaved(
  plan: ModelPlan,
  { fingerprint, path }: ModelSource,
  options: EngineOptions,
): Promise<Planned> {
  refuseContradiction(checkSavedPlan(plan, "savedPlan"), "savedPlan");
  const devices = await listDevices(options);
  refuseChanged(plan, { fingerprint, libraryVersion: llamaVersion, devices });
  // The file may have moved since; its fingerprint says that it is the same.
  return openAsPlanned({ ...plan, engine: { ...plan.engine, modelPath: path ?? "" } }, options);
}

function engineOptionsOf(options: LoadOptions): EngineOptions {
  const backend = (options.backend ?? (process.env.JAUGE_BACKEND || "auto")) as Backend | "auto";
  const known = ["auto", ...backends];
  if (!known.includes(backend)) throw new JaugeError("backend-unknown", { backend, known });
  const directory = options.libraryDirectory ?? process.env.JAUGE_LIB_DIR;
  return {
    libraries: { backend, ...(directory && { directory }) },
    ...(options.signal && { signal: options.signal }),
    ...(options.onProgress && { onProgress: options.onProgress }),
    ...(options.onLog && { onLog: options.onLog }),
  };
}

async function formatFor(
  engine: Engine,
  path: string,
  outline: ModelOutline,
  template: string | undefined,
): Promise<ChosenFormat> {
  const { bosText, eosText } = engine.info.model.tokens;
  return chooseFormat({
    fileName: path,
    bosToken: bosText,
    eosToken: eosText,
    ...(template !== undefined && { template }),
    ...(outline.chatTemplate !== undefined && { chatTemplate: outline.chatTemplate }),
    chatTemplates: outline.chatTemplates,
    ...(outline.name !== undefined && { modelName: outline.name }),
    architecture: outline.architecture,
    specialTokens: await engine.controlTokens(),
  });
}

function normalized(vector: Float32Array): Float32Array {
  let sum = 0;
  for (const value of vector) sum += value * value;
  const length = Math.sqrt(sum);
  return length === 0 ? vector : vector.map((value) => value / length);
}
