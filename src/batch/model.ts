import type { Message } from "../executor/prompts/prompt.js";
import type { Generation, GenerationRequest } from "../executor/request.js";
import type { Plan } from "../plan/plan.js";
import type { AnswerOptions } from "./request.js";

/** What a job needs of a model; `Model` has it. */
export interface BatchModel {
  readonly path: string;
  readonly outline: { name?: string };
  readonly plan: Pick<Plan, "sequences">;
  readonly contextLength: number;
  /** Makes the request of a prompt, without running it. */
  prepare(
    prompt: readonly Message[] | string | Int32Array,
    options: AnswerOptions,
  ): Promise<GenerationRequest>;
  submit(request: GenerationRequest): Generation;
  tokenize(text: string, options?: { parseSpecial?: boolean }): Promise<Int32Array>;
  embed(texts: (string | Int32Array)[]): Promise<Float32Array[]>;
  /** The bytes of each token by itself. */
  tokenBytes(tokens: number[]): Promise<Uint8Array[]>;
}
