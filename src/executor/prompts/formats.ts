import { type Message, PromptBuilder, type PromptFormat, type TokenizerFacts } from "./prompt.js";
import { contentWithInput, type Turn, toTurns } from "./turns.js";

/** The formats that can be asked for by name. */
export const formatNames = [
  "alpaca",
  "vicuna",
  "koala",
  "gpt4all",
  "vigogne-instruct",
  "vigogne-chat",
  "llama2",
  "mistral",
  "chatml",
  "raw",
] as const;
export type FormatName = (typeof formatNames)[number];

/** Whether `name` names a format. */
export function isFormatName(name: string): name is FormatName {
  return (formatNames as readonly string[]).includes(name);
}

/**
 * The format of this name, with the exact text its models were trained on.
 * The tokenizer adds BOS where its metadata says so; only the end-of-sequence tokens (and, in `llama2` and `chatml`, the
 * tokens that open a turn) are special: what a message says never becomes a special token.
 */
export function namedFormat(name: FormatName, tokenizer: TokenizerFacts = {}): PromptFormat {
  const layout = layouts[name];
  const tokens = { bos: tokenizer.bosToken || "<s>", eos: tokenizer.eosToken || "</s>" };
  return {
    name,
    defaultSystem: layout.defaultSystem,
    stops: layout.stops,
    async render(messages) {
      const builder = new PromptBuilder();
      layout.write(builder, messages, tokens);
      return builder.build();
    },
  };
}

interface Layout {
  defaultSystem?: string;
  stops: readonly string[];
  write(builder: PromptBuilder, messages: readonly Message[], tokens: { bos: string; eos: string }): void;
}

/**
 * Stanford Alpaca. Source: tatsu-lab/stanford_alpaca, `train.py`, PROMPT_DICT: the response follows `### Response:`
 * directly and ends with eos. It was trained on single turns; more turns repeat the same text after a blank line.
 */
const alpaca: Layout = {
  defaultSystem:
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
  stops: ["### Instruction:", "### Input:"],
  write(builder, messages, { eos }) {
    const { system, turns } = toTurns(messages);
    const preamble = turns.some((turn) => turn.input) ? alpacaSystemWithInput : alpaca.defaultSystem;
    builder.plain(heading(system ?? preamble, "\n\n"));
    turns.forEach((turn, index) => {
      builder.plain(`${index > 0 ? "\n\n" : ""}### Instruction:\n${turn.user}\n\n`);
      if (turn.input) builder.plain(`### Input:\n${turn.input}\n\n`);
      builder.plain("### Response:");
      answer(builder, turn, eos);
    });
  },
};
const alpacaSystemWithInput =
  "Below is an instruction that describes a task, paired with an input that provides further context. " +
  "Write a response that appropriately completes the request.";

/** Vicuna 1.1 to 1.5. Source: lm-sys/FastChat, `fastchat/conversation.py`, `vicuna_v1.1` (ADD_COLON_TWO, " ", "</s>"). */
const vicuna: Layout = {
  defaultSystem:
    "A chat between a curious user and an artificial intelligence assistant. " +
    "The assistant gives helpful, detailed, and polite answers to the user's questions.",
  stops: ["</s>"],
  write(builder, messages, { eos }) {
    const { system, turns } = toTurns(messages);
    builder.plain(heading(system ?? vicuna.defaultSystem, " "));
    for (const turn of turns) {
      builder.plain(`USER: ${asked(turn)} ASSISTANT:`);
      answer(builder, turn, eos, " ");
    }
  },
};

/**
 * Koala. Sources: lm-sys/FastChat, `koala_v1`; young-geng/EasyLM, `docs/koala.md` (prepend text, prefixes, suffixes).
 * The opening is part of the format; it was trained without system prompts, so one comes right after the opening.
 */
const koala: Layout = {
  stops: ["</s>"],
  write(builder, messages, { eos }) {
    const { system, turns } = toTurns(messages);
    builder.plain(`BEGINNING OF CONVERSATION: ${heading(system, " ")}`);
    for (const turn of turns) {
      builder.plain(`USER: ${asked(turn)} GPT:`);
      answer(builder, turn, eos, " ");
    }
  },
};

/**
 * GPT4All-J and GPT4All 13B snoozy. Sources: nomic-ai/gpt4all, `gpt4all-bindings/python/gpt4all/gpt4all.py` at d486103
 * (the header and the `### Prompt:` and `### Response:` labels), in the layout of lm-sys/FastChat, `snoozy`.
 */
const gpt4all: Layout = {
  defaultSystem:
    "The prompt below is a question to answer, a task to complete, or a conversation to respond to; " +
    "decide which and write an appropriate response.",
  stops: ["###"],
  write(builder, messages) {
    const { system, turns } = toTurns(messages);
    const text = system ?? gpt4all.defaultSystem;
    if (text) builder.plain(`### Instruction:\n${text}\n`);
    for (const turn of turns) {
      builder.plain(`### Prompt: ${asked(turn)}\n### Response:`);
      if (turn.assistant !== undefined) builder.plain(` ${turn.assistant}\n`);
    }
  },
};

/**
 * Vigogne Instruct. Source: bofenghuang/vigogne, `vigogne/processors/alpaca.py`: the template of the published
 * Vigogne(-2) Instruct models, with the French system message that became its default. (The first LoRA weights of
 * spring 2023 used `### Réponse:`.)
 */
const vigogneInstruct: Layout = {
  defaultSystem:
    "Ci-dessous se trouve une instruction qui décrit une tâche à accomplir. " +
    "Rédigez une réponse qui répond de manière précise à la demande.",
  stops: ["### Instruction:", "### System:"],
  write(builder, messages, { eos }) {
    const { system, turns } = toTurns(messages);
    const text = system ?? vigogneInstruct.defaultSystem;
    if (text) builder.plain(`### System:\n${text}\n\n`);
    turns.forEach((turn, index) => {
      const instruction = turn.input ? `${turn.user.trim()}\n${turn.input.trim()}` : turn.user.trim();
      builder.plain(`${index > 0 ? "\n\n" : ""}### Instruction:\n${instruction}\n\n### Response:\n`);
      answer(builder, trimmed(turn), eos);
    });
  },
};

/**
 * Vigogne Chat 2.0, the most used: vigogne-2-7b-chat, -13b-chat. Source: bofenghuang/vigogne,
 * `vigogne/processors/vigogne_chat_v2.py`, its inference system message. Its markers are plain text, not special
 * tokens. (Version 3 follows `llama2`.)
 */
const vigogneChat: Layout = {
  defaultSystem:
    "Vous êtes Vigogne, un assistant IA créé par Zaion Lab. Vous suivez extrêmement bien les instructions. " +
    "Aidez autant que vous le pouvez.",
  stops: ["<|user|>", "<|system|>"],
  write(builder, messages, { eos }) {
    const { system, turns } = toTurns(messages);
    const text = system ?? vigogneChat.defaultSystem;
    if (text) builder.plain(`<|system|>: ${text}\n`);
    turns.forEach((turn, index) => {
      builder.plain(`${index > 0 ? "\n" : ""}<|user|>: ${asked(turn).trim()}\n<|assistant|>:`);
      answer(builder, trimmed(turn), eos, " ");
    });
  },
};

/**
 * Llama 2 Chat. Source: meta-llama/llama, `llama/generation.py`, `chat_completion`: each turn has its own BOS and EOS.
 * No default system prompt: Meta took it out in August 2023.
 */
const llama2: Layout = {
  stops: ["[INST]"],
  write(builder, messages, { bos, eos }) {
    const { system, turns } = toTurns(messages);
    turns.forEach((turn, index) => {
      const header = index === 0 && system ? `<<SYS>>\n${system}\n<</SYS>>\n\n` : "";
      if (index > 0) builder.special(bos); // the first one comes from the tokenizer
      builder.plain(`[INST] ${`${header}${asked(turn)}`.trim()} [/INST]`);
      if (turn.assistant !== undefined) builder.plain(` ${turn.assistant.trim()} `).special(eos);
    });
  },
};

/**
 * Mistral 7B Instruct 0.1 and 0.2, Mixtral 8x7B Instruct. Sources: docs.mistral.ai, "Chat template";
 * mistralai/mistral-common, tokenizer v1. It has no system role: the system prompt opens the first user message.
 */
const mistral: Layout = {
  stops: ["[INST]"],
  write(builder, messages, { eos }) {
    const { system, turns } = toTurns(messages);
    turns.forEach((turn, index) => {
      builder.plain(`[INST] ${index === 0 ? heading(system, "\n\n") : ""}${asked(turn)} [/INST]`);
      answer(builder, turn, eos, " ");
    });
  },
};

/** ChatML. Source: openai/openai-python, `chatml.md`; the line ends follow the models that use it (Qwen, OpenHermes). */
const chatml: Layout = {
  stops: ["<|im_end|>"],
  write(builder, messages) {
    for (const message of messages) {
      builder.special("<|im_start|>").plain(`${message.role}\n${contentWithInput(message)}`);
      builder.special("<|im_end|>").plain("\n");
    }
    if (messages.at(-1)?.role !== "assistant") builder.special("<|im_start|>").plain("assistant\n");
  },
};

/** The text alone, for base models: what is said is continued. */
const raw: Layout = {
  stops: [],
  write(builder, messages) {
    builder.plain(messages.map(contentWithInput).join("\n"));
  },
};

const layouts: Record<FormatName, Layout> = {
  alpaca,
  vicuna,
  koala,
  gpt4all,
  "vigogne-instruct": vigogneInstruct,
  "vigogne-chat": vigogneChat,
  llama2,
  mistral,
  chatml,
  raw,
};

function heading(system: string | undefined, separator: string): string {
  return system ? `${system}${separator}` : "";
}

function asked(turn: Turn): string {
  return contentWithInput({ content: turn.user, input: turn.input });
}

function trimmed(turn: Turn): Turn {
  return { ...turn, assistant: turn.assistant?.trim() };
}

function answer(builder: PromptBuilder, turn: Turn, eos: string, separator = ""): void {
  if (turn.assistant !== undefined) builder.plain(`${separator}${turn.assistant}`).special(eos);
}
