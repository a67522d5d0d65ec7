import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { JaugeError } from "../../errors.js";

/** What a state can be restored into: it must be the same then. */
export interface StateOwner {
  architecture: string;
  parameters: number;
  vocabularySize: number;
  kvTypeK: string;
  kvTypeV: string;
  /** 1 where the sequences share a cache, else one for each. */
  kvStreams: number;
}

/**
 * libllama's reader of states trusts its file: one that is cut short or damaged ends the process. So each gets a seal
 * behind it, which libllama does not read: JSON with whose state it is and its SHA-256, the JSON's length as uint32,
 * and eight bytes that mark the end.
 */
interface Seal {
  owner: StateOwner;
  sha256: string;
}

const mark = Buffer.from("jaugeKV1", "latin1");
const footBytes = 4 + mark.length;
const longestSeal = 4096;

/** Puts the seal behind a state that libllama wrote; returns the bytes of the file. */
export async function sealState(path: string, owner: StateOwner): Promise<number> {
  const seal: Seal = { owner, sha256: await sha256Of(path) };
  const json = Buffer.from(JSON.stringify(seal));
  const foot = Buffer.alloc(footBytes);
  foot.writeUInt32LE(json.length);
  mark.copy(foot, 4);
  const handle = await open(path, "a");
  try {
    await handle.appendFile(Buffer.concat([json, foot]));
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}

/** Holds a state to its seal and to who would restore it. Errors: `state-unusable`. */
export async function checkState(path: string, owner: StateOwner): Promise<void> {
  const unusable = (reason: string) => new JaugeError("state-unusable", { path, reason });
  let handle: FileHandle;
  try {
    handle = await open(path, "r");
  } catch (error) {
    throw unusable((error as NodeJS.ErrnoException).code ?? "it cannot be read");
  }
  try {
    const found = await readSeal(handle);
    if (!found) throw unusable("it is no saved state, or an incomplete one");
    for (const key of Object.keys(owner) as (keyof StateOwner)[]) {
      const saved = found.seal.owner?.[key];
      if (saved !== owner[key]) throw unusable(`its ${key} is ${saved}, not ${owner[key]}`);
    }
    if ((await sha256Of(path, found.stateBytes)) !== found.seal.sha256) throw unusable("it is damaged");
  } finally {
    await handle.close();
  }
}

async function readSeal(handle: FileHandle): Promise<{ seal: Seal; stateBytes: number } | undefined> {
  const { size } = await handle.stat();
  const end = await readAt(handle, Math.max(0, size - footBytes), Math.min(size, footBytes));
  if (end.length < footBytes || !end.subarray(4).equals(mark)) return undefined;
  const length = end.readUInt32LE();
  const stateBytes = size - footBytes - length;
  if (length > longestSeal || stateBytes <= 0) return undefined;
  try {
    return { seal: JSON.parse((await readAt(handle, stateBytes, length)).toString()) as Seal, stateBytes };
  } catch {
    return undefined;
  }
}

async function readAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

/** Of a file's first `length` bytes; of all where absent. */
async function sha256Of(path: string, length?: number): Promise<string> {
  const hash = createHash("sha256");
  const range = length === undefined ? {} : { end: length - 1 };
  for await (const bytes of createReadStream(path, range)) hash.update(bytes as Buffer);
  return hash.digest("hex");
}
