import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { localized } from "../../messages/locale.js";
import { promptReasons } from "../../messages/prompt.js";
import { type FormatName, formatNames, isFormatName, namedFormat } from "./formats.js";
import { jinjaFormat } from "./jinja.js";
import type { PromptFormat, TokenizerFacts } from "./prompt.js";

/** What the choice of a prompt format rests on. */
export interface FormatFacts extends TokenizerFacts {
  /** What the person asked for: a format name, the name of one of `chatTemplates`, Jinja text, or a Jinja file. */
  template?: string;
  /** Metadata `tokenizer.chat_template`. */
  chatTemplate?: string;
  /** Metadata `tokenizer.chat_template.<name>`, by name. */
  chatTemplates?: Record<string, string>;
  /** Metadata `general.architecture`. */
  architecture?: string;
  /** Metadata `general.name`. */
  modelName?: string;
  /** The model's path or file name. */
  fileName?: string;
}

/** A format, and why it was chosen: one line for the person. */
export type ChosenFormat = PromptFormat & { reason: string };

/**
 * The prompt format of a model: what was asked for, else what its name says for certain, else its own template, else
 * `raw`.
 * Errors: `template-unknown` for a name that is none; `template-invalid` for a template that is too long.
 */
export function chooseFormat(facts: FormatFacts): ChosenFormat {
  if (facts.template !== undefined) return askedFor(facts.template, facts);

  const names = [facts.modelName, facts.fileName && basename(facts.fileName)].filter(
    (name) => name !== undefined,
  );
  const named = byName(names, facts);
  if (named)
    return because(
      namedFormat(named.format, facts),
      reasons.named({ name: named.format, evidence: named.evidence }),
    );
  const base = names.find(isBaseModel);
  if (base !== undefined) return because(namedFormat("raw", facts), reasons.base({ evidence: base }));
  if (facts.chatTemplate) {
    return because(jinjaFormat(facts.chatTemplate, metadataKey, facts), reasons.own({ source: metadataKey }));
  }
  return because(namedFormat("raw", facts), reasons.none());
}

const metadataKey = "tokenizer.chat_template";
const reasons = localized(promptReasons);

function because(format: PromptFormat, reason: string): ChosenFormat {
  return { ...format, reason };
}

function askedFor(template: string, facts: FormatFacts): ChosenFormat {
  const ownNames = Object.keys(facts.chatTemplates ?? {});
  if (isFormatName(template)) return because(namedFormat(template, facts), reasons.asked({ name: template }));
  if (ownNames.includes(template)) {
    const source = `${metadataKey}.${template}`;
    return because(
      jinjaFormat(facts.chatTemplates![template]!, source, facts),
      reasons.asked({ name: source }),
    );
  }
  if (/\{[{%]/.test(template)) {
    return because(jinjaFormat(template, "--template", facts), reasons.asked({ name: "Jinja" }));
  }
  if (existsSync(template)) {
    return because(jinjaFormat(readTemplate(template), template, facts), reasons.asked({ name: template }));
  }
  throw new JaugeError("template-unknown", { template, names: [...formatNames, ...ownNames].join(", ") });
}

function readTemplate(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

interface NameRule {
  format: FormatName;
  /** Matched against the name in lower case, words separated by one space. */
  words: RegExp;
  /** Names that have the words and yet another format. */
  except?: RegExp;
  /** The architectures whose models have this format. */
  architecture?: RegExp;
  /** For families whose newer models differ: the model's own template goes first. */
  ownTemplateFirst?: boolean;
}

/** The first that matches decides. Families that mix names stand before the plain ones. */
const nameRules: NameRule[] = [
  { format: "vigogne-instruct", words: /\bvigogne\b.*\binstruct\b/ },
  { format: "vigogne-chat", words: /\bvigogne\b.*\bchat\b/, except: /\b70b\b/ }, // 70B has the layout of Llama 2
  { format: "vicuna", words: /\bvicuna\b/, except: /\b(stable|gpt4|v0)\b/ }, // gpt4-x-vicuna is an Alpaca
  { format: "koala", words: /\bkoala\b/ },
  { format: "gpt4all", words: /\bgpt4all\b/, except: /\b(falcon|mpt)\b/ },
  { format: "alpaca", words: /\balpaca\b/, except: /\bchinese\b/ },
  {
    format: "llama2",
    words: /\bllama ?2\b.*\bchat\b/,
    except: /\bchinese\b/,
    architecture: /^llama$/,
    ownTemplateFirst: true,
  },
  {
    format: "mistral",
    words: /\b(mistral 7b|mixtral 8x7b)\b.*\binstruct\b/,
    except: /\bv0 [3-9]\b/,
    architecture: /^llama$/,
    ownTemplateFirst: true,
  },
];

function byName(names: string[], facts: FormatFacts): { format: FormatName; evidence: string } | undefined {
  const everything = words(names.join(" "));
  for (const rule of nameRules) {
    const evidence = names.find((name) => rule.words.test(words(name)));
    if (evidence === undefined || rule.except?.test(everything)) continue;
    if (facts.architecture && rule.architecture && !rule.architecture.test(facts.architecture)) continue;
    if (rule.ownTemplateFirst && facts.chatTemplate) continue;
    return { format: rule.format, evidence };
  }
  return undefined;
}

function isBaseModel(name: string): boolean {
  return /\b(base|pretrained)\b/.test(words(name)) && !/\b(chat|instruct|it)\b/.test(words(name));
}

function words(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, " ");
}
