import type { Message } from "../executor/prompts/prompt.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import type { ChatGeneration, Model } from "../model.js";
import { noteEnd, streamAnswer } from "./answer.js";
import { isCommand, runCommand } from "./chat-commands.js";
import { ChatInput } from "./chat-input.js";
import { Chat, type ChatSetup } from "./chat-state.js";
import { reportError } from "./errors.js";
import { speedLines } from "./stats.js";
import { note, styled } from "./terminal.js";

const { chat: texts } = localized(cliMessages);

/** Talks with the person until they leave. Errors are shown, and the chat goes on. */
export async function chat(model: Model, setup: ChatSetup): Promise<void> {
  const state = new Chat(model, setup);
  greet(model, setup.isEmbedded);
  const input = new ChatInput();
  try {
    let message = setup.first;
    while (!state.isOver) {
      message ??= await input.next();
      if (message === undefined) break;
      await respond(state, input, message);
      message = undefined;
    }
  } finally {
    input.close();
  }
}

function greet(model: Model, isEmbedded: boolean): void {
  const { description, context } = model.info;
  const about = isEmbedded ? texts.embedded : texts.model({ description, context: context.length });
  process.stderr.write(`${styled("bold", "jauge", process.stderr)}  ${about}\n`);
  note([isEmbedded ? texts.otherModel : model.format.reason, texts.hint, ""].join("\n"));
}

async function respond(chat: Chat, input: ChatInput, message: string): Promise<void> {
  if (message.trim() === "") return;
  try {
    if (isCommand(message)) await runCommand(chat, message);
    else await answer(chat, input, message);
  } catch (error) {
    reportError(error, { json: false, verbose: chat.values.verbose ?? false });
  }
}

/** Answers a message. What came before an interruption or the end of the context is part of the conversation. */
async function answer(chat: Chat, input: ChatInput, message: string): Promise<void> {
  const question: Message = { role: "user", content: message };
  const generation = begin(chat, question);
  input.onInterrupt = () => generation.cancel();
  try {
    await streamAnswer(generation);
  } finally {
    input.onInterrupt = () => {};
  }
  const result = await generation.result;
  chat.lastStats = result.stats;
  if (result.text !== "") chat.messages.push(question, { role: "assistant", content: result.text });
  noteEnd(result);
  if (chat.values.stats) note(speedLines(result.stats).join("\n"));
  if (chat.values.singleTurn) chat.isOver = true;
}

function begin(chat: Chat, question: Message): ChatGeneration {
  if (chat.values.conversation === false) return chat.model.complete(question.content, chat.options);
  return chat.model.chat([...chat.conversation, question], chat.options);
}
