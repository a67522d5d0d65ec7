import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { ended, jauge, startJauge, stories, temporaryFolder } from "./harness.js";

const speed = z.number().positive().nullable();
const contract = z.strictObject({
  text: z.string(),
  tokens: z.array(z.int()),
  finishReason: z.enum(["stop", "length", "context", "time", "cancelled"]),
  stats: z.strictObject({
    promptTokens: z.int(),
    promptTokensPerSecond: speed,
    generatedTokens: z.int(),
    generationTokensPerSecond: speed,
    timeToFirstTokenMs: speed,
    devices: z
      .array(
        z.strictObject({
          name: z.string(),
          budgetBytes: z.int().positive(),
          plannedBytes: z.int().positive(),
          allocatedBytes: z.int().positive(),
          peakBytes: z.int().positive().optional(),
        }),
      )
      .min(1),
  }),
});
const story = ", there was a little girl named Lily";

describe("jauge run", () => {
  it("prints the answer, the same for a prompt from each place", () => {
    const file = join(temporaryFolder(), "prompt.txt");
    writeFileSync(file, "Once upon a time\n");
    const greedy = ["-n", "10", "--temp", "0"];
    for (const [given, input] of [
      [["Once upon a time"], ""],
      [[stories, "Once upon a time"], ""],
      [["run", "-m", stories, "-p", "Once upon a time"], ""],
      [["run", "--file", file], ""],
      [["run", "--file", "-"], "Once upon a time\n"],
      [["run"], "Once upon a time\n"],
      [["run", "-no-cnv", "-p", "Once upon a time"], ""],
    ] as [string[], string][]) {
      const { status, stdout } = jauge([...given, ...greedy], { input });
      expect({ given, status, stdout }).toEqual({ given, status: 0, stdout: `${story}\n` });
    }
  });

  it("prints the contract's object with --json, and nothing else", () => {
    const { status, stdout, stderr } = jauge([
      "run",
      "Once upon a time",
      "-n",
      "10",
      "--temp",
      "0",
      "--json",
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const answer = contract.parse(JSON.parse(stdout));
    expect(answer).toMatchObject({ text: story, finishReason: "length" });
    expect(answer.tokens).toHaveLength(10);
    expect(answer.stats).toMatchObject({ promptTokens: 5, generatedTokens: 10 });
    for (const { budgetBytes, plannedBytes, allocatedBytes } of answer.stats.devices) {
      expect(allocatedBytes).toBe(plannedBytes);
      expect(plannedBytes).toBeLessThanOrEqual(budgetBytes);
    }
  });

  it("adds logprobs where they are asked for", () => {
    const given = ["run", "Once upon a time", "-n", "3", "--temp", "0", "--json", "--logprobs", "2"];
    const { logprobs } = JSON.parse(jauge(given).stdout);
    expect(logprobs).toHaveLength(3);
    expect(logprobs[0].top).toHaveLength(2);
  });

  it("prints speed and memory on standard error with --stats", () => {
    const { stdout, stderr } = jauge(["run", "Once upon a time", "-n", "10", "--temp", "0", "--stats"]);
    expect(stdout).toBe(`${story}\n`);
    expect(stderr).toMatch(/prompt +5 tokens +[\d.]+ tokens\/s/);
    expect(stderr).toMatch(/generation +10 tokens +[\d.]+ tokens\/s/);
    expect(stderr).toMatch(/first token +[\d.]+ ms/);
    expect(stderr).toMatch(/memory RAM +[\d.]+ MB +weights 1\.0 MB/);
  });

  it("gives the same text for the same seed", () => {
    const run = (seed: string) =>
      jauge(["run", "Once upon a time", "-n", "60", "--temp", "1.5", "-s", seed]).stdout;
    expect(run("7")).toBe(run("7"));
    expect(run("7")).not.toBe(run("8"));
  });

  it("takes a llama-cli command line, with a note about what has no effect", () => {
    const line = `-m ${stories} -ngl 99 -c 128 -b 64 -ub 32 -t 1 -fa --color -i --no-warmup --temp 0 -n 10 -no-cnv`;
    const { status, stdout, stderr } = jauge([...line.split(" "), "-p", "Once upon a time"]);
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${story}\n` });
    expect(stderr).toContain("note: no effect here: --color, -i, --no-warmup");
  });

  it("follows a JSON schema", () => {
    const schema = '{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3}';
    const { stdout } = jauge(["run", "Once upon", "-j", schema, "-s", "1", "-n", "200"]);
    expect(z.array(z.int()).safeParse(JSON.parse(stdout)).success).toBe(true);
  });

  it("stops at SIGINT with what it has, and says so in its status", async () => {
    const child = startJauge(["run", "Once upon a time", "--ignore-eos", "-c", "16000", "--temp", "0"]);
    let text = "";
    child.stdout!.on("data", (data) => {
      if (text === "") child.kill("SIGINT");
      text += data;
    });
    expect(await ended(child)).toBe(130);
    expect(text).toMatch(/^, there/);
  });

  it("ends quietly when its reader does", async () => {
    const child = startJauge(["run", "Once upon a time", "--ignore-eos", "-c", "16000"]);
    let errors = "";
    child.stderr!.on("data", (data) => {
      errors += data;
    });
    child.stdout!.once("data", () => child.stdout!.destroy());
    expect(await ended(child)).toBe(0);
    // The plan's line, and nothing about the pipe.
    expect(errors).toMatch(/^.+ tokens\/s\n.*16,000.*\n$/);
  });
});

describe("wrong command lines", () => {
  it.each([
    [[], 2, /no prompt, and no terminal/],
    [["hello"], 2, /no command "hello"/],
    [["run", "a b", "--bogus"], 2, /no option --bogus/],
    [["run", "a b", "--tempp", "1"], 2, /did you mean --temp/],
    [["run", "a b", "--temp", "hot"], 2, /--temp "hot": expected a number/],
    [["run", "a b", "-n"], 2, /needs a value/],
    [["run", "a b", "-n", "1", "c", "d"], 2, /too many arguments/],
    [["run", "a b", "--mirostat", "1"], 2, /--mirostat 1 is not supported/],
    [["run", "a b", "--logprobs", "1"], 2, /--logprobs needs --json/],
    [["run", "a b", "-p", "c d"], 2, /PROMPT and --prompt exclude each other/],
    [["run", "a b", "--template", "nonsense"], 2, /no prompt format named "nonsense"/],
    [["run", "a b", "--grammar", "root ::= ("], 2, /grammar cannot be parsed/],
    [["run", "a b", "-j", "{"], 2, /is no valid JSON/],
    [["run", "none.gguf", "a b"], 3, /none\.gguf: there is no such model file/],
    [["run", "https://example.com/a/m-00001-of-00003.gguf", "a b"], 3, /is on the web/],
    [["plan", "--what-if", "--vram", "50%,12GB"], 2, /"50%" is none/],
    [["run", "package.json", "a b"], 3, /package\.json: is no GGUF file/],
    [["run", "a b", "--file", "none.txt"], 2, /exclude each other/],
    [["run", "--file", "none.txt"], 3, /none\.txt: cannot be read/],
    [["run", "a b", "--lib-dir", "/nowhere"], 1, /\/nowhere: cannot read the library folder/],
    [["tokenize"], 2, /There is no text/],
    [["tokenize", "--detokenize", "Once upon"], 2, /expected token ids/],
    [["embed"], 2, /MODEL is missing/],
    [["embed", stories, "one", "--similarity"], 2, /expected at least two texts/],
    [["bench", "-pg", "5"], 2, /expected PROMPT,GENERATED/],
    [["inspect"], 2, /MODEL is missing/],
    [["compare", stories, "none.gguf"], 3, /Check the path\.\n$/],
    [["imatrix", "src"], 3, /src: is a folder.*\n.*jauge convert src/],
    [["inspect", "none.gguf"], 3, /none\.gguf/],
  ] as [string[], number, RegExp][])("jauge %j", (given, code, message) => {
    const { status, stdout, stderr } = jauge(given);
    expect({ status, stdout }).toEqual({ status: code, stdout: "" });
    expect(stderr).toMatch(message);
    // A model that was loaded before has said its plan.
    expect(stderr).toMatch(/^(.+ tokens\/s\n)?error: .*\n(.*\n)*fix: .+\n$/);
    expect(stderr).not.toContain("    at ");
  });

  it("are JSON with --json, and in French in France", () => {
    const { status, stdout } = jauge(["run", "none.gguf", "a b", "--json"], {
      env: { LC_ALL: "fr_FR.UTF-8" },
    });
    expect(status).toBe(3);
    expect(JSON.parse(stdout)).toEqual({
      error: {
        code: "model-missing",
        message: "none.gguf : ce fichier de modèle n'existe pas",
        fix: expect.stringContaining("Vérifiez le chemin"),
        facts: { path: "none.gguf" },
      },
    });
  });

  it("show where they come from with --verbose", () => {
    expect(jauge(["run", "none.gguf", "a b", "--verbose"]).stderr).toMatch(/\n {4}at /);
  });
});

describe("help", () => {
  it.each([["run"], ["tokenize"], ["embed"], ["inspect"], ["bench"], ["plan"], ["devices"], ["doctor"]])(
    "of %s has examples",
    (command) => {
      for (const given of [
        [command, "--help"],
        ["help", command],
      ]) {
        const { status, stdout } = jauge(given);
        expect(status).toBe(0);
        expect(stdout).toMatch(new RegExp(`Usage: jauge ${command}`));
        expect(stdout).toMatch(new RegExp(`\\n {2}(\\$ )?jauge ${command} `));
      }
    },
  );

  it("of the program lists commands and exit codes", () => {
    const { status, stdout } = jauge(["--help"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Commands:[\s\S]*run[\s\S]*tokenize[\s\S]*embed[\s\S]*inspect[\s\S]*bench/);
    expect(stdout).toMatch(/Exit codes:[\s\S]*130 {2}interrupted/);
    expect(jauge(["--version"]).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("jauge tokenize", () => {
  it("prints tokens as a table, ids, a count and JSON, and reads ids back", () => {
    const text = "Once upon a time";
    expect(jauge(["tokenize", stories, text]).stdout).toBe(
      '  1  "<s>"\n403  " Once"\n407  " upon"\n261  " a"\n378  " time"\n',
    );
    expect(jauge(["tokenize", stories, "--ids"], { input: text }).stdout).toBe("1 403 407 261 378\n");
    expect(jauge(["tokenize", text, "--no-bos", "--count"]).stdout).toBe("4\n");
    expect(JSON.parse(jauge(["tokenize", text, "--json"]).stdout)[1]).toEqual({ id: 403, text: " Once" });
    expect(jauge(["tokenize", "--detokenize", "[403, 407, 261, 378]"]).stdout).toContain("Once upon a time");
  });
});

describe("jauge embed", () => {
  it("prints vectors of length 1, as lines or an array, and similarities", () => {
    const lines = jauge(["embed", stories], { input: "A cat\nA dog\n" }).stdout.trim().split("\n");
    const vectors = lines.map((line) => JSON.parse(line));
    expect(vectors.map(({ text }) => text)).toEqual(["A cat", "A dog"]);
    expect(vectors[0].embedding).toHaveLength(64);
    expect(Math.hypot(...vectors[0].embedding)).toBeCloseTo(1, 5);
    expect(JSON.parse(jauge(["embed", stories, "A cat", "A dog", "--json"]).stdout)).toEqual(vectors);
    const matrix = JSON.parse(
      jauge(["embed", stories, "A cat", "A dog", "A cat", "--json", "--similarity"]).stdout,
    );
    expect(matrix[0][2]).toBeCloseTo(1, 4);
    expect(matrix[0][1]).toBeLessThan(0.999);
  });
});

describe("jauge bench", () => {
  it("prints the contract's rows with --json", () => {
    const { status, stdout } = jauge(["bench", stories, "-p", "32,64", "-n", "8", "-r", "2", "--json"]);
    expect(status).toBe(0);
    const row = z.strictObject({
      test: z.string(),
      tokensPerSecond: z.number().positive(),
      spread: z.number(),
    });
    const rows = z.array(row).parse(JSON.parse(stdout));
    expect(rows.map(({ test }) => test)).toEqual(["pp32", "pp64", "tg8"]);
  });

  it("prints llama-bench's table, with a column for what varies", () => {
    const { stdout } = jauge([
      "bench",
      stories,
      "-p",
      "32",
      "-n",
      "0",
      "-ub",
      "16,32",
      "-pg",
      "16,4",
      "-r",
      "1",
    ]);
    expect(stdout).toMatch(/^\| model +\| +size \| +params \| backend \| n_ubatch \| +test \| +t\/s \|\n/);
    expect(stdout.match(/\| +(16|32) \| +(pp32|pp16\+tg4) \| +[\d.]+ ± 0\.00 \|/g)).toHaveLength(4);
  });
});
