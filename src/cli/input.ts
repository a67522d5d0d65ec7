import { fstatSync } from "node:fs";
import { open } from "node:fs/promises";
import { JaugeError } from "../errors.js";
import { unreadable } from "../file-errors.js";
import { formatBytes } from "../units.js";

/** No prompt is larger: a context of a million tokens is about 4 MB of text. */
const mostBytes = 64_000_000;

/** The text of a file; `-` is standard input. Errors: `file-unreadable`, `input-too-large`. */
export async function readTextFile(path: string): Promise<string> {
  if (path === "-") return await readStandardInput();
  try {
    const file = await open(path);
    try {
      if ((await file.stat()).size > mostBytes) throw tooLarge(path);
      return await file.readFile("utf8");
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof JaugeError) throw cause;
    throw unreadable(path, cause);
  }
}

/** All of standard input. Errors: `input-too-large`. */
export async function readStandardInput(): Promise<string> {
  return await collect(process.stdin);
}

/** How long a pipe that nothing is written to is taken for a text to come, and when the person hears of it. */
const patienceMs = 30_000;
const noticeMs = 3_000;

/**
 * Standard input where nothing asked for it: undefined when it is a terminal, empty, or an open pipe on which nothing
 * comes, as continuous integration leaves one. `onWait` is called when nothing has come for a while.
 */
export async function offeredInput(onWait: () => void): Promise<string | undefined> {
  if (process.stdin.isTTY || !isOpen(0)) return undefined;
  const waiting = setTimeout(onWait, noticeMs);
  const silence = new Promise<"silent">((resolve) => {
    setTimeout(() => resolve("silent"), patienceMs).unref();
  });
  const firstBytes = new Promise<"ready">((resolve) => {
    process.stdin.once("readable", () => resolve("ready"));
    process.stdin.once("end", () => resolve("ready"));
    process.stdin.once("error", () => resolve("ready"));
  });
  try {
    if ((await Promise.race([firstBytes, silence])) === "silent") {
      process.stdin.destroy();
      return undefined;
    }
  } finally {
    clearTimeout(waiting);
  }
  const text = await collect(process.stdin);
  return text.trim() === "" ? undefined : text;
}

async function collect(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const buffer = Buffer.from(chunk as Buffer);
    bytes += buffer.length;
    if (bytes > mostBytes) throw tooLarge("stdin");
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function tooLarge(source: string): JaugeError {
  return new JaugeError("input-too-large", { source, limit: formatBytes(mostBytes) });
}

/** A shell's `<&-` leaves no descriptor at all. */
function isOpen(descriptor: number): boolean {
  try {
    fstatSync(descriptor);
    return true;
  } catch {
    return false;
  }
}
