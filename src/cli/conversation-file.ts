import * as z from "zod";
import { JaugeError } from "../errors.js";
import type { Message } from "../executor/prompts/prompt.js";
import { unwritable } from "../file-errors.js";
import { firstProblem, parseJson } from "../json.js";
import { writeWhole } from "../whole-file.js";
import { readTextFile } from "./input.js";

const message = z.strictObject({
  role: z.enum(["system", "user", "assistant"]),
  content: z.string(),
  input: z.string().optional(),
});
/** A saved conversation, system prompt first where there is one. */
const conversation = z.strictObject({ version: z.literal(1), messages: z.array(message) });

/** Writes a conversation, wholly or not at all. Errors: `file-unwritable`. */
export async function saveConversation(path: string, messages: readonly Message[]): Promise<void> {
  const text = `${JSON.stringify({ version: 1, messages }, undefined, 2)}\n`;
  await writeWhole(path, text).catch((cause: unknown) => {
    throw unwritable(path, cause);
  });
}

/** Reads a saved conversation. Errors: `file-unreadable`, `json-invalid`, `conversation-invalid`. */
export async function loadConversation(path: string): Promise<Message[]> {
  const json = parseJson(path, await readTextFile(path));
  const parsed = conversation.safeParse(json);
  if (parsed.success) return parsed.data.messages;
  throw new JaugeError("conversation-invalid", { path, ...firstProblem(json, parsed.error) });
}
