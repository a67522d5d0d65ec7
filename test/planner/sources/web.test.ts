import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { stringChunks } from "../../../src/gguf/arrays.js";
import type { WritableValue } from "../../../src/gguf/encode.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import { openSource } from "../../../src/planner/sources/open.js";
import { webAddress } from "../../../src/planner/sources/web-address.js";
import { storiesPath, temporaryFolder } from "../../gguf/temporary.js";
import { zeros } from "../../gguf/tensors.js";
import { publicConfigs } from "./public-configs.js";
import { writeParts } from "./split.js";
import { rangeOf, serveRange, type WebServer, webServer } from "./web-server.js";

const temporary = temporaryFolder();
let server: WebServer;
let stories: Buffer;
/** A model whose header is several megabytes long, and its weights behind. */
let long: Buffer;
beforeAll(async () => {
  server = await webServer();
  stories = await readFile(storiesPath);
  const path = temporary.path("long.gguf");
  await writeLongModel(path);
  long = await readFile(path);
});
beforeEach(() => {
  server.files.clear();
  server.requests.length = 0;
});

describe("a GGUF on the web", () => {
  it("is the model that the same file here is", async () => {
    server.files.set("/stories.gguf", stories);
    const local = await openSource(storiesPath);
    const remote = await openSource(server.url("/stories.gguf"));
    expect(remote.path).toBeUndefined();
    expect(remote.source).toBe(server.url("/stories.gguf"));
    expect(remote.fingerprint).toBe(local.fingerprint);
    expect(remote.tensors).toEqual(local.tensors);
    expect(remote.outline).toEqual(local.outline);
  });

  it("is read in growing parts, no part twice, and its weights stay where they are", async () => {
    server.files.set("/long.gguf", long);
    let bytes = 0;
    const source = await openSource(server.url("/long.gguf"), {
      onProgress: (read) => {
        expect(read.bytes).toBeGreaterThan(bytes);
        bytes = read.bytes;
      },
    });
    expect(source.outline.bytes.total).toBeGreaterThan(24e6);
    const ranges = server.requests.map(({ range }) => /bytes=(\d+)-(\d+)/.exec(range!)!.slice(1).map(Number));
    const lengths = ranges.map(([first, last]) => last! - first! + 1);
    expect(lengths[0]).toBe(256 * 1024);
    for (let index = 1; index < ranges.length; index++) {
      // texts of a vocabulary are stepped over
      const gap = ranges[index]![0]! - ranges[index - 1]![1]! - 1;
      expect(gap).toBeGreaterThanOrEqual(0);
      expect(gap).toBeLessThan(64);
      expect(lengths[index]).toBeGreaterThanOrEqual(lengths[index - 1]!);
    }
    const headerBytes = long.length - source.outline.bytes.total;
    expect(bytes).toBeGreaterThanOrEqual(headerBytes);
    expect(bytes).toBeLessThan(2 * headerBytes);
    expect(ranges.length).toBeLessThan(8);
    const local = await openSource(temporary.path("long.gguf"));
    expect(source.fingerprint).toBe(local.fingerprint);
  });

  it("has its arrays read where they are", async () => {
    server.files.set("/long.gguf", long);
    const { metadata } = await openSource(server.url("/long.gguf"));
    const last: string[] = [];
    for await (const chunk of stringChunks(metadata.array("tokenizer.ggml.merges")!)) last[0] = chunk.at(-1)!;
    expect(last).toEqual(["token number 299999"]);
  });

  it("may be any part of a split model", async () => {
    const parts = await writeParts(storiesPath, temporary.path("parts"), 3);
    for (const path of parts) server.files.set(`/m/${basename(path)}`, await readFile(path));
    const local = await openSource(parts[0]!);
    for (const path of parts) {
      const remote = await openSource(server.url(`/m/${basename(path)}?download=true`));
      expect(remote.tensors).toEqual(local.tensors);
      expect(remote.fingerprint).toBe(local.fingerprint);
    }
    expect(local.fingerprint).toBe((await openSource(storiesPath)).fingerprint);
    server.files.delete(`/m/${basename(parts[1]!)}`);
    await expect(openSource(server.url(`/m/${basename(parts[0]!)}`))).rejects.toMatchObject({
      code: "gguf-shard-missing",
      facts: { shard: 2, count: 3 },
    });
  });

  it("may lie behind redirects", async () => {
    server.files.set("/there.gguf", stories);
    server.files.set("/here.gguf", (_, response) => {
      response.writeHead(302, { location: server.url("/there.gguf") }).end();
    });
    expect((await openSource(server.url("/here.gguf"))).outline.layers).toBe(5);
  });

  it("may have user and password in its address, which no error shows", async () => {
    server.files.set("/private.gguf", stories);
    const named = (path: string) => server.url(path).replace("://", "://me:s%40cret@");
    await openSource(named("/private.gguf"));
    expect(server.requests[0]!.authorization).toBe(`Basic ${Buffer.from("me:s@cret").toString("base64")}`);
    const error = await openSource(named("/other.gguf")).catch((caught) => caught);
    expect(error.code).toBe("source-not-found");
    expect(error.message).not.toContain("cret");
  });
});

describe("a server that fails", () => {
  const failing = (handler: Parameters<WebServer["files"]["set"]>[1], options = {}) => {
    server.files.set("/x.gguf", handler);
    return openSource(server.url("/x.gguf"), options);
  };

  it("is refused where it sends whole files only", async () => {
    await expect(
      failing((_, response) => {
        response.writeHead(200, { "content-length": stories.length }).end(stories);
      }),
    ).rejects.toMatchObject({ code: "source-no-ranges", facts: { path: server.url("/x.gguf") } });
    await expect(
      failing((_, response) => {
        response
          .writeHead(206, { "content-range": `bytes 10-99/${stories.length}` })
          .end(stories.subarray(10, 100));
      }),
    ).rejects.toMatchObject({ code: "source-no-ranges" });
  });

  it("is asked again, and named where its answers keep ending early", async () => {
    let answers = 0;
    const cut = failing((request, response) => {
      answers++;
      const [first, last] = rangeOf(request, stories.length);
      response.writeHead(206, {
        "content-length": last - first + 1,
        "content-range": `bytes ${first}-${last}/${stories.length}`,
      });
      response.write(stories.subarray(first, first + 1000), () => response.destroy());
    });
    await expect(cut).rejects.toMatchObject({
      code: "source-incomplete",
      facts: { receivedBytes: 1000, expectedBytes: 256 * 1024 },
    });
    expect(answers).toBe(3);
  });

  it("may fail once", async () => {
    let answers = 0;
    const source = await failing((request, response) => {
      if (answers++ === 0) response.writeHead(503).end();
      else serveRange(stories, request, response);
    });
    expect(source.outline.layers).toBe(5);
  });

  it.each([
    [404, "source-not-found"],
    [410, "source-not-found"],
    [401, "source-forbidden"],
    [403, "source-forbidden"],
    [418, "source-http"],
    [500, "source-http"],
  ])("has its status %i told as %s", async (status, code) => {
    const answered = failing((_, response) => {
      response.writeHead(status).end("no");
    });
    await expect(answered).rejects.toMatchObject({ code });
  });

  it("ends the reading when it falls silent, before or within an answer", async () => {
    const silent = failing(() => {}, { silenceMs: 200 });
    await expect(silent).rejects.toMatchObject({ code: "source-timeout", facts: { seconds: 1 } });
    const stalled = failing(
      (request, response) => {
        const [first, last] = rangeOf(request, stories.length);
        response.writeHead(206, { "content-range": `bytes ${first}-${last}/${stories.length}` });
        response.write(stories.subarray(first, 1000));
      },
      { silenceMs: 200 },
    );
    await expect(stalled).rejects.toMatchObject({ code: "source-timeout" });
  });

  it("is not waited for when the person has enough", async () => {
    const controller = new AbortController();
    const silent = failing(() => controller.abort(), { signal: controller.signal });
    await expect(silent).rejects.toMatchObject({ code: "cancelled" });
  });

  it("is told when the file changes while it is read", async () => {
    let answers = 0;
    const changing = failing((request, response) => serveRange(long, request, response, `"${answers++}"`));
    await expect(changing).rejects.toMatchObject({ code: "source-changed" });
  });

  it("is told when there is none", async () => {
    await expect(openSource("http://127.0.0.1:1/x.gguf")).rejects.toMatchObject({
      code: "source-unreachable",
    });
  });

  it("has what it sends checked as a file is", async () => {
    await expect(failing(Buffer.alloc(0))).rejects.toMatchObject({ code: "not-a-gguf" });
    await expect(failing(Buffer.from("<!doctype html>"))).rejects.toMatchObject({ code: "not-a-gguf" });
    await expect(failing(stories.subarray(0, 9000))).rejects.toMatchObject({ code: "gguf-truncated" });
    const sick = Buffer.from(stories);
    sick.writeUInt32LE(0, sick.indexOf("llama.context_length") + 24);
    await expect(failing(sick)).rejects.toMatchObject({ code: "gguf-invalid" });
  });
});

describe("a configuration on the web", () => {
  it("is read whether or not the server has ranges", async () => {
    const text = Buffer.from(JSON.stringify(publicConfigs["qwen3-0.6b"]));
    server.files.set("/model/config.json", (_, response) => {
      response.writeHead(200).end(text);
    });
    server.files.set("/other", text);
    const found = await openSource(server.url("/model/config.json"));
    expect(found.outline).toMatchObject({ architecture: "qwen3", layers: 28, fileType: "Q4_K_M" });
    const other = await openSource(server.url("/other"), { mix: "q8_0" });
    expect(other.outline).toMatchObject({ architecture: "qwen3", fileType: "Q8_0" });
  });

  it("of Hugging Face has a short name; its token goes there and nowhere else", async () => {
    const before = { ...process.env };
    process.env.HF_ENDPOINT = server.url("");
    process.env.HF_TOKEN = "hf_secret";
    const elsewhere = await webServer();
    try {
      server.files.set("/me/it/resolve/main/config.json", Buffer.from(JSON.stringify(publicConfigs.gpt2)));
      server.files.set("/me/it/resolve/v2/sub/stories.gguf", (_, response) => {
        response.writeHead(302, { location: elsewhere.url("/cdn/stories.gguf") }).end();
      });
      elsewhere.files.set("/cdn/stories.gguf", stories);
      expect((await openSource("hf:me/it")).outline.architecture).toBe("gpt2");
      expect((await openSource(server.url("/me/it"))).outline.architecture).toBe("gpt2");
      expect((await openSource("hf:me/it@v2/sub/stories.gguf")).source).toContain("stories");
      expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(
        new Set(["Bearer hf_secret"]),
      );
      expect(elsewhere.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
    } finally {
      for (const name of ["HF_ENDPOINT", "HF_TOKEN"]) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  });
});

describe("the address of a name", () => {
  it.each([
    ["hf:a/b/c.gguf", "https://huggingface.co/a/b/resolve/main/c.gguf"],
    ["hf:a/b@dev/d/c.gguf", "https://huggingface.co/a/b/resolve/dev/d/c.gguf"],
    ["hf:a/b", "https://huggingface.co/a/b/resolve/main/config.json"],
    ["https://huggingface.co/a/b", "https://huggingface.co/a/b/resolve/main/config.json"],
    ["https://huggingface.co/a/b/blob/main/c.gguf", "https://huggingface.co/a/b/resolve/main/c.gguf"],
    ["https://huggingface.co/a/b/tree/dev", "https://huggingface.co/a/b/resolve/dev/config.json"],
    ["https://huggingface.co/a/b/resolve/main/c.gguf", "https://huggingface.co/a/b/resolve/main/c.gguf"],
    ["HTTP://example.org/x.gguf?y=1", "http://example.org/x.gguf?y=1"],
  ])("%s is %s", (name, url) => {
    expect(webAddress(name)?.url.href).toBe(url);
  });

  it.each(["hf:", "hf:a", "hf:a/", "model.gguf", "C:\\models\\x.gguf", "ftp://example.org/x", "https://"])(
    "%s has none",
    (name) => {
      expect(webAddress(name)).toBeUndefined();
    },
  );
});

async function writeLongModel(path: string): Promise<void> {
  const source = await openSource(storiesPath);
  const tokens = Array.from({ length: 300_000 }, (_, token) => `token number ${token}`);
  const metadata = new Map<string, WritableValue>([
    ...(source.metadata.entries() as Iterable<[string, WritableValue]>),
    ["tokenizer.ggml.merges", { type: "array", value: { elementType: "string", items: tokens } }],
  ]);
  const extra = { name: "extra.weight", type: "F32" as const, shape: [1024, 6000] };
  await writeGguf(path, { metadata, tensors: [...source.tensors.map(zeros), zeros(extra)] });
}
