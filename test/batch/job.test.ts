import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openSource } from "../../src/batch/input/source.js";
import { Job, type JobEnd, type JobOptions, type JobProgress, type JobRun } from "../../src/batch/job.js";
import type { BatchResultLine } from "../../src/batch/result.js";
import { readSettings } from "../../src/batch/settings.js";
import { isJaugeError, JaugeError } from "../../src/errors.js";
import { temporaryFolder } from "../cli/harness.js";
import { FakeModel } from "./fake-model.js";

/** A job of its own in a new folder, to be run again and again. */
class Case {
  readonly input: string;
  readonly output: string;
  model = new FakeModel();

  constructor(
    lines: readonly (object | string)[],
    readonly folder = temporaryFolder(),
  ) {
    this.input = join(folder, "in.jsonl");
    this.output = join(folder, "out.jsonl");
    writeFileSync(
      this.input,
      lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"),
    );
  }

  async run(
    options: Partial<Omit<JobOptions, "settings">> & { settings?: Partial<JobOptions["settings"]> } = {},
    run: JobRun = {},
    onOpen: (job: Job) => void = () => {},
  ): Promise<JobEnd> {
    const { settings, ...rest } = options;
    const before = await readSettings(this.output).catch(() => undefined);
    const source = await openSource(this.input, {}, before?.input);
    const input = source.beginning!;
    const job = await Job.open({
      ...{ source, output: this.output, ...rest },
      settings: { model: { name: "m", fingerprint: "f" }, options: {}, seed: 1, input, ...settings },
    });
    try {
      onOpen(job);
      return await job.run(this.model, run);
    } finally {
      await job.close();
    }
  }

  get results(): BatchResultLine[] {
    return readFileSync(this.output, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  get ids(): string[] {
    return this.results.map(({ custom_id }) => custom_id);
  }
}

const prompts = (count: number, more: (index: number) => object = () => ({})) =>
  Array.from({ length: count }, (_, index) => ({
    custom_id: `r${index}`,
    prompt: `prompt ${index}`,
    ...more(index),
  }));
const idsOf = (count: number) => prompts(count).map(({ custom_id }) => custom_id);

describe("a job", () => {
  it("answers every line, as many at once as the plan has sequences and a few to follow", async () => {
    const job = new Case(prompts(50));
    const end = await job.run();
    expect(end).toMatchObject({
      done: 50,
      failed: 0,
      skipped: 0,
      read: 50,
      isRead: true,
      isInterrupted: false,
    });
    expect(job.ids.toSorted()).toEqual(idsOf(50).toSorted());
    expect(job.model.mostRunning).toBe(8);
    expect(readdirSync(job.folder).toSorted()).toEqual(["in.jsonl", "out.jsonl", "out.jsonl.job.json"]);
  });

  it("skips what is done, and has nothing to do in the end", async () => {
    const job = new Case(prompts(20));
    await job.run();
    const whole = readFileSync(job.output, "utf8");
    const bytes = Buffer.byteLength(whole.split("\n").slice(0, 12).join("\n")) + 1;
    truncateSync(job.output, bytes + 10);
    job.model = new FakeModel();
    expect(await job.run()).toMatchObject({ done: 8, skipped: 12 });
    expect(job.ids.toSorted()).toEqual(idsOf(20).toSorted());
    expect(job.model.submitted.length).toBe(8);
    job.model = new FakeModel();
    expect(await job.run()).toMatchObject({ done: 0, skipped: 20 });
    expect(job.model.submitted).toEqual([]);
  });

  it("answers lines that were added to its input", async () => {
    const job = new Case(prompts(5));
    await job.run();
    appendFileSync(job.input, `\n${JSON.stringify({ custom_id: "new", prompt: "x" })}\n`);
    expect(await job.run()).toMatchObject({ done: 1, skipped: 5 });
  });

  it("writes the second use of a custom_id as an error, once", async () => {
    const job = new Case([
      ...prompts(3),
      { custom_id: "r1", prompt: "again" },
      { custom_id: "r1", prompt: "more" },
    ]);
    expect(await job.run()).toMatchObject({ done: 3, failed: 2 });
    const before = job.results;
    expect(
      before.filter(({ error }) => error?.code === "line-duplicate-id").map(({ error }) => error!.line),
    ).toEqual([4, 5]);
    expect(await job.run()).toMatchObject({ done: 0, failed: 0, skipped: 5 });
    // The error of one of them lost.
    const lines = readFileSync(job.output, "utf8").split("\n").slice(0, -1);
    writeFileSync(
      job.output,
      lines
        .filter((line) => !line.includes('"line":5'))
        .map((line) => `${line}\n`)
        .join(""),
    );
    expect(await job.run()).toMatchObject({ done: 0, failed: 1, skipped: 4 });
    expect(job.results.length).toBe(5);
  });

  it("says where a name was taken from that no line gave", async () => {
    const job = new Case([{ custom_id: "line-2", prompt: "x" }, { prompt: "y" }]);
    await job.run();
    expect(job.results.find(({ error }) => error)!.error!.message).toContain("named line-N by its number");
  });

  it("goes on past lines that fail in every way, each with its error", async () => {
    const job = new Case([
      ...[
        "no JSON",
        { custom_id: "tools", prompt: "x", tools: [{}] },
        { custom_id: "hot", prompt: "x", temperature: 9 },
      ],
      ...[
        { custom_id: "bad", prompt: "fails" },
        { custom_id: "other", input: "x" },
        { custom_id: "good", prompt: "x" },
      ],
    ]);
    job.model.failure = (prompt) => (prompt === "fails" ? new Error("by chance") : undefined);
    expect(await job.run()).toMatchObject({ done: 1, failed: 5 });
    const codes = Object.fromEntries(
      job.results.map(({ custom_id, error }) => [custom_id, error?.code ?? null]),
    );
    expect(codes).toEqual({
      ...{ "line-1": "line-not-json", tools: "line-unsupported", hot: "sampling-invalid", bad: "unexpected" },
      ...{ other: "line-other-kind", good: null },
    });
  });

  it("leaves lines of the other kind to a run of their own where it should", async () => {
    const job = new Case([
      { input: "one" },
      { prompt: "two" },
      { custom_id: "line-1", prompt: "again" },
      { input: "three" },
    ]);
    expect(await job.run({ defersOtherKind: true })).toMatchObject({
      done: 2,
      failed: 1,
      deferred: 1,
      read: 4,
    });
    expect(await job.run({ defersOtherKind: true })).toMatchObject({ done: 1, skipped: 3, deferred: 0 });
    expect(job.ids.toSorted()).toEqual(["line-1", "line-1", "line-2", "line-4"]);
  });

  it("ends with the first that fails where it should, and goes on when that is corrected", async () => {
    const bad = { custom_id: "new", prompt: "bad" };
    const job = new Case([...prompts(29), bad]);
    job.model.failure = (prompt) => (prompt === "bad" ? new JaugeError("prompt-empty", {}) : undefined);
    const error = await job.run({ failFast: true }, { lookAhead: 1 }).catch((thrown: unknown) => thrown);
    expect(isJaugeError(error, "batch-stopped") && error.facts.line).toBe(30);
    expect(job.results.length).toBeGreaterThan(0);
    expect(job.results.every((line) => line.error === null)).toBe(true);
    writeFileSync(job.input, readFileSync(job.input, "utf8").replace('"bad"', '"x"'));
    // Another input is other settings.
    expect(isJaugeError(await job.run().catch((thrown: unknown) => thrown), "batch-settings-changed")).toBe(
      true,
    );
    await job.run({ force: true });
    expect(job.ids.toSorted()).toEqual([...idsOf(29), "new"].toSorted());
  });

  it("takes other settings while nothing is answered", async () => {
    const job = new Case(["no JSON", ...prompts(2)]);
    const first = { settings: { options: { template: "a" } } };
    const error = await job.run({ ...first, failFast: true }).catch((thrown: unknown) => thrown);
    expect(isJaugeError(error, "batch-stopped")).toBe(true);
    writeFileSync(job.input, readFileSync(job.input, "utf8").replace("no JSON\n", ""));
    const second = { settings: { options: { template: "b" } } };
    expect(await job.run(second)).toMatchObject({ done: 2, failed: 0 });
    expect((await readSettings(job.output))?.options).toEqual({ template: "b" });
    expect(
      isJaugeError(await job.run(first).catch((thrown: unknown) => thrown), "batch-settings-changed"),
    ).toBe(true);
  });

  it("refuses other settings, and says which", async () => {
    const job = new Case(prompts(2));
    await job.run({ settings: { options: { temp: 0, template: "a" } } });
    const changes: Partial<JobOptions["settings"]>[] = [
      { options: { temp: 1, template: "a" } },
      { options: { temp: 0 } },
      { options: { temp: 0, template: "a", "top-k": 3 } },
      { options: { temp: 0, template: "a" }, model: { name: "m", fingerprint: "g" } },
    ];
    const told = [];
    for (const settings of changes) {
      const error = await job.run({ settings }).catch((thrown: unknown) => thrown);
      told.push(isJaugeError(error, "batch-settings-changed") && error.facts.differences.trim());
    }
    expect(told).toEqual(["temp: 0 → 1", 'template: "a" → –', "top-k: – → 3", "model: m (f) → m (g)"]);
    await job.run({ settings: changes[0]!, force: true });
    await job.run({ settings: changes[0]! });
    writeFileSync(`${job.output}.job.json`, "{");
    expect(isJaugeError(await job.run().catch((thrown: unknown) => thrown), "batch-settings-invalid")).toBe(
      true,
    );
  });

  it("takes results for its own only where a record says so", async () => {
    const job = new Case(prompts(3));
    writeFileSync(job.output, "");
    await job.run();
    rmSync(`${job.output}.job.json`);
    const error = await job.run().catch((thrown: unknown) => thrown);
    expect(isJaugeError(error, "batch-settings-missing")).toBe(true);
    expect(await job.run({ force: true })).toMatchObject({ done: 0, skipped: 3 });
    expect(await job.run()).toMatchObject({ done: 0, skipped: 3 });
  });

  it("is refused a second time at once", async () => {
    const job = new Case(prompts(4));
    let release = () => {};
    job.model.gate = new Promise((resolve) => {
      release = resolve;
    });
    const first = job.run();
    await expect.poll(() => job.model.running).toBe(4);
    expect(isJaugeError(await job.run().catch((thrown: unknown) => thrown), "batch-locked")).toBe(true);
    release();
    expect((await first).done).toBe(4);
  });
});

describe("seeds", () => {
  it("are a line's own, or come from the job's and its custom_id, whatever else runs", async () => {
    const seedsOf = async (lines: object[], settings: object = {}, run: JobRun = {}) => {
      const job = new Case(lines);
      const seeds = new Map<string, number | undefined>();
      const { submit } = job.model;
      job.model.submit = (request) => {
        seeds.set(String.fromCodePoint(...request.tokens), request.sampling.seed);
        return submit.call(job.model, request);
      };
      await job.run({ settings }, run);
      return seeds;
    };
    const all = await seedsOf([...prompts(3), { custom_id: "own", prompt: "own", seed: 7 }]);
    expect(all.get("own")).toBe(7);
    expect(new Set(all.values()).size).toBe(4);
    expect((await seedsOf(prompts(2).reverse())).get("prompt 1")).toBe(all.get("prompt 1"));
    expect((await seedsOf(prompts(2), { seed: 2 })).get("prompt 1")).not.toBe(all.get("prompt 1"));
    // A job's seed that is given is among the defaults of its lines, too.
    const given = await seedsOf(prompts(3), { seed: 7 }, { defaults: { seed: 7 } });
    expect(given.get("prompt 1")).toBe((await seedsOf(prompts(2), { seed: 7 })).get("prompt 1"));
    expect(new Set(given.values()).size).toBe(3);
  });
});

/** Runs a job to its end, with an interruption after so many tokens each time; says how many were computed in all. */
async function interruptedEvery(
  job: Case,
  tokens: number,
  options: Partial<JobOptions> = {},
  onEnd = () => {},
): Promise<number> {
  let computed = 0;
  for (let runs = 0; runs < 30; runs++) {
    job.model = new FakeModel();
    job.model.mostComputed = tokens;
    const stop = new AbortController();
    let isOver = false;
    const running = job.run(options, { signal: stop.signal }).finally(() => {
      isOver = true;
    });
    await expect.poll(() => isOver || job.model.computed >= tokens, { interval: 1 }).toBe(true);
    stop.abort();
    const { isInterrupted } = await running;
    computed += job.model.computed;
    expect(existsSync(`${job.output}.partial`)).toBe(isInterrupted);
    onEnd();
    if (!isInterrupted) return computed;
  }
  return expect.fail("it never ends");
}

describe("a line of several choices", () => {
  const lines = prompts(4, (index) => ({ max_tokens: 60, n: index === 3 ? 1 : 6, seed: 10 * index }));

  it("has one result, which draws by a seed for each and counts its prompt once", async () => {
    const job = new Case(lines);
    const end = await job.run();
    expect(end).toMatchObject({ done: 4, failed: 0, outputTokens: 19 * 60, promptTokens: 19 * 8 });
    expect(new Set(job.ids)).toEqual(new Set(idsOf(4)));
    const { response } = job.results.find(({ custom_id }) => custom_id === "r1")!;
    expect(response!.body).toMatchObject({
      choices: [0, 1, 2, 3, 4, 5].map((index) => ({ index, finish_reason: "length" })),
      usage: { prompt_tokens: 8, completion_tokens: 360, total_tokens: 368 },
    });
    const seeds = job.model.seeds.filter((_, index) => job.model.submitted[index] === "prompt 1");
    expect(seeds.toSorted()).toEqual([10, 11, 12, 13, 14, 15]);
  });

  it("goes on behind what each of them had, ended ones included", async () => {
    const job = new Case(lines);
    const expected = new Case(lines);
    await expected.run();
    const computed = await interruptedEvery(job, 250);
    expect(computed).toBe(19 * 60);
    const bodies = (from: Case) =>
      new Map(from.results.map(({ custom_id, response }) => [custom_id, response!.body]));
    const withoutTime = (body: object) => ({ ...body, created: 0 });
    for (const [id, body] of bodies(expected))
      expect(withoutTime(bodies(job).get(id)!)).toEqual(withoutTime(body));
    expect(job.ids.length).toBe(4);
  });

  it("fails as one, once, and leaves the others alone", async () => {
    const job = new Case(lines);
    let asked = 0;
    job.model.failure = (prompt) =>
      prompt === "prompt 1" && ++asked === 2 ? new JaugeError("prompt-empty", {}) : undefined;
    expect(await job.run()).toMatchObject({ done: 3, failed: 1 });
    expect(job.ids.length).toBe(4);
    expect(job.results.find(({ custom_id }) => custom_id === "r1")!.error).toMatchObject({
      code: "prompt-empty",
    });
  });
});

describe("an interrupted job", () => {
  it("keeps what its answers have, and does not generate it again", async () => {
    const job = new Case(prompts(12, () => ({ max_tokens: 200 })));
    const expected = new Case(prompts(12, () => ({ max_tokens: 200 })));
    await expected.run();
    const computed = await interruptedEvery(job, 450);
    // All of it once: but for what was in the very turn that ended each run.
    expect(computed).toBeGreaterThanOrEqual(2400);
    expect(computed).toBeLessThan(2400 + 7 * 30);
    const contents = (some: Case) =>
      Object.fromEntries(
        some.results.map(({ custom_id, response }) => [
          custom_id,
          response?.body && "choices" in response.body && response.body.choices[0],
        ]),
      );
    expect(contents(job)).toEqual(contents(expected));
  });

  it("counts every line that was read once: also those that it keeps, and those of several choices", async () => {
    const job = new Case([
      ...[...prompts(3), "no JSON", { input: "vector" }],
      ...prompts(40, () => ({ n: 3, max_tokens: 500 })).slice(3),
    ]);
    const adds = (end: JobEnd | JobProgress) =>
      end.skipped + end.deferred + end.done + end.failed + end.running + end.waiting;
    job.model.mostComputed = 1000;
    const stop = new AbortController();
    const opened: Job[] = [];
    const running = job.run({ defersOtherKind: true }, { signal: stop.signal }, (one) => opened.push(one));
    await expect.poll(() => job.model.computed).toBe(1000);
    const progress = opened[0]!.progress;
    expect(adds(progress)).toBe(progress.read);
    stop.abort();
    const end = await running;
    expect(end).toMatchObject({ isInterrupted: true, deferred: 1, failed: 1, running: 0, waiting: 0 });
    expect(end.kept).toBeGreaterThan(0);
    expect(adds(end) + end.kept).toBe(end.read);
    job.model = new FakeModel();
    const second = await job.run({ defersOtherKind: true });
    expect(second.kept).toBe(0);
    expect(adds(second)).toBe(42);
  });

  it("takes nothing from a checkpoint of another request, a torn one or nonsense", async () => {
    const job = new Case([{ custom_id: "a", prompt: "new text", max_tokens: 50 }]);
    const record = { custom_id: "a", request: "another", from: 0, tokens: [1, 2, 3] };
    writeFileSync(
      `${job.output}.partial`,
      `${JSON.stringify(record)}\nnonsense\n{"custom_id":"a","from":-1}\n${JSON.stringify({ ...record, from: 9 })}\n{"custom_id":"a","requ`,
    );
    expect(await job.run()).toMatchObject({ done: 1 });
    expect(job.model.computed).toBe(50);
    expect(existsSync(`${job.output}.partial`)).toBe(false);
  });

  it("ends although its input never does", async () => {
    const job = new Case([]);
    const stop = new AbortController();
    const source = {
      ...{ name: "-", format: "jsonl" as const, totalBytes: undefined, readBytes: 0, beginning: undefined },
      table: {},
      async *items() {
        yield { number: 1, customId: "a", request: { kind: "chat" as const, messages: [], options: {} } };
        await new Promise(() => {});
      },
      glance: () => Promise.reject(new Error("nobody asks")),
    };
    const running = job.run({ source }, { signal: stop.signal });
    await expect.poll(() => existsSync(job.output) && job.ids.length).toBe(1);
    stop.abort();
    expect(await running).toMatchObject({ done: 1, isInterrupted: true });
  });
});

describe("ordered results", () => {
  const lengths = (index: number) => ({ max_tokens: index % 7 === 0 ? 120 : 1 + (index % 5) });

  it("come in the order of the input, and survive an interruption in it", async () => {
    const lines = [...prompts(40, lengths), "no JSON", ...prompts(60, lengths).slice(40)];
    const job = new Case(lines);
    const expected = [...idsOf(40), "line-41", ...idsOf(60).slice(40)];
    const computed = await interruptedEvery(job, 200, { ordered: true }, () => {
      expect(job.ids).toEqual(expected.slice(0, job.ids.length));
    });
    expect(job.ids).toEqual(expected);
    const all = Array.from({ length: 60 }, (_, index) => lengths(index).max_tokens).reduce((a, b) => a + b);
    expect(computed).toBeLessThan(all * 1.6);
  });
});

describe("an engine that dies", () => {
  const crash = () => new JaugeError("host-crashed", { signal: "SIGKILL", log: "" });

  it("is blamed where no line is answered any more: the job ends, and goes on when it is started again", async () => {
    const job = new Case(prompts(9));
    job.model.failure = crash;
    expect(isJaugeError(await job.run().catch((thrown: unknown) => thrown), "host-crashed")).toBe(true);
    expect(readFileSync(job.output, "utf8")).toBe("");
    job.model = new FakeModel();
    expect(await job.run()).toMatchObject({ done: 9 });
  });

  it("is not where one line kills it each time: that line fails", async () => {
    const job = new Case(prompts(30));
    job.model.failure = (prompt) => (prompt === "prompt 3" ? crash() : undefined);
    expect(await job.run()).toMatchObject({ done: 29, failed: 1 });
    expect(job.results.find(({ error }) => error)).toMatchObject({
      custom_id: "r3",
      error: { code: "host-crashed" },
    });
  });

  it("may come back: what failed once is answered", async () => {
    const job = new Case(prompts(10));
    let failures = 0;
    job.model.failure = () => (++failures % 4 === 0 && failures < 9 ? crash() : undefined);
    expect(await job.run()).toMatchObject({ done: 10, failed: 0 });
  });
});

describe("embeddings", () => {
  it("are a job of their own, each line with all its texts", async () => {
    const url = "/v1/embeddings";
    const embedding = (custom_id: string, body: object) => ({ custom_id, method: "POST", url, body });
    const job = new Case([
      embedding("a", { input: ["x", "yyy"] }),
      embedding("b", { input: "zz", encoding_format: "base64" }),
      embedding("empty", { input: "" }),
      { custom_id: "text", prompt: "x" },
    ]);
    expect(await job.run()).toMatchObject({ done: 2, failed: 2 });
    const byId = new Map(job.results.map((line) => [line.custom_id, line]));
    expect(byId.get("a")!.response!.body).toMatchObject({
      data: [
        { index: 0, embedding: [1, 0.5] },
        { index: 1, embedding: [3, 0.5] },
      ],
      usage: { prompt_tokens: 4, total_tokens: 4 },
    });
    const { data } = byId.get("b")!.response!.body as { data: { embedding: string }[] };
    expect([...new Float32Array(new Uint8Array(Buffer.from(data[0]!.embedding, "base64")).buffer)]).toEqual([
      2, 0.5,
    ]);
    expect(byId.get("empty")!.error!.code).toBe("embeddings-unsupported");
    expect(byId.get("text")!.error!.code).toBe("line-other-kind");
  });
});
