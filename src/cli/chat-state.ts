import type { Message } from "../executor/prompts/prompt.js";
import type { GenerationStats } from "../executor/request.js";
import type { GenerateOptions, Model } from "../model.js";
import type { RunValues } from "./options.js";

export interface ChatSetup {
  values: RunValues;
  options: GenerateOptions;
  system?: string;
  /** The first message, where it was given with the command. */
  first?: string;
  /** The model is the one that comes with the package. */
  isEmbedded: boolean;
}

/** What the person and the model have said, and how the next answer is to be. */
export class Chat {
  values: RunValues;
  /** What `values` says, as the library takes it. */
  options: GenerateOptions;
  system: string | undefined;
  /** Without the system prompt. */
  messages: Message[] = [];
  lastStats: GenerationStats | undefined;
  isOver = false;

  constructor(
    readonly model: Model,
    setup: ChatSetup,
  ) {
    this.values = setup.values;
    this.options = setup.options;
    this.system = setup.system;
  }

  /** All that was said, the system prompt first where there is one. */
  get conversation(): Message[] {
    const system: Message[] = this.system ? [{ role: "system", content: this.system }] : [];
    return [...system, ...this.messages];
  }

  set conversation(messages: Message[]) {
    const [first] = messages;
    this.system = first?.role === "system" ? first.content : undefined;
    this.messages = first?.role === "system" ? messages.slice(1) : messages;
  }
}
