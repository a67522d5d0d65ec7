/** What a model's identifier says about it: `Qwen/Qwen2.5-7B-Instruct`. */
export interface NameParts {
  name?: string;
  organization?: string;
  basename?: string;
  finetune?: string;
  version?: string;
  sizeLabel?: string;
}

/**
 * The parts of an identifier or a folder's name, by the rules of llama.cpp's converter. `parameters` tells a size from
 * a context length: `128k` is no size of a model of 7 billion.
 * Source: `get_model_id_components` in gguf-py/gguf/metadata.py of llama.cpp v0.5.0.
 */
export function namePartsOf(identifier: string, parameters: number): NameParts {
  if (identifier === "") return {};
  // a sentence is a name, not an identifier
  if (identifier.includes(" ")) return { name: titleOf(identifier) };
  const slash = identifier.indexOf("/");
  const owner = slash < 0 ? "" : identifier.slice(0, slash);
  const full = identifier.slice(slash + 1);
  const words = full
    .split("-")
    .filter((word) => word !== "")
    .map((word, index) => wordOf(word, index, parameters));
  dropWordSizes(words);
  markBasename(words);
  const joined = (kind: Kind) =>
    words
      .filter((word) => word.kinds.has(kind) && !(kind === "version" && word.kinds.has("basename")))
      .map(({ text }) => text);
  const parts = {
    basename: joined("basename").join("-"),
    finetune: joined("finetune").join("-"),
    version: joined("version").join("-"),
    sizeLabel: [...new Set(joined("size"))].join("-"),
  };
  // a single word may be anything
  if (!parts.sizeLabel && !parts.finetune && !parts.version) parts.basename = "";
  return defined({
    name: titleOf(full),
    organization: owner.startsWith(".") ? "" : titleOf(owner),
    ...parts,
  });
}

/**
 * `7.2B`, `8x7B`: two significant digits at least. `shared` are the parameters outside experts, `expert` those of one
 * expert of each layer. Source: `size_label` in gguf-py/gguf/utility.py.
 */
export function sizeLabelOf(counts: {
  total: number;
  shared: number;
  expert: number;
  experts: number;
}): string {
  return counts.experts > 0
    ? `${counts.experts}x${rounded(counts.shared + counts.expert)}`
    : rounded(counts.total);
}

function rounded(parameters: number): string {
  const [scale, suffix] =
    parameters > 1e12
      ? [1e12, "T"]
      : parameters > 1e9
        ? [1e9, "B"]
        : parameters > 1e6
          ? [1e6, "M"]
          : [1e3, "K"];
  const value = parameters / scale;
  const digits = value < 0.5 ? 0 : String(Math.round(value)).length;
  return `${value.toFixed(Math.max(2 - digits, 0))}${suffix}`;
}

type Kind = "basename" | "size" | "finetune" | "version" | "type";

interface Word {
  text: string;
  kinds: Set<Kind>;
}

const version = /^(v|iter)?\d+([.]\d+)*$/i;
const quantisation = /^(i?q\d(_\w)*|b?fp?(16|32))$/i;
const size = /^((A|\d+x)?\d+([._]\d+)?[KMBT]\d?|small|mini|medium|large|x?xl)$/i;
const tuned = /^(chat|instruct|vision|lora)$/i;

function wordOf(text: string, index: number, parameters: number): Word {
  if (version.test(text)) return { text, kinds: new Set(["version"]) };
  if (quantisation.test(text)) return { text: text.toUpperCase(), kinds: new Set(["type"]) };
  if (index > 0 && size.test(text)) return sizeWord(text, parameters);
  return { text, kinds: new Set(index > 0 && tuned.test(text) ? (["finetune"] as const) : []) };
}

function sizeWord(word: string, parameters: number): Word {
  let text = word.replaceAll("_", ".");
  // 7b1 is 7.1B
  if (/\d$/.test(text)) text = `${text.slice(0, -2)}.${text.at(-1)}${text.at(-2)}`;
  if (/\d[kmbt]$/.test(text)) text = text.slice(0, -1) + text.at(-1)!.toUpperCase();
  const number = text.slice(0, -1);
  const stated = /^\d+(\.\d+)?$/.test(number)
    ? Number(number) * 1000 ** " KMBT".indexOf(text.at(-1)!)
    : undefined;
  const isFarOff =
    stated !== undefined &&
    parameters > 0 &&
    Math.abs(stated - parameters) > Math.floor((7 * parameters) / 8);
  if (!isFarOff) return { text, kinds: new Set(["size"]) };
  return { text: text.slice(0, -1) + text.at(-1)!.toLowerCase(), kinds: new Set(["finetune"]) };
}

/** `mini` is no size where another word gives a number. */
function dropWordSizes(words: readonly Word[]): void {
  const sizes = words.filter(({ kinds }) => kinds.has("size"));
  if (!sizes.some(({ text }) => /\d/.test(text))) return;
  for (const word of sizes) if (/^\p{L}+$/u.test(word.text)) word.kinds.delete("size");
}

/** The first words that are nothing else, versions between them included; what is left behind them is the fine-tune. */
function markBasename(words: readonly Word[]): void {
  let isStart = true;
  for (const { text, kinds } of words) {
    if (isStart && ((kinds.size === 0 && /^\p{L}/u.test(text)) || kinds.has("version")))
      kinds.add("basename");
    else {
      isStart = false;
      if (kinds.size === 0) kinds.add("finetune");
    }
  }
  for (const { kinds } of words.toReversed()) {
    if (!kinds.has("basename") || kinds.size === 1) break;
    kinds.delete("basename");
  }
}

/** Words in lower case get a capital, unless they are versions. */
function titleOf(text: string): string {
  return text
    .replaceAll("-", " ")
    .trim()
    .split(/\s+/)
    .map((word) => {
      const isLower = word === word.toLowerCase() && word !== word.toUpperCase();
      return isLower && !/^(v\d+(\.\d+)*|\d.*)$/.test(word) ? capitalised(word) : word;
    })
    .join(" ");
}

/** A capital behind everything that is no letter, too: `top_k` is `Top_K`. */
function capitalised(word: string): string {
  return word.replace(/\p{L}+/gu, (letters) => letters[0]!.toUpperCase() + letters.slice(1));
}

function defined(parts: Record<keyof NameParts, string>): NameParts {
  return Object.fromEntries(Object.entries(parts).filter(([, text]) => text !== ""));
}
