import type { WritableMetadata, WritableValue } from "../gguf/encode.js";
import { type GgufLayout, layoutOf, type TensorShape } from "../gguf/layout.js";
import { type TensorTypeName, tensorBytes } from "../gguf/tensor-types.js";
import { visitingOrder } from "../quantize/mixes.js";
import type { ConvertibleModel, ConvertibleTensor } from "./model.js";

/** One file to write: what its header says and where its data lie. */
export interface OutputFile {
  path: string;
  metadata: WritableMetadata;
  tensors: readonly OutputTensor[];
  layout: GgufLayout;
}

/** A tensor as it is written; `type` is what the file gets, that of `source` what is read. */
export interface OutputTensor extends TensorShape {
  source: ConvertibleTensor;
}

/** How tensors are divided among files. */
export type Division =
  /** One file; `layers` is llama.cpp's order of quantised files, `source` leaves the order as it is. */
  | { kind: "whole"; order: "layers" | "source" }
  /** As the source is divided. */
  | { kind: "as-source" }
  /** A file ends before the tensor that would take its data past these bytes, or after so many tensors. */
  | { kind: "limited"; bytes?: number; tensors?: number };

/**
 * The files that a model becomes. Parts of a split model are named `OUT-00001-of-00003.gguf`, as llama.cpp wants them;
 * the first holds all metadata.
 *
 * Source: `llama_split_path` of src/llama.cpp, tools/gguf-split/gguf-split.cpp of llama.cpp v0.5.0.
 */
export function outputFiles(
  path: string,
  model: ConvertibleModel,
  types: readonly TensorTypeName[],
  metadata: ReadonlyMap<string, WritableValue>,
  division: Division,
): OutputFile[] {
  const tensors = model.tensors.map((source, index) => ({
    name: source.name,
    shape: source.shape,
    type: types[index]!,
    source,
  }));
  if (division.kind === "whole") {
    const ordered = division.order === "layers" ? visitingOrder(tensors).map((at) => tensors[at]!) : tensors;
    return [{ path, metadata, tensors: ordered, layout: layoutOf(ordered) }];
  }
  const groups = division.kind === "limited" ? byLimit(tensors, division) : byPart(tensors);
  if (groups.length === 1 && division.kind === "as-source")
    return [{ path, metadata, tensors, layout: layoutOf(tensors) }];
  return groups.map((group, no) => ({
    path: partPath(path, no, groups.length),
    metadata: new Map<string, WritableValue>([
      ...(no === 0 ? metadata : []),
      ["split.no", { type: "uint16", value: no }],
      ["split.count", { type: "uint16", value: groups.length }],
      ["split.tensors.count", { type: "int32", value: tensors.length }],
    ]),
    tensors: group,
    layout: layoutOf(group),
  }));
}

/** The name of one part, numbered from 0 here and from 1 in the name. */
function partPath(path: string, no: number, count: number): string {
  const number = (value: number) => String(value).padStart(5, "0");
  return `${path.replace(/\.gguf$/i, "")}-${number(no + 1)}-of-${number(count)}.gguf`;
}

function byPart(tensors: readonly OutputTensor[]): OutputTensor[][] {
  const groups: OutputTensor[][] = [];
  for (const tensor of tensors) {
    const part = tensor.source.part ?? 0;
    groups[part] = [...(groups[part] ?? []), tensor];
  }
  // a part may hold metadata alone
  return Array.from(groups, (group) => group ?? []);
}

function byLimit(
  tensors: readonly OutputTensor[],
  limit: { bytes?: number; tensors?: number },
): OutputTensor[][] {
  const groups: OutputTensor[][] = [];
  let group: OutputTensor[] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    const next = Math.ceil(tensorBytes(tensor.type, tensor.shape)! / 32) * 32;
    const isFull =
      group.length >= (limit.tensors ?? Number.POSITIVE_INFINITY) ||
      bytes + next > (limit.bytes ?? Number.POSITIVE_INFINITY);
    if (isFull && group.length > 0) {
      groups.push(group);
      group = [];
      bytes = 0;
    }
    group.push(tensor);
    bytes += next;
  }
  return [...groups, group];
}
