import { type StoredTensor, storedBytes } from "../checkpoint.js";
import type { PooledFile } from "./file-pool.js";
import { type PickleContext, PickleEndsEarly, unpickle } from "./pickle/unpickle.js";
import { PickleTuple, type PickleValue } from "./pickle/values.js";
import { malformed, problems } from "./problems.js";
import { namedTensors } from "./state-dictionary.js";
import { type BandKeeper, stridedReader } from "./strided.js";
import { StorageClass, TorchStorage, type TorchTensor, torchGlobal } from "./torch-globals.js";

/** What 100,000 tensors take is 20 MB. */
export const longestPickle = 64 * 1024 * 1024;

/** Where the elements of a storage lie. */
export interface StoragePlace {
  position: number;
  bytes: number;
}

/** The pickle context of a file of PyTorch's: weights and what belongs to them, storages by persistent ids. */
export function torchContext(path: string, field: string): PickleContext {
  return {
    path,
    field,
    global: torchGlobal,
    persistent: (id) => {
      const storage = storageOf(id);
      if (!storage) throw malformed(path, field, problems.arguments({ class: "persistent_id" }));
      return storage;
    },
  };
}

/** ("storage", class, key, location, elements), and in old streams a view (key, offset, elements) or None. */
function storageOf(id: PickleValue): TorchStorage | undefined {
  if (!(id instanceof PickleTuple)) return undefined;
  const [kind, type, key, , elements, view = null] = id.items;
  if (kind !== "storage" || !(type instanceof StorageClass) || !isCount(elements)) return undefined;
  if (typeof key !== "string" && typeof key !== "number") return undefined;
  if (view === null) return new TorchStorage(String(key), type.type, elements, 0);
  if (!(view instanceof PickleTuple)) return undefined;
  const [, offset, viewed] = view.items;
  if (!isCount(offset) || !isCount(viewed) || offset + viewed > elements) return undefined;
  return new TorchStorage(String(key), type.type, viewed, offset);
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** As `unpickle`, of bytes that should hold the whole pickle. */
export function unpickleWhole(bytes: Buffer, start: number, context: PickleContext) {
  try {
    return unpickle(bytes, start, context);
  } catch (error) {
    if (!(error instanceof PickleEndsEarly)) throw error;
    const reason = problems.endsEarly();
    throw malformed(context.path, context.field, problems.pickle({ position: bytes.length, reason }));
  }
}

/** The tensors below a checkpoint's root, each held against the storage that it looks into. */
export function storedTensors(
  file: PooledFile,
  root: PickleValue,
  places: ReadonlyMap<string, StoragePlace>,
  bands: BandKeeper,
): StoredTensor[] {
  return [...namedTensors(root, file.path)].map(([name, tensor]) => {
    const place = places.get(tensor.storage.key);
    if (!place) {
      const problem = problems.storageMissing({ key: tensor.storage.key });
      throw malformed(file.path, name, problem);
    }
    return storedTensor(file, name, tensor, place, bands);
  });
}

function storedTensor(
  file: PooledFile,
  name: string,
  { storage, type, offset, shape, strides }: TorchTensor,
  place: StoragePlace,
  bands: BandKeeper,
): StoredTensor {
  const elementBytes = storedBytes[type];
  const unit = storage.type === "bytes" ? 1 : storedBytes[storage.type];
  const [start, end] = [storage.start * unit, (storage.start + storage.elements) * unit];
  if (end > place.bytes)
    throw malformed(file.path, name, problems.wrongSize({ bytes: place.bytes, expectedBytes: end }));
  const elements = Math.floor((end - start) / elementBytes);
  const isEmpty = shape.includes(0);
  const needed = shape.reduce((last, size, index) => last + (size - 1) * strides[index]!, offset) + 1;
  if (!isEmpty && !(needed <= elements))
    throw malformed(file.path, name, problems.outsideStorage({ needed, elements }));
  const first = place.position + start;
  const read = (target: Uint8Array, firstElement: number) =>
    file.read(target, first + firstElement * elementBytes, name);
  const layout = { shape, strides, offset: isEmpty ? 0 : offset };
  return { name, type, shape, read: isEmpty ? read : stridedReader(read, elementBytes, layout, bands) };
}
