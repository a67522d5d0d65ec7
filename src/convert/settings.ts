import type { SourceOptions } from "./open.js";
import type { Division } from "./output-files.js";
import type { TypeWishes } from "./target-types.js";

/** What a person can choose: the part of a conversion's request that decides what its files become. */
interface Choices {
  wishes: TypeWishes;
  division: Division;
  importance?: string;
  sourceOptions?: SourceOptions;
}

/** What a person chose, each by the name of its option: so that an unfinished conversion can say what it was begun with. */
export function settingsOf(choices: Choices): Record<string, string> {
  const { wishes, division, importance, sourceOptions: source = {} } = choices;
  const settings: Record<string, string> = { type: wishes.type };
  const set = (name: string, value: string | number | boolean | undefined) => {
    if (value !== undefined && value !== false) settings[name] = String(value);
  };
  for (const { pattern, type } of wishes.tensorTypes ?? []) set(`tensor-type ${pattern}`, type);
  set("output-tensor-type", wishes.outputType);
  set("token-embedding-type", wishes.embeddingType);
  set("pure", wishes.pure);
  set("allow-requantize", wishes.allowRequantize);
  set("imatrix", importance);
  set("keep-split", division.kind === "as-source");
  set("tokenizer", source.tokenizer);
  set("pre", source.pre);
  set("name", source.name);
  set("context-length", source.contextLength);
  set("rms-epsilon", source.rmsEpsilon);
  set("rope-freq-base", source.ropeFrequencyBase);
  set("base", source.base);
  set("new-rows", source.newRows);
  set("lora", source.loras?.map(({ path, scale }) => `${path}:${scale}`).join(", "));
  return settings;
}
