import { memoryArray } from "../../gguf/memory-array.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import { malformed, problems, type TokenizerFolder } from "./folder.js";
import { field } from "./json.js";

const longestTemplate = 4 * 2 ** 20;
const mostTemplates = 64;

interface NamedTemplate {
  name: string;
  template: string;
}

/**
 * The keys of a model's chat templates: one text, or several with names, of which `default` is the one used.
 *
 * tokenizer_config.json comes first, then chat_template.jinja (with additional_chat_templates/), then
 * chat_template.json. Characters other than ASCII letters and digits in names become `_`.
 * Source: `SpecialVocab` and `add_chat_template` of gguf-py.
 */
export async function chatTemplateKeys(folder: TokenizerFolder): Promise<Map<string, MetadataValue>> {
  const keys = new Map<string, MetadataValue>();
  const found = await findTemplate(folder);
  if (found === undefined) return keys;
  if (typeof found === "string") return keys.set("tokenizer.chat_template", { type: "string", value: found });
  const names: string[] = [];
  for (const { name, template } of found) {
    const key = name.replaceAll(/[^A-Za-z0-9]/g, "_");
    if (key === "") continue;
    const value: MetadataValue = { type: "string", value: template };
    if (key === "default") keys.set("tokenizer.chat_template", value);
    else {
      keys.set(`tokenizer.chat_template.${key}`, value);
      if (!names.includes(key)) names.push(key);
    }
  }
  if (names.length > 0) {
    const value = memoryArray("string", names, folder.path);
    keys.set("tokenizer.chat_templates", { type: "array", value });
  }
  return keys;
}

async function findTemplate(folder: TokenizerFolder): Promise<string | NamedTemplate[] | undefined> {
  const config = "tokenizer_config.json";
  const configured = field(await folder.setting(config), "chat_template");
  if (configured !== undefined && configured !== null) return asTemplates(configured, folder.pathOf(config));
  const jinja = "chat_template.jinja";
  if (await folder.has(jinja)) {
    const template = await folder.text(jinja, longestTemplate);
    const more = (await folder.list("additional_chat_templates")).filter((name) => name.endsWith(".jinja"));
    if (more.length === 0) return template;
    const named = [{ name: "default", template }];
    for (const name of more.slice(0, mostTemplates)) {
      const text = await folder.text(`additional_chat_templates/${name}`, longestTemplate);
      named.push({ name: name.slice(0, -".jinja".length), template: text });
    }
    return named;
  }
  const json = "chat_template.json";
  const value = field(await folder.setting(json), "chat_template");
  return value === undefined || value === null ? undefined : asTemplates(value, folder.pathOf(json));
}

function asTemplates(value: unknown, path: string): string | NamedTemplate[] {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) throw malformed(path, "chat_template", problems.noDefault());
  if (value.length > mostTemplates)
    throw malformed(path, "chat_template", problems.tooMany({ limit: mostTemplates }));
  return value.map((item, index) => {
    const [name, template] = [field(item, "name"), field(item, "template")];
    if (typeof name !== "string" || typeof template !== "string")
      throw malformed(path, `chat_template[${index}]`, problems.noDefault());
    return { name, template };
  });
}
