import type { Message } from "./prompt.js";

/** What the user said, and what the assistant answered, if it did. */
export interface Turn {
  user: string;
  input?: string;
  assistant?: string;
}

/**
 * A conversation as one system prompt and turns, for the formats that know nothing else.
 * System messages are joined wherever they stand; neighbours of one role are joined with a blank line.
 */
export function toTurns(messages: readonly Message[]): { system?: string; turns: Turn[] } {
  const system = messages.filter((message) => message.role === "system").map((message) => message.content);
  const turns: Turn[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (message.role === "user") {
      if (last === undefined || last.assistant !== undefined) {
        turns.push({ user: message.content, input: message.input || undefined });
      } else {
        last.user = joined(last.user, message.content);
        last.input = joined(last.input, message.input) || undefined;
      }
    } else if (message.role === "assistant") {
      if (last === undefined) turns.push({ user: "", assistant: message.content });
      else last.assistant = joined(last.assistant, message.content);
    }
  }
  return { system: system.length > 0 ? system.join("\n\n") : undefined, turns };
}

/** The content of a message with its input, for the formats that have no place for an input. */
export function contentWithInput(message: Pick<Message, "content" | "input">): string {
  return joined(message.content, message.input);
}

function joined(first: string | undefined, second: string | undefined): string {
  return [first, second].filter((text) => text !== undefined && text !== "").join("\n\n");
}
