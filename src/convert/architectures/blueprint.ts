import type { TensorTypeName } from "../../gguf/tensor-types.js";
import type { Config } from "./config.js";
import type { Dimensions, Hyperparameters } from "./hyperparameters.js";
import { type Recipe, stored, under } from "./recipe.js";

/** What a converter makes of a configuration: hyperparameters without the architecture's prefix, and tensors. */
export interface Blueprint {
  architecture: string;
  hyperparameters: Hyperparameters;
  tensors: BlueprintTensor[];
  /** What stored names may have in front: models saved from inside another class lack it. */
  prefix?: string;
}

/** A tensor of the GGUF and where its numbers come from. */
export interface BlueprintTensor {
  readonly name: string;
  /** As GGUF has it, row length first. */
  readonly shape: readonly number[];
  readonly recipe: Recipe;
  /** Left out where the checkpoint has nothing to make it from. */
  readonly isOptional?: boolean;
}

/** How the models of one kind are converted. */
export type Converter = (config: Config) => Blueprint;

export function tensor(name: string, shape: readonly number[], recipe: Recipe): BlueprintTensor {
  return { name, shape, recipe };
}

/** A tensor that is stored as it is wanted: the checkpoint's shape is the same, read backwards. */
export function same(name: string, source: string, ...shape: number[]): BlueprintTensor {
  return tensor(name, shape, stored(source, ...shape.toReversed()));
}

/** A weight and its bias, by their common names. */
export function withBias(name: string, source: string, ...shape: number[]): BlueprintTensor[] {
  return [
    same(`${name}.weight`, `${source}.weight`, ...shape),
    same(`${name}.bias`, `${source}.bias`, shape.at(-1)!),
  ];
}

/** A matrix, with a bias or without. */
export function linear(
  name: string,
  source: string,
  from: number,
  to: number,
  hasBias: boolean,
): BlueprintTensor[] {
  return hasBias ? withBias(name, source, from, to) : [same(`${name}.weight`, `${source}.weight`, from, to)];
}

/** How a checkpoint calls what lies outside the layers, and what stands before a layer's number. */
export interface ModelNames {
  embedding: string;
  layers: string;
  norm: string;
  output: string;
}

/** As transformers names them. */
export const usualNames: ModelNames = {
  embedding: "model.embed_tokens",
  layers: "model.layers.",
  norm: "model.norm",
  output: "lm_head",
};

export interface ModelParts {
  names?: ModelNames;
  /** Whether the output matrix is the embedding; undefined where only the checkpoint tells. */
  isTied: boolean | undefined;
  /** llama.cpp wants an output matrix even where it is the embedding. */
  needsOutput?: boolean;
  normBias?: boolean;
  /** A layer's tensors without their `blk.N.`, from sources without theirs. */
  layer: (index: number) => BlueprintTensor[];
}

/** Embedding, layers, last norm and output matrix. */
export function wholeModel(d: Dimensions, parts: ModelParts): BlueprintTensor[] {
  const { names = usualNames, normBias = false } = parts;
  const layers = Array.from({ length: d.layers }, (_, index) =>
    parts
      .layer(index)
      .map(({ name, shape, recipe }) =>
        tensor(`blk.${index}.${name}`, shape, under(`${names.layers}${index}.`, recipe)),
      ),
  );
  return [
    same("token_embd.weight", `${names.embedding}.weight`, d.hidden, d.vocabulary),
    ...layers.flat(),
    ...(normBias
      ? withBias("output_norm", names.norm, d.hidden)
      : [same("output_norm.weight", `${names.norm}.weight`, d.hidden)]),
    ...output(d, names, parts),
  ];
}

function output(d: Dimensions, names: ModelNames, { isTied, needsOutput }: ModelParts): BlueprintTensor[] {
  const own = same("output.weight", `${names.output}.weight`, d.hidden, d.vocabulary);
  if (isTied === undefined) return [{ ...own, isOptional: true }];
  if (!isTied) return [own];
  return needsOutput ? [same("output.weight", `${names.embedding}.weight`, d.hidden, d.vocabulary)] : [];
}

/** Separate matrices for Q, K, V and the output of attention; `biases` names those that have one. */
export function attention(d: Dimensions, biases = ""): BlueprintTensor[] {
  const [query, kv] = [d.headSize * d.heads, d.headSize * d.kvHeads];
  const has = (part: string) => biases.split(" ").includes(part);
  return [
    ...linear("attn_q", "self_attn.q_proj", d.hidden, query, has("q")),
    ...linear("attn_k", "self_attn.k_proj", d.hidden, kv, has("k")),
    ...linear("attn_v", "self_attn.v_proj", d.hidden, kv, has("v")),
    ...linear("attn_output", "self_attn.o_proj", query, d.hidden, has("output")),
  ];
}

/** Gate, up and down. */
export function gatedFeedForward(
  hidden: number,
  inner: number,
  { suffix = "", source = "mlp", hasBias = false } = {},
): BlueprintTensor[] {
  return [
    ...linear(`ffn_gate${suffix}`, `${source}.gate_proj`, hidden, inner, hasBias),
    ...linear(`ffn_up${suffix}`, `${source}.up_proj`, hidden, inner, hasBias),
    ...linear(`ffn_down${suffix}`, `${source}.down_proj`, inner, hidden, hasBias),
  ];
}

/** The shapes of a router's experts, stacked; `recipe` says where each part comes from. */
export function experts(
  hidden: number,
  inner: number,
  count: number,
  router: string,
  recipe: (part: "gate" | "up" | "down") => Recipe,
): BlueprintTensor[] {
  return [
    same("ffn_gate_inp.weight", `${router}.weight`, hidden, count),
    tensor("ffn_gate_exps.weight", [hidden, inner, count], recipe("gate")),
    tensor("ffn_up_exps.weight", [hidden, inner, count], recipe("up")),
    tensor("ffn_down_exps.weight", [inner, hidden, count], recipe("down")),
  ];
}

/** One expert's matrix each, stacked; `name` gives the stored one's. */
export function stackedExperts(
  count: number,
  [rows, columns]: readonly [number, number],
  name: (expert: number) => string,
): Recipe {
  const parts = Array.from({ length: count }, (_, expert) => stored(name(expert), rows, columns));
  return { kind: "joined", parts };
}

/** The type a converter writes before quantisation. Source: `prepare_tensors` in conversion/base.py. */
export function unquantisedType({ name, shape }: Pick<BlueprintTensor, "name" | "shape">): TensorTypeName {
  const isMatrix = shape.length > 1 && name.endsWith(".weight") && !name.endsWith("_norm.weight");
  return isMatrix && !/ffn_gate_inp|^position_embd/.test(name) ? "F16" : "F32";
}
