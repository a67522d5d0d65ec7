import { readFile, truncate, utimes, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { openModelSource } from "../../src/convert/open.js";
import { isJaugeError } from "../../src/errors.js";
import { readGguf } from "../../src/gguf/reader.js";
import { writeGguf } from "../../src/gguf/writer.js";
import { parseRaw, serialiseRaw } from "../gguf/raw.js";
import { storiesPath, temporaryFolder } from "../gguf/temporary.js";

const temporary = temporaryFolder();

describe("a GGUF file as the source of a conversion", () => {
  it("gives its metadata without what speaks of the file, and its tensors by rows", async () => {
    const model = await openModelSource(storiesPath);
    const header = await readGguf(storiesPath);
    const bytes = await readFile(storiesPath);
    expect(model.format).toMatch(/^GGUF, llama/);
    expect(model.metadata.has("general.architecture")).toBe(true);
    expect(model.metadata.has("general.file_type")).toBe(false);
    expect(model.tensors.map(({ name }) => name)).toEqual(header.tensors.map(({ name }) => name));
    for (const [index, tensor] of model.tensors.entries()) {
      const { fileOffset, bytes: size } = header.tensors[index]!;
      const rows = tensor.shape.slice(1).reduce((a, b) => a * b, 1);
      const rowBytes = size / rows;
      const first = Math.floor(rows / 2);
      const target = new Uint8Array((rows - first) * rowBytes);
      await tensor.readRows(target, first);
      const start = fileOffset + first * rowBytes;
      expect(Buffer.from(target).equals(bytes.subarray(start, start + target.length)), tensor.name).toBe(
        true,
      );
    }
    expect(model.tensors.find(({ name }) => name === "output_norm.weight")!.keepAs).toBe("F32");
    expect(model.tensors.find(({ name }) => name === "token_embd.weight")!.keepAs).toBeUndefined();
    await model.close();
  });

  it("has another fingerprint where the file was touched, and says where it was cut meanwhile", async () => {
    const path = await temporary.file("touched.gguf", await readFile(storiesPath));
    const first = await openModelSource(path);
    await utimes(path, 1, 1);
    const second = await openModelSource(path);
    expect(second.fingerprint).not.toBe(first.fingerprint);
    const last = second.tensors.at(-1)!;
    await truncate(path, (await readFile(path)).length - 4);
    const error = await last
      .readRows(new Uint8Array(4 * last.shape[0]! * (last.shape[1] ?? 1)), 0)
      .catch((thrown) => thrown);
    expect(isJaugeError(error, "gguf-truncated")).toBe(true);
    await Promise.all([first.close(), second.close()]);
  });

  it("becomes a file of today where it is one of version 1", async () => {
    const raw = parseRaw(await readFile(storiesPath));
    const path = await temporary.file("v1.gguf", serialiseRaw({ ...raw, version: 1 }));
    const written = temporary.path("today.gguf");
    for (const [from, to] of [
      [path, written],
      [storiesPath, temporary.path("same.gguf")],
    ] as const) {
      const model = await openModelSource(from);
      await writeGguf(to, {
        metadata: model.metadata,
        tensors: model.tensors.map((tensor) => ({
          ...tensor,
          data: async function* () {
            const rows = tensor.shape.slice(1).reduce((a, b) => a * b, 1);
            const bytes = new Uint8Array(rows * 4 * tensor.shape[0]!);
            await tensor.readRows(bytes, 0);
            yield bytes;
          },
        })),
      });
      await model.close();
    }
    expect((await readFile(written)).equals(await readFile(temporary.path("same.gguf")))).toBe(true);
  });

  it("is refused where it is none", async () => {
    const path = temporary.path("none.gguf");
    await writeFile(path, "no model");
    await expect(openModelSource(path)).rejects.toMatchObject({ code: "source-format-unknown" });
  });
});
