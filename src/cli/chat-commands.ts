import { homedir } from "node:os";
import { join } from "node:path";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import type { Chat } from "./chat-state.js";
import { generateOptions } from "./library-options.js";
import { changeSetting, listSettings, settingOf } from "./settings.js";
import { memoryLines, speedLines } from "./stats.js";
import { columns, note } from "./terminal.js";

const { chat: texts } = localized(cliMessages);

type ChatCommand = (chat: Chat, argument: string) => void | Promise<void>;

const commands: Record<keyof typeof texts.commands, ChatCommand> = {
  system(chat, argument) {
    if (argument === "") return note(chat.system ?? texts.noSystem);
    chat.system = argument === '""' ? undefined : argument;
    note(chat.system === undefined ? texts.systemRemoved : texts.systemSet);
  },

  async save(chat, argument) {
    if (argument === "") return note(texts.needsFile({ command: "/save" }));
    const path = fromHome(argument);
    const { saveConversation } = await import("./conversation-file.js");
    await saveConversation(path, chat.conversation);
    note(texts.saved({ path, messages: chat.conversation.length }));
  },

  async load(chat, argument) {
    if (argument === "") return note(texts.needsFile({ command: "/load" }));
    const path = fromHome(argument);
    const { loadConversation } = await import("./conversation-file.js");
    chat.conversation = await loadConversation(path);
    note(texts.loaded({ path, messages: chat.conversation.length }));
  },

  clear(chat) {
    chat.messages = [];
    note(texts.cleared);
  },

  async set(chat, argument) {
    const [, name = "", value = ""] = /^(\S*)\s*(.*)$/s.exec(argument)!;
    if (name === "") {
      const rows = listSettings(chat.values).map(([setting, set]) => [setting, set ?? texts.unset]);
      return note(columns(rows).join("\n"));
    }
    if (value !== "") {
      const values = changeSetting(chat.values, name, value);
      chat.options = await generateOptions(values);
      chat.values = values;
    }
    note(`${name} ${settingOf(chat.values, name) ?? texts.unset}`);
  },

  async stats(chat) {
    const speed = chat.lastStats ? speedLines(chat.lastStats) : [texts.noAnswerYet];
    note([...speed, ...memoryLines(await chat.model.memory(), chat.model.modelPlan)].join("\n"));
  },

  help() {
    note([...Object.values(texts.commands), "", texts.keys].join("\n"));
  },

  exit(chat) {
    chat.isOver = true;
  },
};

/** Whether a message is a command: `/name`, with or without an argument. A path to a file is none. */
export function isCommand(message: string): boolean {
  return /^\/[a-z]*(\s|$)/i.test(message) && !message.includes("\n");
}

/** Carries out a `/command`. Errors: those of files and settings. */
export async function runCommand(chat: Chat, message: string): Promise<void> {
  const [, name = "", argument = ""] = /^\/(\S*)\s*(.*)$/s.exec(message.trim())!;
  const command = name === "quit" ? "exit" : name;
  if (!Object.hasOwn(commands, command)) return note(texts.unknownCommand({ command: `/${name}` }));
  await commands[command as keyof typeof commands](chat, argument);
}

/** The shell is not there to read `~/`. */
function fromHome(path: string): string {
  return path.startsWith("~/") ? join(homedir(), path.slice(2)) : path;
}
