/** One message of a conversation. */
export interface Message {
  role: "system" | "user" | "assistant";
  content: string;
  /** What the instruction of a user message applies to. Formats without a place for it add it after the content. */
  input?: string;
}

/**
 * A stretch of a prompt that is tokenised on its own.
 * `special`: tokenise with `parse_special`, so that `</s>` becomes the end-of-sequence token. Where the special tokens
 * are known, special segments hold nothing else, so tokenising segment by segment gives the tokens of the whole text.
 */
export interface PromptSegment {
  text: string;
  special: boolean;
}

/** A conversation as the model reads it. */
export interface RenderedPrompt {
  segments: PromptSegment[];
  /** Whether the tokenizer adds what its metadata says (BOS) before the first segment. False: BOS is in the text. */
  addSpecial: boolean;
}

/** How a model was trained to read conversations. */
export interface PromptFormat {
  /** A format name, or `jinja` for a template. */
  name: string;
  /** The system prompt used where the conversation has none. */
  defaultSystem?: string;
  /** Strings that end the answer, besides the end-of-generation tokens. They are not part of the answer. */
  stops: readonly string[];
  /**
   * The prompt that asks for the next assistant message.
   * Errors: `template-invalid`, `template-refused` (templates only).
   */
  render(messages: readonly Message[]): Promise<RenderedPrompt>;
}

/** What the formats need to know of the model's tokenizer. */
export interface TokenizerFacts {
  /** Text of the beginning-of-sequence token. */
  bosToken?: string;
  /** Text of the end-of-sequence token. */
  eosToken?: string;
  /** Texts of the control tokens. Without them a template's whole output is parsed for special tokens. */
  specialTokens?: readonly string[];
}

/** The whole text of a prompt. */
export function promptText(prompt: RenderedPrompt): string {
  return prompt.segments.map((segment) => segment.text).join("");
}

/** Collects segments. Neighbours of one kind become one segment, because tokens may span their border. */
export class PromptBuilder {
  private readonly segments: PromptSegment[] = [];

  plain(text: string): this {
    return this.add(text, false);
  }

  special(text: string): this {
    return this.add(text, true);
  }

  build(addSpecial = true): RenderedPrompt {
    return { segments: this.segments, addSpecial };
  }

  private add(text: string, special: boolean): this {
    const last = this.segments.at(-1);
    if (text === "") return this;
    if (last?.special === special) last.text += text;
    else this.segments.push({ text, special });
    return this;
  }
}
