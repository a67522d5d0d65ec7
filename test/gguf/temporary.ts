import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";

/** The embedded model: a Llama of 260,000 parameters. */
export const storiesPath = fileURLToPath(new URL("../../models/stories260K.gguf", import.meta.url));

/** A folder for the tests of one file, removed after them. */
export function temporaryFolder(): {
  path: (name: string) => string;
  file: (name: string, bytes: Uint8Array | string) => Promise<string>;
} {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "jauge-gguf-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const path = (name: string) => join(folder, name);
  return {
    path,
    file: async (name, bytes) => {
      await writeFile(path(name), bytes);
      return path(name);
    },
  };
}
