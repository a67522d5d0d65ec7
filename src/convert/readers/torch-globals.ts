import type { StoredType } from "../checkpoint.js";
import { PickleDict, PickleGlobal, PickleSet, PickleTuple, type PickleValue } from "./pickle/values.js";
import { countElements } from "./shape.js";

/** A run of elements that tensors look into: a file of a zip archive, or a part of an old stream. */
export class TorchStorage {
  constructor(
    readonly key: string,
    /** `bytes` where each tensor says what they are. */
    readonly type: StoredType | "bytes",
    /** Of its type, or bytes. */
    readonly elements: number,
    /** Where it starts in what is stored under the key, in elements; only old streams have views of storages. */
    readonly start: number,
  ) {}
}

/** A tensor: a look into a storage, in elements of its type. */
export class TorchTensor {
  constructor(
    readonly storage: TorchStorage,
    readonly type: StoredType,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

/** A class whose storages hold elements of one type. */
export class StorageClass extends PickleGlobal {
  constructor(
    name: string,
    readonly type: StoredType | "bytes",
  ) {
    super(`torch.${name}`);
  }
}

/** A type of elements, as `torch.float16` names one. */
class ElementType extends PickleGlobal {
  constructor(
    name: string,
    readonly type: StoredType,
  ) {
    super(`torch.${name}`);
  }
}

/**
 * What a checkpoint of weights may name. Source: torch/_utils.py, torch/_tensor.py, torch/storage.py of PyTorch 0.4
 * to 2.8.
 */
const globals: ReadonlyMap<string, PickleGlobal> = new Map(
  [
    new StorageClass("FloatStorage", "F32"),
    new StorageClass("HalfStorage", "F16"),
    new StorageClass("BFloat16Storage", "BF16"),
    new StorageClass("DoubleStorage", "F64"),
    new StorageClass("LongStorage", "I64"),
    new StorageClass("IntStorage", "I32"),
    new StorageClass("ShortStorage", "I16"),
    new StorageClass("CharStorage", "I8"),
    new StorageClass("ByteStorage", "U8"),
    new StorageClass("BoolStorage", "BOOL"),
    new StorageClass("storage.UntypedStorage", "bytes"),
    new StorageClass("storage._UntypedStorage", "bytes"),
    ...["float64", "double"].map((name) => new ElementType(name, "F64")),
    ...["float32", "float"].map((name) => new ElementType(name, "F32")),
    ...["float16", "half"].map((name) => new ElementType(name, "F16")),
    new ElementType("bfloat16", "BF16"),
    new ElementType("float8_e4m3fn", "F8_E4M3"),
    new ElementType("float8_e5m2", "F8_E5M2"),
    ...["int64", "long"].map((name) => new ElementType(name, "I64")),
    ...["int32", "int"].map((name) => new ElementType(name, "I32")),
    ...["int16", "short"].map((name) => new ElementType(name, "I16")),
    new ElementType("int8", "I8"),
    new ElementType("uint8", "U8"),
    new ElementType("bool", "BOOL"),
    new PickleGlobal("torch._utils._rebuild_tensor", rebuildTensor),
    new PickleGlobal("torch._utils._rebuild_tensor_v2", rebuildTensor),
    new PickleGlobal("torch._utils._rebuild_tensor_v3", rebuildFromBytes),
    new PickleGlobal("torch._utils._rebuild_parameter", tensorOf),
    new PickleGlobal("torch._utils._rebuild_parameter_with_state", tensorOf),
    new PickleGlobal("torch._tensor._rebuild_from_type_v2", rebuildFromType),
    // the types that _rebuild_from_type_v2 is given
    new PickleGlobal("torch.Tensor"),
    new PickleGlobal("torch.nn.parameter.Parameter"),
    new PickleGlobal("torch.nn.parameter.Buffer"),
    new PickleGlobal("torch.Size", makeSize),
    new PickleGlobal("torch.device", (args) => args.map(String).join(":")),
    new PickleGlobal("collections.OrderedDict", makeDict),
    new PickleGlobal("builtins.dict", makeDict),
    new PickleGlobal("builtins.set", makeSet),
    // how protocol 2 writes bytes
    new PickleGlobal("_codecs.encode", encode),
    new PickleGlobal("builtins.bytes", (args) => (args.length === 0 ? new Uint8Array() : undefined)),
  ].map((global) => [global.name, global]),
);

/** The class or function that a checkpoint asks for; undefined where none of weights needs it. */
export function torchGlobal(module: string, name: string): PickleGlobal | undefined {
  // as Python 2 calls it
  return globals.get(`${module === "__builtin__" ? "builtins" : module}.${name}`);
}

/** (storage, offset, size, stride, requires_grad, backward_hooks, metadata) */
function rebuildTensor([storage, ...layout]: readonly PickleValue[]): TorchTensor | undefined {
  if (!(storage instanceof TorchStorage) || storage.type === "bytes") return undefined;
  return makeTensor(storage, storage.type, layout);
}

/** (storage, offset, size, stride, requires_grad, backward_hooks, dtype, metadata) */
function rebuildFromBytes([storage, ...layout]: readonly PickleValue[]): TorchTensor | undefined {
  const type = layout[5];
  if (!(storage instanceof TorchStorage) || !(type instanceof ElementType)) return undefined;
  return makeTensor(storage, type.type, layout);
}

/** (function, type, its arguments, state) */
function rebuildFromType([rebuild, , args]: readonly PickleValue[]): PickleValue | undefined {
  const isRebuild = rebuild instanceof PickleGlobal && rebuild.name.startsWith("torch._utils._rebuild_");
  return isRebuild && args instanceof PickleTuple ? rebuild.call?.(args.items) : undefined;
}

/** (data, requires_grad, backward_hooks) */
function tensorOf([data]: readonly PickleValue[]): TorchTensor | undefined {
  return data instanceof TorchTensor ? data : undefined;
}

function makeTensor(
  storage: TorchStorage,
  type: StoredType,
  [offset, size, stride]: readonly PickleValue[],
): TorchTensor | undefined {
  if (!(size instanceof PickleTuple) || !(stride instanceof PickleTuple)) return undefined;
  if (size.items.length !== stride.items.length || countElements(size.items) === undefined) return undefined;
  if (!isCount(offset) || !stride.items.every(isCount)) return undefined;
  return new TorchTensor(storage, type, offset, size.items as number[], stride.items as number[]);
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function makeSize([sizes]: readonly PickleValue[]): PickleTuple | undefined {
  if (Array.isArray(sizes)) return new PickleTuple(sizes);
  return sizes instanceof PickleTuple ? sizes : undefined;
}

/** From nothing, or from pairs. */
function makeDict([pairs = []]: readonly PickleValue[]): PickleDict | undefined {
  if (!Array.isArray(pairs)) return undefined;
  const dict = new PickleDict();
  for (const pair of pairs) {
    const items = pair instanceof PickleTuple ? pair.items : pair;
    if (!Array.isArray(items) || items.length !== 2) return undefined;
    dict.set(items[0], items[1]);
  }
  return dict;
}

function makeSet([items = []]: readonly PickleValue[]): PickleSet | undefined {
  if (!Array.isArray(items)) return undefined;
  const set = new PickleSet();
  for (const item of items) set.items.push(item);
  return set;
}

function encode([text, encoding]: readonly PickleValue[]): Uint8Array | undefined {
  return typeof text === "string" && encoding === "latin1" ? Buffer.from(text, "latin1") : undefined;
}
