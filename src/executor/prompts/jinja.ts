import { JaugeError } from "../../errors.js";
import { type Message, PromptBuilder, type PromptFormat, type TokenizerFacts } from "./prompt.js";
import { renderTemplate, type TemplateOutcome } from "./template-process.js";
import { contentWithInput } from "./turns.js";

/** Templates of published models have up to 20 000 characters. */
const templateCharacters = 1 << 20;

/**
 * The format of a model's own Jinja template, given what `apply_chat_template` of transformers gives: the messages, the
 * texts of bos and eos, `add_generation_prompt`, `raise_exception`, `strftime_now`; no tools and no documents.
 *
 * With `specialTokens`, only what the template itself writes becomes special tokens, never what a message says; without
 * them the whole text is parsed. Where the template does not take a system message, it goes into the first user message.
 * @param source What to call the template in errors: the metadata key, or a path.
 */
export function jinjaFormat(template: string, source: string, tokenizer: TokenizerFacts = {}): PromptFormat {
  if (template.length > templateCharacters) {
    throw new JaugeError("template-invalid", {
      template: source,
      problem: `has ${template.length} characters`,
    });
  }
  const shield = new Shield(tokenizer.specialTokens ?? []);
  /** What the template does with a system message; found out with the first one. */
  let system: "taken" | "merged" | undefined;

  return {
    name: "jinja",
    stops: [],
    async render(messages) {
      const text = await renderText(messages);
      const startsWithBos =
        tokenizer.bosToken !== undefined && tokenizer.bosToken !== "" && text.startsWith(tokenizer.bosToken);
      const builder = new PromptBuilder();
      if (tokenizer.specialTokens) shield.split(text, builder);
      else builder.special(text);
      return builder.build(!startsWithBos);
    },
  };

  async function renderText(messages: readonly Message[]): Promise<string> {
    const first = messages.find((message) => message.role === "system");
    if (first === undefined) return textOf(await outcomeOf(messages));
    if (system === "merged") return textOf(await outcomeOf(mergeSystem(messages)));

    const direct = await outcomeOf(messages);
    if (direct.kind === "text" && shield.lift(direct.text).includes(first.content.trim())) {
      system = "taken";
      return direct.text;
    }
    if (system === "taken") return textOf(direct);
    const merged = await outcomeOf(mergeSystem(messages));
    if (merged.kind !== "text") return textOf(direct);
    system = "merged";
    return merged.text;
  }

  function outcomeOf(messages: readonly Message[]): Promise<TemplateOutcome> {
    const shielded = messages.map((message) => ({
      role: message.role,
      content: shield.raise(contentWithInput(message)),
    }));
    const characters =
      2 * template.length + 4 * shielded.reduce((sum, message) => sum + message.content.length, 0);
    return renderTemplate({
      template,
      variables: {
        messages: shielded,
        bos_token: tokenizer.bosToken ?? "",
        eos_token: tokenizer.eosToken ?? "",
        add_generation_prompt: messages.at(-1)?.role !== "assistant",
        tools: null,
        documents: null,
      },
      maxCharacters: characters + 65536,
    });
  }

  function textOf(outcome: TemplateOutcome): string {
    if (outcome.kind === "text") return outcome.text;
    const code = outcome.kind === "refused" ? "template-refused" : "template-invalid";
    throw new JaugeError(code, { template: source, problem: outcome.problem });
  }
}

function mergeSystem(messages: readonly Message[]): Message[] {
  const system = messages.filter((message) => message.role === "system").map((message) => message.content);
  const others = messages.filter((message) => message.role !== "system");
  const user = others.findIndex((message) => message.role === "user");
  if (user < 0) return others;
  const content = [...system, others[user]!.content].join("\n\n");
  return others.with(user, { ...others[user]!, content });
}

/**
 * Keeps the special tokens that messages spell out from becoming special tokens: `</s>` in a message gets a mark after
 * its first character before the template sees it, so that the text that comes out is split at unmarked ones only.
 */
class Shield {
  /** A code point that Unicode keeps for a program's own use, so that no text has it. */
  private static readonly mark = "\uFDD0";
  private readonly tokens: RegExp | undefined;
  private readonly starts: RegExp | undefined;

  constructor(specialTokens: readonly string[]) {
    const longestFirst = specialTokens.filter((token) => token !== "").sort((a, b) => b.length - a.length);
    const pattern = longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|");
    if (pattern === "") return;
    this.tokens = new RegExp(pattern, "gu");
    this.starts = new RegExp(`(?=${pattern}).`, "gsu");
  }

  raise(content: string): string {
    return this.starts ? content.replace(this.starts, `$&${Shield.mark}`) : content;
  }

  lift(text: string): string {
    return text.replaceAll(Shield.mark, "");
  }

  split(text: string, builder: PromptBuilder): void {
    let end = 0;
    for (const match of this.tokens ? text.matchAll(this.tokens) : []) {
      builder.plain(this.lift(text.slice(end, match.index))).special(match[0]);
      end = match.index + match[0].length;
    }
    builder.plain(this.lift(text.slice(end)));
  }
}
