import { isJaugeError, JaugeError } from "../../errors.js";
import { FileWindow } from "../../gguf/file-window.js";
import { type Container, containers, dataAlignment, magics, notAfter } from "./format.js";
import { malformed, problems } from "./problems.js";

/** What a file starts with. */
export interface LegacyHeader {
  readonly path: string;
  readonly container: Container;
  readonly hyperparameters: Hyperparameters;
}

/** Everything of a file but its weights. */
export interface LegacyFile extends LegacyHeader {
  readonly vocabulary: LegacyVocabulary;
  /** By name, in file order. */
  readonly tensors: ReadonlyMap<string, ListedTensor>;
}

/** The header's numbers, in their order, by the names of llama.cpp's `llama_hparams`. */
export interface Hyperparameters {
  readonly n_vocab: number;
  readonly n_embd: number;
  readonly n_mult: number;
  readonly n_head: number;
  readonly n_layer: number;
  readonly n_rot: number;
  readonly ftype: number;
}

export interface LegacyVocabulary {
  /** Bytes of each token, not always UTF-8. Where a file lists fewer tokens than `n_vocab`, so does this. */
  readonly texts: readonly Buffer[];
  /** Undefined in the `ggml` container, which has none. */
  readonly scores: Float32Array | undefined;
}

/** A tensor as a file lists it. */
export interface ListedTensor {
  readonly name: string;
  readonly typeNumber: number;
  /** Row length first. */
  readonly shape: readonly number[];
  /** Where its data start. */
  readonly offset: number;
}

/** More than any LLaMA has; they bound what a hostile file can ask for. */
const limits = {
  n_vocab: 1 << 20,
  n_embd: 1 << 17,
  n_mult: 1 << 17,
  n_head: 1 << 12,
  n_layer: 1 << 10,
  n_rot: 1 << 12,
};
const longestToken = 4096;
const mostVocabularyBytes = 64 * 1024 * 1024;
const longestName = 256;

/**
 * Reads the header, the vocabulary and the list of tensors. `admit` says how long a tensor's data are, or refuses it;
 * `isWhole` whether these are all: what is no tensor behind them was appended.
 *
 * Errors: `file-unreadable`, `legacy-version`, `legacy-malformed`, `legacy-truncated`, `legacy-surplus`; those of `admit`.
 */
export async function readLegacyFile(
  path: string,
  admit: (file: LegacyHeader, tensor: ListedTensor) => number,
  isWhole: (tensors: ReadonlyMap<string, ListedTensor>, hyperparameters: Hyperparameters) => boolean,
): Promise<LegacyFile> {
  const window = await FileWindow.open(path);
  try {
    const container = await readContainer(window);
    const hyperparameters = await readHyperparameters(window);
    const vocabulary = await readVocabulary(window, container, hyperparameters.n_vocab);
    const tensors = new Map<string, ListedTensor>();
    const readAdmitted = async (before: string | undefined) => {
      const tensor = await readListedTensor(window, container, before);
      return { tensor, bytes: admit({ path, container, hyperparameters }, tensor) };
    };
    let end = window.offset;
    for (let before: string | undefined; end < window.fileBytes; ) {
      window.seek(end);
      const { tensor, bytes } = await readAdmitted(before).catch((error) => {
        const surplusBytes = window.fileBytes - end;
        throw isFormatError(error) && isWhole(tensors, hyperparameters)
          ? new JaugeError("legacy-surplus", { path, surplusBytes }, { cause: error })
          : error;
      });
      if (tensors.has(tensor.name)) throw malformed(path, tensor.name, problems.twice());
      const missing = tensor.offset + bytes - window.fileBytes;
      if (missing > 0) throw truncated(path, tensor.name, missing);
      tensors.set(tensor.name, tensor);
      before = tensor.name;
      end = tensor.offset + bytes;
    }
    return { path, container, hyperparameters, vocabulary, tensors };
  } catch (error) {
    throw asLegacy(error);
  } finally {
    await window.close();
  }
}

async function readContainer(window: FileWindow): Promise<Container> {
  const magic = await window.uint32("magic");
  if (magic === magics.ggml) return "ggml";
  const version = await window.uint32("version");
  const name = magic === magics.ggmf ? "ggmf" : magic === magics.ggjt ? "ggjt" : undefined;
  const container = containers.find((known) => known === `${name} v${version}`);
  if (container) return container;
  const letters = Buffer.alloc(4);
  letters.writeUInt32BE(magic);
  const shown = name ?? JSON.stringify(letters.toString("latin1")).slice(1, -1);
  throw new JaugeError("legacy-version", { path: window.path, magic: shown, version });
}

async function readHyperparameters(window: FileWindow): Promise<Hyperparameters> {
  const numbers: Record<string, number> = {};
  for (const [name, high] of Object.entries(limits)) {
    const value = await window.uint32(name);
    if (value < 1 || value > high)
      throw malformed(window.path, name, problems.outOfRange({ value, low: 1, high }));
    numbers[name] = value;
  }
  return { ...(numbers as Record<keyof typeof limits, number>), ftype: await window.uint32("ftype") };
}

async function readVocabulary(
  window: FileWindow,
  container: Container,
  count: number,
): Promise<LegacyVocabulary> {
  const texts: Buffer[] = [];
  const scores = container === "ggml" ? undefined : new Float32Array(count);
  let total = 0;
  for (let token = 0; token < count; token++) {
    const field = `token ${token}`;
    if (!scores && token === count - 1 && (await tensorsBeginHere(window))) break;
    const bytes = await window.uint32(field);
    total += bytes;
    const limit = total > mostVocabularyBytes ? 0 : longestToken;
    if (bytes > limit) throw malformed(window.path, field, problems.tooLong({ bytes, limit }));
    texts.push(await window.take(bytes, field));
    if (scores) scores[token] = (await window.take(4, field)).readFloatLE();
  }
  return { texts, scores };
}

/**
 * Whether a tensor is listed where the last token should be: `gpt4all-lora-quantized.bin` says 32001 tokens and lists
 * 32000; its program, gpt4all.cpp, added "<pad>" by itself.
 */
async function tensorsBeginHere(window: FileWindow): Promise<boolean> {
  const { offset } = window;
  if (window.left < 12) return false;
  const dimensions = await window.uint32("token");
  const nameBytes = await window.uint32("token");
  await window.uint32("token");
  let begins = false;
  if (dimensions >= 1 && dimensions <= 2 && nameBytes <= longestName) {
    const bytes = 4 * dimensions + nameBytes;
    if (bytes <= window.left) {
      const name = (await window.take(bytes, "token")).toString("latin1", 4 * dimensions);
      begins = /^(tok_embeddings|norm|output|layers\.\d+\.\w+(\.\w+)?)\.weight$/.test(name);
    }
  }
  window.seek(offset);
  return begins;
}

async function readListedTensor(
  window: FileWindow,
  container: Container,
  before: string | undefined,
): Promise<ListedTensor> {
  const place = before === undefined ? "first tensor" : `tensor after ${before}`;
  const dimensions = await window.uint32(place);
  const nameBytes = await window.uint32(place);
  const typeNumber = await window.uint32(place);
  if (dimensions < 1 || dimensions > 2) {
    const problem = problems.outOfRange({ value: dimensions, low: 1, high: 2 });
    throw malformed(window.path, `${place}, n_dims`, problem);
  }
  if (nameBytes > longestName) {
    const problem = problems.tooLong({ bytes: nameBytes, limit: longestName });
    throw malformed(window.path, `${place}, name`, problem);
  }
  const shape: number[] = [];
  for (let index = 0; index < dimensions; index++) shape.push(await window.uint32(place));
  const name = (await window.take(nameBytes, place)).toString("utf8");
  const padding = notAfter("ggjt v1", container) ? -window.offset & (dataAlignment - 1) : 0;
  return { name, typeNumber, shape, offset: window.offset + padding };
}

/** The error of a file that ends `missing` bytes before the end of `field`. */
export function truncated(path: string, field: string, missing: number): JaugeError<"legacy-truncated"> {
  return new JaugeError("legacy-truncated", { path, field, missingBytes: missing });
}

/** The window's own error speaks of GGUF by its code. */
function asLegacy(error: unknown): unknown {
  if (!(error instanceof JaugeError) || error.code !== "gguf-truncated") return error;
  const { path, field, missingBytes } = error.facts as { path: string; field: string; missingBytes: number };
  return truncated(path, field, missingBytes);
}

/** Whether what was read is at fault, not the reading. */
function isFormatError(error: unknown): boolean {
  return (["gguf-truncated", "legacy-malformed", "legacy-type"] as const).some((code) =>
    isJaugeError(error, code),
  );
}
