import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type MakeOptions, makeFiles } from "../../src/convert/make-model.js";
import { settingsOf } from "../../src/convert/settings.js";
import { underName } from "../../src/convert/stated.js";
import { isJaugeError, JaugeError } from "../../src/errors.js";
import { readModel } from "../../src/gguf/model-file.js";
import { readGguf } from "../../src/gguf/reader.js";
import { copyKernels } from "../../src/quantize/kernels.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { asItIs, modelDouble } from "./model-double.js";

const temporary = temporaryFolder();
const options: MakeOptions = { kernels: copyKernels, threads: 2, version: "test" };
/** Of many blocks, of one, a scalar's row, and rows of no power of two. */
const shapes = [[1024, 3000], [64], [1000, 7, 3], [1], [333, 999]];
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "done",
    (error) => (isJaugeError(error) ? error.code : String(error)),
  );

describe("a model that is made", () => {
  it("has every tensor's bytes where its header says, and leaves nothing else behind", async () => {
    await mkdir(temporary.path("plain"));
    const path = temporary.path("plain/model.gguf");
    const model = modelDouble(shapes);
    const bytes = await makeFiles(model, asItIs(path, model), options);
    expect((await stat(path)).size).toBe(bytes);
    expect(await readdir(temporary.path("plain"))).toEqual(["model.gguf"]);
    const header = await readGguf(path);
    const content = await readFile(path);
    for (const [index, { name, fileOffset, bytes: size }] of header.tensors.entries()) {
      const expected = new Uint8Array(size);
      await model.tensors[index]!.readRows(expected, 0);
      expect(content.subarray(fileOffset, fileOffset + size).equals(expected), name).toBe(true);
    }
  });

  it("in parts is the same model", async () => {
    const path = temporary.path("parts.gguf");
    const model = modelDouble(shapes);
    await makeFiles(model, asItIs(path, model, 2), options);
    const read = await readModel(temporary.path("parts-00002-of-00003.gguf"));
    expect(read.tensors.map(({ name }) => name)).toEqual(model.tensors.map(({ name }) => name));
    expect(read.shards.map(({ tensors }) => tensors.length)).toEqual([2, 2, 1]);
    expect(read.metadata.string("general.architecture")).toBe("llama");
  });

  it("is verified before it has its name", async () => {
    const path = temporary.path("unverified.gguf");
    const model = modelDouble([[32, 2]]);
    const verify = async (written: string) => {
      expect(written).toBe(`${path}.part`);
      await readGguf(written);
      throw new Error("refused");
    };
    await expect(makeFiles(model, asItIs(path, model), { ...options, verify })).rejects.toThrow("refused");
    await expect(stat(path)).rejects.toThrow();
    // all is written: the next start only verifies and names it
    const progress: number[] = [];
    await makeFiles(model, asItIs(path, model), {
      ...options,
      onProgress: ({ bytes }) => progress.push(bytes),
    });
    expect(progress).toEqual([]);
    expect((await readGguf(path)).tensors.length).toBe(1);
  });
});

describe("a file that cannot be made", () => {
  it("is being made already: the second process leaves it alone", async () => {
    await mkdir(temporary.path("shared"));
    const path = temporary.path("shared/model.gguf");
    const model = modelDouble(shapes);
    let second: Promise<string> | undefined;
    const onProgress = () => {
      second ??= codeOf(
        makeFiles(model, asItIs(path, model), { ...options, restart: true, overwrite: true }),
      );
    };
    await makeFiles(model, asItIs(path, model), { ...options, onProgress });
    expect(await second).toBe("conversion-locked");
    expect((await readGguf(path)).tensors.length).toBe(shapes.length);
    expect(await readdir(temporary.path("shared"))).toEqual(["model.gguf"]);
  });

  it("is a folder, or in a folder that is not there: said before anything is written", async () => {
    await mkdir(temporary.path("taken/folder.gguf"), { recursive: true });
    const model = modelDouble([[32, 2]]);
    const taken = temporary.path("taken/folder.gguf");
    expect(await codeOf(makeFiles(model, asItIs(taken, model), { ...options, overwrite: true }))).toBe(
      "output-is-folder",
    );
    expect(await readdir(temporary.path("taken"))).toEqual(["folder.gguf"]);
    await expect(makeFiles(model, asItIs(temporary.path("no/x.gguf"), model), options)).rejects.toMatchObject(
      {
        code: "file-unwritable",
        facts: { path: temporary.path("no"), reason: "the folder does not exist" },
      },
    );
  });
});

it("a model with weights that nothing can hold leaves no beginning of itself", async () => {
  await mkdir(temporary.path("unfit"));
  const model = modelDouble(shapes);
  const kernels: MakeOptions["kernels"] = {
    ...copyKernels,
    lane: (room) => {
      const lane = copyKernels.lane(room);
      const convert: typeof lane.convert = async (job) => {
        if (job.tensor !== model.tensors[2]!.name) return lane.convert(job);
        throw new JaugeError("weights-not-finite", { tensor: job.tensor, row: job.firstRow });
      };
      return { ...lane, convert };
    },
  };
  const made = makeFiles(model, asItIs(temporary.path("unfit/model.gguf"), model), { ...options, kernels });
  const facts = { tensor: model.tensors[2]!.name, row: 0 };
  await expect(made).rejects.toMatchObject({ code: "weights-not-finite", facts });
  expect(await readdir(temporary.path("unfit"))).toEqual([]);
});

describe("a file that is there already", () => {
  it("is replaced where that is said, if it is a GGUF or empty, and not the source's", async () => {
    const path = temporary.path("there.gguf");
    const model = modelDouble([[32, 2]]);
    const make = (overwrite: boolean, files?: string[]) => {
      const source = files ? { ...model, files } : model;
      return codeOf(makeFiles(source, asItIs(path, source), { ...options, overwrite }));
    };
    await writeFile(path, "");
    expect(await make(false)).toBe("conversion-output-exists");
    expect(await make(true)).toBe("done");
    expect(await make(true)).toBe("done");
    expect(await make(true, [temporary.path("other.gguf"), path])).toBe("output-is-source");
    await writeFile(path, "the weights of somebody");
    expect(await make(true)).toBe("output-not-gguf");
    expect(await readFile(path, "utf8")).toBe("the weights of somebody");
  });
});

describe("an interrupted conversion", () => {
  it("goes on at the last finished tensor, and no GGUF is seen before its end", async () => {
    const model = modelDouble(shapes);
    const whole = temporary.path("whole.gguf");
    await makeFiles(model, asItIs(whole, model), options);
    const path = temporary.path("interrupted.gguf");
    const interrupt = new AbortController();
    const onProgress = ({ bytes }: { bytes: number }) => bytes > 2 ** 20 * 11.8 && interrupt.abort();
    const first = makeFiles(model, asItIs(path, model), { ...options, signal: interrupt.signal, onProgress });
    expect(await codeOf(first)).toBe("conversion-interrupted");
    expect(await codeOf(readGguf(`${path}.part`))).toBe("not-a-gguf");
    let earlierBytes = 0;
    await makeFiles(model, asItIs(path, model), {
      ...options,
      onProgress: (progress) => {
        earlierBytes = progress.earlierBytes;
      },
    });
    expect(earlierBytes).toBeGreaterThan(2 ** 20 * 11);
    expect((await readFile(path)).equals(await readFile(whole))).toBe(true);
  });

  it("is continued by the same source, settings and version alone", async () => {
    const path = temporary.path("same.gguf");
    const model = modelDouble(shapes);
    const begun = { settings: { type: "Q8_0", pure: "true" } };
    const begin = async () => {
      const interrupt = new AbortController();
      interrupt.abort();
      return codeOf(
        makeFiles(model, asItIs(path, model), { ...options, ...begun, signal: interrupt.signal }),
      );
    };
    expect(await begin()).toBe("conversion-interrupted");
    const touched = modelDouble(shapes, { fingerprint: "two" });
    const shorter = modelDouble(shapes.slice(1));
    const different = async (source: typeof model, changes: Partial<MakeOptions> = {}) => {
      const made = makeFiles(source, asItIs(path, source), { ...options, ...begun, ...changes });
      const error = await made.catch((cause: unknown) => cause);
      if (!isJaugeError(error, "conversion-different")) throw new Error("it was continued", { cause: error });
      return error.facts.difference;
    };
    expect(await different(touched)).toBe("its source has changed since");
    expect(await different({ ...touched, path: "elsewhere" })).toBe("from made up, now from elsewhere");
    expect(await different(shorter)).toBe("another importance matrix or other metadata");
    expect(await different(model, { version: "other" })).toMatch(/^by jauge test, .* now jauge other, /);
    // a setting is named wherever it shows
    const settings = { type: "Q4_K_M", name: "new" };
    const named = "type was Q8_0, now Q4_K_M, pure was true, now not given, name was not given, now new";
    expect(await different(shorter, { settings })).toBe(named);
    expect(await different(touched, { settings })).toBe(named);
    const wished = {
      wishes: { type: "Q8_0", pure: true },
      division: { kind: "whole", order: "source" },
    } as const;
    const renamed = settingsOf({ ...wished, sourceOptions: { name: "new" } });
    expect(await different(underName(model, "new"), { settings: renamed })).toBe(
      "name was not given, now new",
    );
    await writeFile(`${path}.part.json`, '{"jauge":"conv');
    expect(await codeOf(makeFiles(model, asItIs(path, model), options))).toBe(
      "conversion-journal-unreadable",
    );
    await makeFiles(shorter, asItIs(path, shorter), { ...options, restart: true });
    expect((await readGguf(path)).tensors.length).toBe(shapes.length - 1);
  });

  it("has the same bytes in the end, wherever it was killed", async () => {
    const path = temporary.path("killed.gguf");
    const many = Array.from({ length: 48 }, () => [256, 256]);
    const child = fileURLToPath(new URL("make-child.mjs", import.meta.url));
    const run = async (killAt: number) => {
      const args = [path, String(killAt), JSON.stringify(many)];
      const maker = fork(child, args, { execArgv: [], stdio: "inherit" });
      const [code, signal] = await once(maker, "exit");
      return signal ?? code;
    };
    for (const finished of [0, 6, 14, 25]) {
      expect(await run(finished)).toBe("SIGKILL");
      const journal = JSON.parse(await readFile(`${path}.part.json`, "utf8"));
      expect(journal.finished.length).toBeGreaterThanOrEqual(finished);
      expect(await codeOf(readGguf(`${path}.part`))).not.toBe("done");
    }
    expect(await run(Number.MAX_SAFE_INTEGER)).toBe(0);
    const model = modelDouble(many);
    const whole = temporary.path("never-killed.gguf");
    await makeFiles(model, asItIs(whole, model), options);
    expect((await readFile(path)).equals(await readFile(whole))).toBe(true);
  });
});

describe("a file is not written", () => {
  it("over another one, unless that is asked for", async () => {
    const path = await temporary.file("there.gguf", "something");
    const model = modelDouble([[32, 2]]);
    expect(await codeOf(makeFiles(model, asItIs(path, model), options))).toBe("conversion-output-exists");
    expect(await readFile(path, "utf8")).toBe("something");
    const source = { ...model, path };
    expect(await codeOf(makeFiles(source, asItIs(path, model), { ...options, overwrite: true }))).toBe(
      "output-is-source",
    );
    expect(await readFile(path, "utf8")).toBe("something");
  });

  it("where the disk has no room, or there is no folder", async () => {
    const huge = modelDouble([[65_536, 2 ** 32]]);
    const path = temporary.path("huge.gguf");
    expect(await codeOf(makeFiles(huge, asItIs(path, huge), options))).toBe("disk-too-small");
    expect(await readdir(temporary.path("."))).not.toContain("huge.gguf.part");
    const small = modelDouble([[32, 2]]);
    const nowhere = temporary.path("no folder/model.gguf");
    expect(await codeOf(makeFiles(small, asItIs(nowhere, small), options))).toBe("file-unwritable");
    const longRow = modelDouble([[2 ** 27]]);
    expect(await codeOf(makeFiles(longRow, asItIs(temporary.path("row.gguf"), longRow), options))).toBe(
      "tensor-row-too-long",
    );
  });

  // needs to mount a small file system, which only root may
  it.skipIf(!canMount())("further than the disk goes, and goes on when there is room again", async () => {
    const folder = temporary.path("small disk");
    await mkdir(folder);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=20m", "tmpfs", folder]);
    try {
      const model = modelDouble(shapes);
      const path = `${folder}/model.gguf`;
      let filled: Promise<void> | undefined;
      const onProgress = ({ bytes }: { bytes: number }) => {
        if (bytes > 2 ** 20 * 3)
          filled ??= writeFile(`${folder}/filler`, Buffer.alloc(30 * 2 ** 20)).catch(() => {});
      };
      const slow: MakeOptions = { ...options, threads: 1, onProgress };
      const read = model.tensors[0]!;
      const patient = {
        ...read,
        readRows: async (target: Uint8Array, row: number) => {
          await filled;
          await read.readRows(target, row);
        },
      };
      const watched = { ...model, tensors: [patient, ...model.tensors.slice(1)] };
      expect(await codeOf(makeFiles(watched, asItIs(path, watched), slow))).toBe("conversion-disk-full");
      await rm(`${folder}/filler`);
      expect(await codeOf(makeFiles(model, asItIs(path, model), options))).toBe("done");
      const header = await readGguf(path);
      const content = await readFile(path);
      const expected = new Uint8Array(header.tensors[0]!.bytes);
      await read.readRows(expected, 0);
      const { fileOffset } = header.tensors[0]!;
      expect(content.subarray(fileOffset, fileOffset + expected.length).equals(expected)).toBe(true);
    } finally {
      execFileSync("umount", [folder]);
    }
  });
});

function canMount(): boolean {
  if (process.getuid?.() !== 0 || process.platform !== "linux") return false;
  try {
    execFileSync("unshare", ["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"], {
      stdio: "ignore",
    });
    return true;
  } catch {
    return false;
  }
}
