import { type TensorTypeName, tensorTypes } from "../gguf/tensor-types.js";
import { MixRules } from "./mix-rules.js";
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
}

/**
 * The type that each tensor of a model has in a mix, in the order the tensors are given. Tensors that are never
 * quantised (norms, biases, routers) keep theirs.
 *
 * Source: `llama_tensor_get_type` in src/llama-quant.cpp of llama.cpp v0.5.0.
 */
export function tensorTypesOfMix(mix: MixName, model: MixModel, options: MixOptions = {}): TensorTypeName[] {
  const rules = new MixRules(mix, mixes[mix], model, options.importanceMatrix ?? needsImportanceMatrix(mix));
  const types = model.tensors.map(({ type }) => type);
  for (const index of visitingOrder(model.tensors)) {
    const tensor = model.tensors[index]!;
    if (!isQuantisable(tensor)) continue;
    types[index] = tensorTypes[mixes[mix]].quantised
      ? fittingType(rules.typeOf(tensor), tensor.shape)
      : mixes[mix];
  }
  return types;
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
