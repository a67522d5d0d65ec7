import { invalid, problems } from "./invalid.js";
import type { ModelFile, ModelTensor } from "./model-file.js";
import { type TensorTypeName, tensorTypes } from "./tensor-types.js";

/**
 * Checks what llama.cpp believes about tensors: that each lies right behind the one before, and that its type can
 * be computed with. Shapes it checks itself.
 */
export function validateTensors(model: ModelFile): void {
  if (model.tensors.length === 0) throw invalid(model, "tensor_count", problems.noWeights());
  for (const tensor of model.tensors) validateType(model, tensor);
  for (const { tensors, dataOffset, alignment } of model.shards) {
    let expected = 0;
    for (const tensor of tensors) {
      const offset = tensor.fileOffset - dataOffset;
      if (offset !== expected)
        throw invalid(model, tensor.name, problems.notContiguous({ offset, expected }));
      expected += Math.ceil(tensor.bytes / alignment) * alignment;
    }
  }
}

/** Q8_1 and Q8_K hold activations during a product; no kernel reads a weight from them. */
const neverWeights: ReadonlySet<TensorTypeName> = new Set(["Q8_1", "Q8_K", "I8", "I16", "I32", "I64", "F64"]);
/** Tables of indices, not weights. */
const indexTable = /^(d2t|masked_embd_ordering|blk\.\d+\.ffn_gate_tid2eid)(\.|$)/;
/**
 * Matrices that are added, multiplied element by element or scanned, never the left side of a product: the kernels
 * for that abort on any type but F32. Source: LLM_TENSOR_INFOS in src/llama-arch.cpp.
 */
const elementwise =
  /(_norm(_\d|_exps)?\.weight|\.bias|\.(ssm_a|ssm_d|ssm_conv1d(_[kqv])?|shortconv\.conv|ple_conv1d|time_mix_(first|decay|lerp_\w+|ln|[awv]0|k_[ak]|r_k)|channel_mix_lerp_[kr]|attn_sinks|exp_probs_b\w*|altup_correct_scale|layer_output_scale|\w+_res_score|hc_\w+_(base|scale))(\.weight)?)$|^rope_(freqs|factors_\w+)\.weight$/;

function validateType(model: ModelFile, { name, type, shape }: ModelTensor): void {
  if (neverWeights.has(type)) {
    const isIndices = (type === "I32" || type === "I64") && indexTable.test(name);
    if (!isIndices) throw invalid(model, name, problems.unrunnableType({ type }));
  }
  const isVector = shape.filter((dimension) => dimension > 1).length <= 1 && !tensorTypes[type].quantised;
  if (type !== "F32" && !indexTable.test(name) && ((shape.length <= 1 && isVector) || elementwise.test(name)))
    throw invalid(model, name, problems.mustBeFloat({ type }));
}
