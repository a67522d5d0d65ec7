import { type TensorTypeName, tensorBytes } from "../../gguf/tensor-types.js";
import type { ModelSource, SourceTensor } from "../../plan/source.js";
import { fileTypeOf, type MixName, type MixOptions, tensorTypesOfMix } from "../../quantize/mixes.js";
import { HeaderSource, withValues } from "./header-source.js";

/**
 * The same model at another quantisation mix: its tensor list and sizes, and a ghost to measure. There is no file of
 * it, so it has no path. `source` must come from this folder. See `tensorTypesOfMix` for the rules.
 */
export function requantised(source: ModelSource, mix: MixName, options: MixOptions = {}): HeaderSource {
  if (!(source instanceof HeaderSource)) throw new TypeError("no source of a header");
  const { outline, tensors, alignment, metadata } = source;
  const types = tensorTypesOfMix(mix, mixModelOf(source), options);
  return new HeaderSource({
    source: source.source,
    metadata: withValues(metadata, [
      ["general.architecture", { type: "string", value: outline.architecture }],
      ["general.file_type", { type: "uint32", value: fileTypeOf(mix) }],
      ["general.quantization_version", { type: "uint32", value: 2 }],
    ]),
    tensors: placed(
      tensors.map(({ name, shape }, index) => ({ name, shape, type: types[index]! })),
      alignment,
    ),
    alignment,
  });
}

/** Tensors one behind the other, as llama.cpp wants them; offsets count from the start of the data. */
export function placed(
  tensors: readonly { name: string; type: TensorTypeName; shape: number[] }[],
  alignment: number,
): SourceTensor[] {
  let end = 0;
  return tensors.map(({ name, type, shape }) => {
    const bytes = tensorBytes(type, shape);
    if (bytes === undefined) throw new RangeError(`${name}: [${shape.join(", ")}] is no shape for ${type}`);
    const fileOffset = end;
    end += Math.ceil(bytes / alignment) * alignment;
    return { name, type, shape, bytes, shard: 0, fileOffset };
  });
}

function mixModelOf({ outline, tensors }: ModelSource) {
  return {
    architecture: outline.architecture,
    layers: outline.layers,
    heads: outline.heads[0] ?? 0,
    kvHeads: outline.kvHeads[0] ?? 0,
    experts: outline.experts ?? 0,
    tensors,
  };
}
