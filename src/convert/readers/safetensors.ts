import { type StoredTensor, type StoredType, storedBytes } from "../checkpoint.js";
import { isObject, longestJson, parseBoundedJson } from "./bounded-json.js";
import { type PooledFile, truncated } from "./file-pool.js";
import { malformed, printable, problems, unsupported } from "./problems.js";
import { countElements } from "./shape.js";

const header = "header";
/** Names of the element types that other versions of the format have, beside those of `storedBytes`. */
const otherTypes = new Set(["U16", "U32", "U64", "C64", "F4", "F6_E2M3", "F6_E3M2", "F8_E8M0"]);

/**
 * The tensors of one safetensors file, in file order.
 *
 * Source: the format's README (github.com/safetensors/safetensors): 8 bytes length, a JSON object by tensor name, then
 * the data, which the tensors cover without overlaps and holes.
 * Errors: `checkpoint-malformed`, `checkpoint-truncated`, `checkpoint-unsupported`, `file-unreadable`.
 */
export async function readSafetensors(file: PooledFile): Promise<StoredTensor[]> {
  const length = Buffer.alloc(8);
  await file.read(length, 0, header);
  const headerBytes = Number(length.readBigUInt64LE());
  if (headerBytes > longestJson)
    throw malformed(file.path, header, problems.tooLong({ bytes: headerBytes, limitBytes: longestJson }));
  if (8 + headerBytes > file.bytes)
    throw truncated(file.path, header, file.bytes, 8 + headerBytes - file.bytes);
  const text = Buffer.allocUnsafe(headerBytes);
  await file.read(text, 8, header);
  const entries = parseBoundedJson(text, file.path, header);
  if (!isObject(entries)) throw malformed(file.path, header, problems.notA({ expected: "object" }));

  const places: Place[] = [];
  for (const [name, entry] of Object.entries(entries))
    if (name !== "__metadata__") places.push(placeOf(file, name, entry));
  places.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const data = 8 + headerBytes;
  let end = 0;
  for (const place of places) {
    if (place.begin !== end) throw malformed(file.path, place.name, problems.notContiguous());
    end = place.end;
    if (data + end > file.bytes)
      throw truncated(file.path, printable(place.name), file.bytes, data + end - file.bytes);
  }
  if (data + end !== file.bytes) throw malformed(file.path, header, problems.notContiguous());
  return places.map((place) => ({
    name: place.name,
    type: place.type,
    shape: place.shape,
    read: (target, firstElement) =>
      file.read(target, data + place.begin + firstElement * storedBytes[place.type], place.name),
  }));
}

/** Where a tensor lies: bytes of the data behind the header. */
interface Place {
  name: string;
  type: StoredType;
  shape: number[];
  begin: number;
  end: number;
}

function placeOf(file: PooledFile, name: string, entry: unknown): Place {
  if (!isObject(entry)) throw malformed(file.path, name, problems.notA({ expected: "object" }));
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(storedBytes, dtype)) {
    const problem = problems.unknownType({ type: printable(String(dtype)) });
    throw otherTypes.has(String(dtype))
      ? unsupported(file.path, name, problem)
      : malformed(file.path, name, problem);
  }
  const type = dtype as StoredType;
  const elements = Array.isArray(shape) ? countElements(shape) : undefined;
  if (elements === undefined)
    throw malformed(file.path, name, problems.badShape({ shape: printable(JSON.stringify(shape) ?? "") }));
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isOffset))
    throw malformed(file.path, `${name}, data_offsets`, problems.notA({ expected: "[begin, end]" }));
  const [begin, end] = offsets as [number, number];
  const expectedBytes = elements * storedBytes[type];
  if (end - begin !== expectedBytes)
    throw malformed(file.path, name, problems.wrongSize({ bytes: end - begin, expectedBytes }));
  return { name, type, shape: shape as number[], begin, end };
}

function isOffset(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
