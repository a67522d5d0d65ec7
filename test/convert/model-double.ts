import type { ConvertibleModel, ConvertibleTensor } from "../../src/convert/model.js";
import { outputFiles } from "../../src/convert/output-files.js";
import { type TensorTypeName, tensorBytes } from "../../src/gguf/tensor-types.js";

/** A model of made-up bytes: what `readRows` gives depends on the tensor's place and the byte's. */
export function modelDouble(
  shapes: readonly (readonly number[])[],
  { fingerprint = "one", type = "F32" as TensorTypeName } = {},
): ConvertibleModel {
  const tensors = shapes.map((shape, index): ConvertibleTensor => {
    const rowBytes = tensorBytes(type, [shape[0]!])!;
    return {
      name: `blk.${index}.ffn_up.weight`,
      type,
      shape,
      async readRows(target, firstRow) {
        for (let at = 0; at < target.length; at++) target[at] = (firstRow * rowBytes + at) * (index + 3);
      },
    };
  });
  const metadata = new Map([["general.architecture", { type: "string" as const, value: "llama" }]]);
  return { path: "made up", format: "none", metadata, tensors, fingerprint, close: async () => {} };
}

/** The files of a model whose types stay as they are. */
export function asItIs(path: string, model: ConvertibleModel, maxTensors?: number) {
  const types = model.tensors.map(({ type }) => type);
  const division = maxTensors
    ? ({ kind: "limited", tensors: maxTensors } as const)
    : ({ kind: "whole", order: "source" } as const);
  return outputFiles(path, model, types, model.metadata, division);
}
