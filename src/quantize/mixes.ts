import { fileTypes } from "../gguf/outline.js";
import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";
import { isEmbedding, MixRules } from "./mix-rules.js";
import { type MixModel, type MixName, mixes, needsImportanceMatrix } from "./mix-table.js";
import { fittingType, isQuantisable } from "./quantisable.js";

export {
  type MixModel,
  type MixName,
  type MixTensor,
  mixes,
  mixNamed,
  mixNames,
  needsImportanceMatrix,
} from "./mix-table.js";

export interface MixOptions {
  /**
   * Whether an importance matrix guides the quantisation: some mixes then choose other types. Where absent, yes for
   * the mixes that cannot be made without one.
   */
  importanceMatrix?: boolean;
  /** Types for the tensors whose name a pattern is found in; the first that matches counts. */
  tensorTypes?: readonly TensorTypeWish[];
  /** The type of `output.weight`, and of an embedding that serves as output. */
  outputType?: TensorTypeName;
  /** The type of the token embeddings. */
  embeddingType?: TensorTypeName;
  /** The mix's usual type for every tensor. */
  pure?: boolean;
  /** Count in the order given, as llama.cpp does where the parts of a split model are kept; else see `visitingOrder`. */
  inGivenOrder?: boolean;
}

/** `attn_v=Q6_K`: a regular expression as in `--tensor-type`, and the type of what it matches. */
export interface TensorTypeWish {
  pattern: string;
  type: TensorTypeName;
}

/**
 * The type that each tensor of a model has in a mix, in the order the tensors are given. Tensors that are never
 * quantised (norms, biases, routers) keep theirs.
 *
 * Source: `llama_tensor_get_type` in src/llama-quant.cpp of llama.cpp v0.5.0.
 */
export function tensorTypesOfMix(mix: MixName, model: MixModel, options: MixOptions = {}): TensorTypeName[] {
  const importanceMatrix = options.importanceMatrix ?? needsImportanceMatrix(mix);
  const rules = new MixRules(mix, mixes[mix], model, importanceMatrix, options.outputType);
  const wishes = options.tensorTypes?.map(({ pattern, type }) => ({
    pattern: new RegExp(pattern, "i"),
    type,
  }));
  const types = model.tensors.map(({ type }) => type);
  const order = options.inGivenOrder ? types.keys() : visitingOrder(model.tensors);
  for (const index of order) {
    const tensor = model.tensors[index]!;
    if (!isQuantisable(tensor)) continue;
    const { name, shape } = tensor;
    const wished = wishes?.find(({ pattern }) => pattern.test(name))?.type;
    // a table for each layer is large: it may have a type of its own
    const isNamed = name === "per_layer_token_embd.weight" && wished !== undefined;
    if (options.embeddingType && isEmbedding(name) && !isNamed) types[index] = options.embeddingType;
    else if (options.outputType && name === "output.weight") types[index] = options.outputType;
    else if (wished) types[index] = fittingType(wished, shape);
    else if (!tensorTypes[mixes[mix]].quantised) types[index] = mixes[mix];
    else types[index] = fittingType(options.pure ? mixes[mix] : rules.typeOf(tensor), shape);
  }
  return types;
}

/** The number of a mix in `general.file_type`. */
export function fileTypeOf(mix: MixName): number {
  return Number(Object.entries(fileTypes).find(([, name]) => name === mix)![0]);
}

/**
 * The order in which llama.cpp quantises and writes tensors, as indices: tensors of no layer, then layer by layer, by
 * name within each. Rules that count ("the first eighth of …") count in it. Source: `weight_name_comparer` in
 * src/llama-model-loader.h.
 */
export function visitingOrder(tensors: readonly { name: string }[]): number[] {
  const layer = tensors.map(({ name }) => Number(/^blk\.(\d+)/.exec(name)?.[1] ?? -1));
  const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return tensors
    .map((_, index) => index)
    .sort((a, b) => layer[a]! - layer[b]! || compare(tensors[a]!.name, tensors[b]!.name));
}
