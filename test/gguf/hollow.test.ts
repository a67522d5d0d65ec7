import { readdir, readFile, stat } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { readGguf } from "../../src/gguf/reader.js";
import { writeGguf, writeHollowGguf } from "../../src/gguf/writer.js";
import { storiesPath, temporaryFolder } from "./temporary.js";

const temporary = temporaryFolder();

describe("a hollow GGUF", () => {
  it("is, byte for byte, the file whose tensors are zero", async () => {
    const { metadata, tensors } = await readGguf(storiesPath);
    const [full, hollow] = [temporary.path("full.gguf"), temporary.path("hollow.gguf")];
    for (const alignment of [32, 256]) {
      const bytes = await writeGguf(
        `${full}${alignment}`,
        {
          metadata,
          tensors: tensors.map((tensor) => ({ ...tensor, data: () => [Buffer.alloc(tensor.bytes)] })),
        },
        { alignment },
      );
      expect(await writeHollowGguf(`${hollow}${alignment}`, { metadata, tensors }, { alignment })).toBe(
        bytes,
      );
      expect((await readFile(`${hollow}${alignment}`)).equals(await readFile(`${full}${alignment}`))).toBe(
        true,
      );
    }
  });

  it("takes the disk of its header only", async () => {
    const path = temporary.path("tera.gguf");
    const shape = [2 ** 20, 2 ** 16];
    const bytes = await writeHollowGguf(path, {
      metadata: new Map(),
      tensors: [{ name: "t.weight", type: "F32", shape }],
    });
    expect(bytes).toBeGreaterThan(2 ** 38);
    const header = await readGguf(path);
    expect(header.tensors[0]).toMatchObject({ shape, bytes: 2 ** 38 });
    expect((await stat(path)).blocks * 512).toBeLessThan(1e6);
  });

  it("is not left behind where it cannot be", async () => {
    const write = writeHollowGguf(temporary.path("no/folder/x.gguf"), { metadata: new Map(), tensors: [] });
    await expect(write).rejects.toMatchObject({ code: "file-unwritable" });
    const path = temporary.path("wrong.gguf");
    const wrong = { name: "t.weight", type: "Q4_K" as const, shape: [100] };
    await expect(writeHollowGguf(path, { metadata: new Map(), tensors: [wrong] })).rejects.toThrow(
      RangeError,
    );
    expect(await readdir(temporary.path("."))).not.toContain("wrong.gguf");
    await writeHollowGguf(path, { metadata: new Map(), tensors: [] });
    const again = writeHollowGguf(path, { metadata: new Map(), tensors: [] });
    await expect(again).rejects.toMatchObject({ code: "file-unwritable" });
    await expect(readFile(path)).resolves.toBeInstanceOf(Buffer);
  });
});
