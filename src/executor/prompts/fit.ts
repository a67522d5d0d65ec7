import { JaugeError } from "../../errors.js";
import type { Message, PromptFormat, RenderedPrompt } from "./prompt.js";

/** A conversation that fits, and what it cost. */
export interface FittedConversation {
  prompt: RenderedPrompt;
  /** Tokens of the prompt. */
  tokens: number;
  /** How many of the oldest turns (a user message and its answer) were left out. */
  droppedTurns: number;
  /** The messages that stayed. */
  messages: Message[];
}

/**
 * The prompt of a conversation with as many of its latest turns as fit in `contextLength - reserve` tokens.
 * System messages and the last user message always stay. Counts tokens about log2(turns) times.
 * Errors: `prompt-too-long` when these alone do not fit.
 */
export async function fitConversation(
  format: PromptFormat,
  messages: readonly Message[],
  options: {
    /** Tokens the sequence holds. */
    contextLength: number;
    /** Tokens to keep free for the answer. */
    reserve: number;
    countTokens: (prompt: RenderedPrompt) => Promise<number>;
  },
): Promise<FittedConversation> {
  const limit = options.contextLength - options.reserve;
  const turnStarts = startsOfTurns(messages);
  const mostDropped = Math.max(0, turnStarts.length - 1);

  const whole = await dropping(0);
  if (whole.tokens <= limit) return whole;
  let best = mostDropped === 0 ? whole : await dropping(mostDropped);
  if (best.tokens > limit) {
    const { contextLength, reserve } = options;
    throw new JaugeError("prompt-too-long", { tokens: best.tokens, contextLength, reserve });
  }

  let tooFew = 0;
  while (best.droppedTurns - tooFew > 1) {
    const middle = await dropping(Math.floor((tooFew + best.droppedTurns) / 2));
    if (middle.tokens <= limit) best = middle;
    else tooFew = middle.droppedTurns;
  }
  return best;

  async function dropping(droppedTurns: number): Promise<FittedConversation> {
    const from = droppedTurns === 0 ? 0 : turnStarts[droppedTurns]!;
    const kept = messages.filter((message, index) => message.role === "system" || index >= from);
    const prompt = await format.render(kept);
    return { prompt, tokens: await options.countTokens(prompt), droppedTurns, messages: kept };
  }
}

/** Indices where a turn starts: at each user message that follows an answer, and at the first message of all. */
function startsOfTurns(messages: readonly Message[]): number[] {
  const starts: number[] = [];
  let previous: Message["role"] | undefined;
  messages.forEach((message, index) => {
    if (message.role === "system") return;
    if (previous === undefined || (message.role === "user" && previous === "assistant")) starts.push(index);
    previous = message.role;
  });
  return starts;
}
