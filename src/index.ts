/** jauge: runs large language models on a personal computer inside exactly the memory it is given. */

export { type BatchInput, batch } from "./batch/batch.js";
export type { BatchModel } from "./batch/model.js";
export type { BatchOptions } from "./batch/options.js";
export type { BatchLineError, BatchResultLine } from "./batch/result.js";
export type { ChatGeneration, ChatResult } from "./chat-generation.js";
export { Engine, type EngineOptions, listDevices, measure } from "./engine/engine.js";
export type { Backend } from "./engine/native/libraries.js";
export type {
  Device,
  MemoryUse,
  ModelFacts,
  OpenedModel,
  Piece,
  Pooling,
  Run,
  Step,
  StepResult,
  TokenLogprobs,
} from "./engine/protocol.js";
export { defaultSampling, greedy, type SamplingSettings } from "./engine/sampling.js";
export type { Tokenizer } from "./engine/tokenizer.js";
export { type ErrorCode, type ErrorFacts, isJaugeError, JaugeError } from "./errors.js";
export { Executor, type ExecutorOptions } from "./executor/executor.js";
export { jsonGrammar, jsonSchemaToGrammar } from "./executor/grammar/json-schema.js";
export type { FormatName } from "./executor/prompts/formats.js";
export { formatNames } from "./executor/prompts/formats.js";
export type { Message } from "./executor/prompts/prompt.js";
export type {
  Continuation,
  FinishReason,
  Generation,
  GenerationRequest,
  GenerationResult,
  GenerationStats,
  Priority,
} from "./executor/request.js";
export { type ModelFile, readModel } from "./gguf/model-file.js";
export { type ModelOutline, outlineOf } from "./gguf/outline.js";
export { type GgufHeader, readGguf } from "./gguf/reader.js";
export { validateModel } from "./gguf/validate.js";
export { defaultThreads } from "./hardware/cpu.js";
export {
  defaultModelPath,
  type GenerateOptions,
  type LoadOptions,
  load,
  loadTokenizer,
  type Model,
  type PlanOptions,
  plan,
} from "./model.js";
export type { BudgetWish, BudgetWishes, VramWish } from "./plan/budget.js";
export type { JobProfile } from "./plan/job.js";
export type { ModelPlan, Objective } from "./plan/model-plan.js";
export { type KvType, type Plan, simplePlan, type TensorOverride } from "./plan/plan.js";
export { readSavedPlan, savePlan } from "./plan/saved-plan.js";
export type { EnergyUse } from "./planner/watch.js";
export { formatBytes, parseBytes } from "./units.js";
