import {
  expertsOnly,
  sameHeadSizes,
  sectionedRope,
  wholeHeadRope,
  withoutAttention,
} from "./architectures.js";
import { expectRange, invalid, problems } from "./invalid.js";
import type { MetadataValue, ValueType } from "./metadata.js";
import type { ModelFile } from "./model-file.js";

/** LLAMA_MAX_LAYERS and LLAMA_MAX_EXPERTS of src/llama-hparams.h. */
const mostLayers = 512;
const mostExperts = 1024;
/** Far above any model, and products of two such numbers still fit llama.cpp's 64-bit sizes. */
const mostAnything = 2 ** 30;
const largestHidden = 2 ** 20;
const mostHeads = 2 ** 16;
const ropeScalings = ["none", "linear", "yarn", "longrope"];

/**
 * Checks the numbers that llama.cpp divides by, asserts about or sizes buffers with before it compares them to
 * tensors. Source: `load_hparams` in src/llama-model.cpp, assertions in src/models/*.cpp.
 */
export function validateHyperparameters(
  model: Pick<ModelFile, "path" | "metadata">,
  architecture: string,
): void {
  const h = new Hyperparameters(model, architecture);
  h.expectPlainNumbers();
  const layers = h.required("block_count", 1, mostLayers);
  h.optional("nextn_predict_layers", 0, layers - 1);
  h.required("context_length", 1, mostAnything);
  const hidden = h.required("embedding_length", 1, largestHidden);
  h.optional("embedding_length_out", 0, largestHidden);
  h.optional("vocab_size", 1, 2 ** 24);
  h.optional("pooling_type", 0, 4);
  // the graphs of RWKV assert how many shifted tokens their state holds
  if (/^rwkv[67]$/.test(architecture)) h.optional("token_shift_count", 2, 2);
  if (/^(rwkv6qwen2|arwkv7)$/.test(architecture)) h.required("token_shift_count", 1, 1);
  // and those of Mamba in these two, that its inner size is twice the hidden size
  if (/^(granitehybrid|jamba)$/.test(architecture))
    h.expectSame(
      "ssm.inner_size",
      h.required("ssm.inner_size", 1, largestHidden * 2),
      "embedding_length × 2",
      hidden * 2,
    );
  validateExperts(h, layers);
  const headSize = validateHeads(h, layers, hidden);
  validateSlidingWindow(h);
  validateLatentAttention(h);
  validateRope(h, headSize);
}

function validateExperts(h: Hyperparameters, layers: number): void {
  const least = expertsOnly.has(h.architecture) ? 1 : 0;
  const experts = h.optional("expert_count", 0, mostExperts) ?? 0;
  expectRange(h.model, h.key("expert_count"), experts, least, mostExperts);
  if (h.architecture === "grovemoe") h.required("experts_per_group", 1, mostExperts);
  if (h.architecture === "ernie4_5-moe") h.required("interleave_moe_layer_step", 1, mostLayers);
  const used = Math.max(0, ...(h.perLayer("expert_used_count", layers) ?? []));
  expectRange(h.model, h.key("expert_used_count"), used, experts > 0 ? 1 : 0, experts);
  const groups = h.optional("expert_group_count", 0, Math.max(0, experts - 1)) ?? 0;
  if (groups > 1) {
    if (experts % groups !== 0) throw h.notMultiple("expert_count", experts, "expert_group_count", groups);
    expectRange(
      h.model,
      h.key("expert_group_used_count"),
      h.optional("expert_group_used_count", 0, mostExperts) ?? 0,
      1,
      groups - 1,
    );
  }
}

/** Returns the size of a K head, which RoPE turns. Undefined where there is no attention. */
function validateHeads(h: Hyperparameters, layers: number, hidden: number): number | undefined {
  const heads = h.perLayer("attention.head_count", layers);
  const field = h.key("attention.head_count");
  if (!heads) {
    if (withoutAttention.has(h.architecture)) return undefined;
    throw invalid(h.model, field, problems.missing());
  }
  for (const count of heads) expectRange(h.model, field, count, 0, mostHeads);
  const kvHeads = h.perLayer("attention.head_count_kv", layers) ?? heads;
  for (const [layer, count] of kvHeads.entries()) {
    expectRange(h.model, h.key("attention.head_count_kv"), count, 0, mostHeads);
    if (count > 0 && heads[layer]! % count !== 0)
      throw h.notMultiple("attention.head_count", heads[layer]!, "attention.head_count_kv", count);
  }
  // llama.cpp divides the hidden size by the heads of the first layer
  const first = heads[0]!;
  if (first === 0) {
    if (withoutAttention.has(h.architecture)) return undefined;
    throw invalid(h.model, field, problems.outOfRange({ value: 0, low: 1, high: mostHeads }));
  }
  const ownSize = h.optional("attention.key_length", 1, largestHidden);
  if (ownSize === undefined && hidden % first !== 0)
    throw h.notMultiple("embedding_length", hidden, "attention.head_count", first);
  const size = ownSize ?? Math.floor(hidden / first);
  const valueSize = h.optional("attention.value_length", 1, largestHidden) ?? Math.floor(hidden / first);
  const swaSize = h.optional("attention.key_length_swa", 1, largestHidden) ?? size;
  const swaValueSize = h.optional("attention.value_length_swa", 1, largestHidden) ?? valueSize;
  if (sameHeadSizes.has(h.architecture)) {
    h.expectSame("attention.value_length", valueSize, "attention.key_length", size);
    h.expectSame("attention.value_length_swa", swaValueSize, "attention.key_length_swa", swaSize);
  }
  return size;
}

/** Where a window is set, some layer must slide: llama.cpp asserts it. A pattern of 1 means none does. */
function validateSlidingWindow(h: Hyperparameters): void {
  const name = "attention.sliding_window_pattern";
  if (!h.optional("attention.sliding_window", 0, mostAnything)) return;
  const pattern = h.model.metadata.get(h.key(name));
  const items = pattern?.type === "array" ? (pattern.value.items ?? []).map(Number) : undefined;
  const slides = items ? items.some((item) => item !== 0) : h.optional(name) !== 1;
  if (!slides) throw invalid(h.model, h.key(name), problems.noLayerSlides());
}

/** Multi-head latent attention caches the compressed K and the part RoPE turns, as one head. */
function validateLatentAttention(h: Hyperparameters): void {
  if (!h.optional("attention.key_length_mla", 0, largestHidden)) return;
  const rank = h.required("attention.kv_lora_rank", 1, largestHidden);
  const turned = h.required("rope.dimension_count", 0, largestHidden);
  const size = h.required("attention.key_length", 1, largestHidden);
  const valueSize = h.required("attention.value_length", 1, largestHidden);
  h.expectSame("attention.key_length", size, "attention.kv_lora_rank + rope.dimension_count", rank + turned);
  h.expectSame("attention.value_length", valueSize, "attention.kv_lora_rank", rank);
}

function validateRope(h: Hyperparameters, headSize: number | undefined): void {
  const turned = h.optional("rope.dimension_count", 0, headSize ?? largestHidden);
  const swaSize = h.optional("attention.key_length_swa", 1, largestHidden) ?? headSize;
  const swaTurned = h.optional("rope.dimension_count_swa", 0, swaSize ?? largestHidden);
  for (const [name, value] of [
    ["rope.dimension_count", turned ?? headSize],
    ["rope.dimension_count_swa", swaTurned],
  ] as const)
    if (value !== undefined && value % 2 !== 0) throw h.notMultiple(name, value, "2", 2);
  validateRopeSections(h);
  if (wholeHeadRope.has(h.architecture)) {
    h.expectSame("rope.dimension_count", turned ?? headSize, "attention.key_length", headSize);
    h.expectSame("rope.dimension_count_swa", swaTurned ?? swaSize, "attention.key_length_swa", swaSize);
  }
  for (const name of ["rope.freq_base", "rope.freq_base_swa"]) {
    const value = h.optional(name);
    if (value !== undefined && !(value > 0))
      throw invalid(h.model, h.key(name), problems.notFinitePositive({ value }));
  }
  for (const name of ["rope.scaling.factor", "rope.scale_linear"]) h.optional(name, 0, mostAnything);
  const scaling = h.model.metadata.string(h.key("rope.scaling.type"));
  if (scaling !== undefined && !ropeScalings.includes(scaling)) {
    const problem = problems.notOneOf({ value: scaling, allowed: ropeScalings.join(", ") });
    throw invalid(h.model, h.key("rope.scaling.type"), problem);
  }
}

/** Four sections, of which the first three may not all be empty where RoPE turns by them. */
function validateRopeSections(h: Hyperparameters): void {
  const name = "rope.dimension_sections";
  const sections = h.perLayer(name, 4);
  for (const value of sections ?? []) expectRange(h.model, h.key(name), value, 0, largestHidden);
  if (!sectionedRope.has(h.architecture)) return;
  if (!sections) throw invalid(h.model, h.key(name), problems.missing());
  if (sections.slice(0, 3).every((section) => section === 0))
    throw invalid(h.model, h.key(name), problems.notFinitePositive({ value: 0 }));
}

/** The values of a model under its architecture's prefix. */
class Hyperparameters {
  constructor(
    readonly model: Pick<ModelFile, "path" | "metadata">,
    readonly architecture: string,
  ) {}

  key(name: string): string {
    return `${this.architecture}.${name}`;
  }

  optional(name: string, low = -mostAnything, high = mostAnything): number | undefined {
    const value = this.model.metadata.number(this.key(name));
    if (value !== undefined) expectRange(this.model, this.key(name), value, low, high);
    return value;
  }

  required(name: string, low: number, high: number): number {
    const value = this.optional(name, low, high);
    if (value === undefined) throw invalid(this.model, this.key(name), problems.missing());
    return value;
  }

  perLayer(name: string, layers: number): number[] | undefined {
    return this.model.metadata.perLayer(this.key(name), layers);
  }

  /**
   * Every number of the model itself: floats finite, norms' epsilons from 0 to 1, integers within ±2³⁰ so that
   * llama.cpp's casts to 32-bit integers keep them.
   */
  expectPlainNumbers(): void {
    for (const [key, entry] of this.model.metadata.entries()) {
      if (!key.startsWith(`${this.architecture}.`)) continue;
      for (const value of numbersOf(entry)) {
        if (!Number.isFinite(value)) throw invalid(this.model, key, problems.notFinite({ value }));
        if (key.endsWith("epsilon") || key.endsWith("_eps")) expectRange(this.model, key, value, 0, 1);
        if (isInteger(entry)) expectRange(this.model, key, value, -mostAnything, mostAnything);
      }
    }
  }

  expectSame(name: string, value: number | undefined, other: string, expected: number | undefined): void {
    if (value === expected || value === undefined || expected === undefined) return;
    throw invalid(this.model, this.key(name), problems.differs({ value, expected, what: this.key(other) }));
  }

  notMultiple(name: string, value: number, what: string, of: number) {
    return invalid(this.model, this.key(name), problems.notMultiple({ value, of, what }));
  }
}

function numbersOf(entry: MetadataValue): number[] {
  if (entry.type === "array")
    return (entry.value.items ?? []).filter((item) => typeof item === "number").map(Number);
  return typeof entry.value === "number" ? [entry.value] : [];
}

const integers: ReadonlySet<ValueType> = new Set(["uint8", "int8", "uint16", "int16", "uint32", "int32"]);

function isInteger(entry: MetadataValue): boolean {
  return integers.has(entry.type === "array" ? entry.value.elementType : entry.type);
}
