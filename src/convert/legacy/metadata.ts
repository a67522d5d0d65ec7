import type { WritableValue } from "../../gguf/encode.js";
import { type Container, notAfter } from "./format.js";
import type { LegacyFile } from "./header.js";
import { malformed, problems } from "./problems.js";
import type { Sizes } from "./tensors.js";

/** What no GGML file of 2023 says, and Meta's checkpoints say in part; the defaults are those of the former. */
export interface UnstatedSettings {
  /**
   * Tokens the model was trained for. Absent: 4096 with grouped-query attention, which LLaMA 2 brought, 2048 otherwise.
   */
  readonly contextLength?: number;
  /**
   * The epsilon of RMS norms. LLaMA 1 has 1e-6, LLaMA 2 1e-5. Absent: 1e-6 in files of before LLaMA 2 (until `ggjt v2`),
   * 1e-5 with grouped-query attention, otherwise 5e-6, the compromise that llama.cpp took in July 2023.
   */
  readonly rmsEpsilon?: number;
  /** The base of RoPE's frequencies. Absent: 10000, left to the engine. Code Llama has 1000000. */
  readonly ropeFrequencyBase?: number;
  /** The model's name. Absent: the file's. */
  readonly name?: string;
}

/** The feed-forward sizes of LLaMA 2 70B are 1.3 times as great as the rule for the others says. */
const feedForwardFactors = [1, Math.fround(1.3)];

/**
 * The metadata of the GGUF that a file becomes. The feed-forward size comes from the weights and is checked against the
 * rule of the time; so is the number of key/value heads, which no header has. `tokenizer` has the tokenizer's keys.
 *
 * Source: convert_llama_ggml_to_gguf.py of llama.cpp v0.5.0; `llama_model_load_internal` at e76d630 (23 July 2023).
 * Errors: `legacy-malformed`.
 */
export function legacyMetadata(
  file: LegacyFile,
  sizes: Sizes,
  name: string,
  settings: UnstatedSettings,
  tokenizer: Iterable<[string, WritableValue]>,
): Map<string, WritableValue> {
  const { path, hyperparameters, container } = file;
  const { n_embd, n_head, n_layer, n_rot, n_mult, n_vocab } = hyperparameters;
  if (n_embd % n_head !== 0)
    throw malformed(path, "n_head", problems.notDividing({ value: n_embd, divisor: `${n_head}` }));
  const head = n_embd / n_head;
  if (n_rot !== head)
    throw malformed(
      path,
      "n_rot",
      problems.notTheSame({ value: n_rot, expected: head, from: "n_embd, n_head" }),
    );
  const possible = feedForwardFactors.map((factor) => feedForwardSize(n_embd, n_mult, factor));
  if (!possible.includes(sizes.n_ff))
    throw malformed(
      path,
      "layers.0.feed_forward.w1.weight",
      problems.notTheSame({ value: sizes.n_ff, expected: possible[0]!, from: "n_embd, n_mult" }),
    );
  const headsKv = sizes.n_embd_kv / head;
  if (!Number.isInteger(headsKv) || n_head % headsKv !== 0)
    throw malformed(
      path,
      "layers.0.attention.wk.weight",
      problems.notDividing({ value: sizes.n_embd_kv, divisor: `${n_head} × ${head}` }),
    );
  const grouped = headsKv < n_head;
  const number = (value: number) => ({ type: "uint32" as const, value });
  const float = (value: number) => ({ type: "float32" as const, value });
  const base = settings.ropeFrequencyBase;
  return new Map<string, WritableValue>([
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.type", { type: "string", value: "model" }],
    ["general.name", { type: "string", value: settings.name ?? name }],
    ["llama.context_length", number(settings.contextLength ?? (grouped ? 4096 : 2048))],
    ["llama.embedding_length", number(n_embd)],
    ["llama.block_count", number(n_layer)],
    ["llama.feed_forward_length", number(sizes.n_ff)],
    ["llama.rope.dimension_count", number(n_rot)],
    ...(base === undefined ? [] : [["llama.rope.freq_base", float(base)] as const]),
    ["llama.attention.head_count", number(n_head)],
    ["llama.attention.head_count_kv", number(headsKv)],
    [
      "llama.attention.layer_norm_rms_epsilon",
      float(settings.rmsEpsilon ?? assumedEpsilon(container, grouped)),
    ],
    ["llama.vocab_size", number(n_vocab)],
    ...tokenizer,
  ]);
}

function assumedEpsilon(container: Container, grouped: boolean): number {
  if (notAfter(container, "ggjt v2")) return 1e-6;
  return grouped ? 1e-5 : 5e-6;
}

/** Two thirds of four times the hidden size, times `factor`, rounded up to a multiple. */
function feedForwardSize(hidden: number, multiple: number, factor: number): number {
  const size = Math.floor(factor * Math.floor((2 * 4 * hidden) / 3));
  return Math.ceil(size / multiple) * multiple;
}
