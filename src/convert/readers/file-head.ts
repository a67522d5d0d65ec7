import { openBytes } from "../../gguf/byte-source.js";

/** The first bytes of a file, enough to tell its kind; fewer where it has fewer. Errors: `file-unreadable`. */
export async function headOf(path: string): Promise<Buffer> {
  const source = await openBytes(path);
  try {
    const head = Buffer.alloc(16);
    return head.subarray(0, await source.read(head, 0));
  } finally {
    await source.close();
  }
}
