import type { SamplingSettings } from "../engine/sampling.js";
import type { JaugeError } from "../errors.js";
import type { Message } from "../executor/prompts/prompt.js";
import type { GenerationRequest } from "../executor/request.js";

/** How a request is answered: sampling settings, and where to stop. What is absent has the job's default. */
export type AnswerOptions = Partial<SamplingSettings> &
  Omit<GenerationRequest, "tokens" | "sampling" | "continueFrom"> & {
    /** The answer must be JSON of this schema. */
    jsonSchema?: unknown;
  };

/** What one line of a job asks for; `choices` answers to the same prompt, one where absent. */
export type BatchRequest =
  | { kind: "chat"; messages: Message[]; options: AnswerOptions; choices?: number }
  | { kind: "completion"; prompt: string | Int32Array; options: AnswerOptions; choices?: number }
  | { kind: "embedding"; input: (string | Int32Array)[]; encoding: "float" | "base64" };

/** One line of a job: what it asks for, or why that cannot be done. */
export interface BatchItem {
  /** Of the input, from 1: a line's number, or that of a row or an object. */
  number: number;
  /** Names its result; `line-N` where the line has none. */
  customId: string;
  request: BatchRequest | JaugeError;
}
