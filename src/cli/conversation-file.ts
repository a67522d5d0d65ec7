import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import * as z from "zod";
import { JaugeError } from "../errors.js";
import type { Message } from "../executor/prompts/prompt.js";
import { locale } from "../messages/locale.js";
import { readTextFile } from "./input.js";

if (locale === "fr") z.config(z.locales.fr());

const message = z.strictObject({
  role: z.enum(["system", "user", "assistant"]),
  content: z.string(),
  input: z.string().optional(),
});
/** A saved conversation, system prompt first where there is one. */
const conversation = z.strictObject({ version: z.literal(1), messages: z.array(message) });

/** Writes a conversation, wholly or not at all. Errors: `file-unwritable`. */
export async function saveConversation(path: string, messages: readonly Message[]): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(temporary, `${JSON.stringify({ version: 1, messages }, undefined, 2)}\n`, { flag: "wx" });
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new JaugeError("file-unwritable", { path, reason: (cause as Error).message }, { cause });
  }
}

/** Reads a saved conversation. Errors: `file-unreadable`, `json-invalid`, `conversation-invalid`. */
export async function loadConversation(path: string): Promise<Message[]> {
  const parsed = conversation.safeParse(parse(path, await readTextFile(path)));
  if (parsed.success) return parsed.data.messages;
  const issue = parsed.error.issues[0]!;
  const field = issue.path.join(".") || "JSON";
  throw new JaugeError("conversation-invalid", { path, field, problem: issue.message });
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new JaugeError("json-invalid", { source: path, problem: (cause as Error).message }, { cause });
  }
}
