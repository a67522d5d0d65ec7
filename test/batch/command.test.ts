import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ended, jauge, startJauge, stories, temporaryFolder } from "../cli/harness.js";

const fast = ["-m", stories, "--threads", "1", "--device", "none", "-np", "4", "--temp", "0", "-n", "8"];

function lines(
  path: string,
): { custom_id: string; response: object | null; error: { code: string } | null }[] {
  return readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

it("answers each line once, bad ones with what is wrong, and has nothing left to do after", () => {
  const folder = temporaryFolder();
  const input = join(folder, "in.jsonl");
  const output = join(folder, "out.jsonl");
  const body = { model: "any", messages: [{ role: "user", content: "Once upon a time" }] };
  writeFileSync(
    input,
    [
      JSON.stringify({ custom_id: "one", method: "POST", url: "/v1/chat/completions", body }),
      JSON.stringify({ prompt: "Lily went" }),
      "no JSON",
      JSON.stringify({ custom_id: "one", prompt: "again" }),
      JSON.stringify({ custom_id: "vector", input: "A cat sleeps." }),
      JSON.stringify({ custom_id: "tools", prompt: "x", tools: [{}] }),
    ].join("\n"),
  );
  const first = jauge(["batch", input, "-o", output, ...fast]);
  // The embedding follows the texts, in a plan of its own.
  expect(first.stderr).toContain("3 answered, 3 failed, 0 done before");
  expect(first.status).toBe(0);
  const results = lines(output);
  expect(results.map(({ custom_id, error }) => [custom_id, error?.code ?? null]).toSorted()).toEqual(
    [
      ["line-2", null],
      ["line-3", "line-not-json"],
      ["vector", null],
      ["one", "line-duplicate-id"],
      ["one", null],
      ["tools", "line-unsupported"],
    ].toSorted(),
  );
  expect(readdirSync(folder).toSorted()).toEqual(["in.jsonl", "out.jsonl", "out.jsonl.job.json"]);

  const before = readFileSync(output, "utf8");
  const second = jauge(["batch", input, "-o", output, ...fast]);
  expect(second.status).toBe(0);
  expect(second.stderr).toContain("nothing is left to do");
  expect(readFileSync(output, "utf8")).toBe(before);

  const other = jauge(["batch", input, "-o", output, ...fast, "--top-k", "5"]);
  expect(other.status).toBe(2);
  expect(other.stderr).toContain("top-k: – → 5");
  expect(jauge(["batch", input, "-o", output, ...fast, "--top-k", "5", "--force"]).status).toBe(0);
});

it("keeps what runs when it is interrupted, leaves within two seconds, and says how to go on", async () => {
  const folder = temporaryFolder();
  const input = join(folder, "in.jsonl");
  const output = join(folder, "it's out.jsonl");
  const count = 16;
  writeFileSync(input, Array.from({ length: count }, () => '{"prompt":"Once upon a time"}').join("\n"));
  const long = [...fast.slice(0, -2), "-n", "300", "--ignore-eos", "-c", "512"];
  const command = ["batch", input, "-o", output, ...long];
  const job = startJauge(command);
  let said = "";
  job.stderr!.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const status = ended(job);
  await expect
    .poll(() => existsSync(output) && readFileSync(output, "utf8") !== "", { timeout: 60_000 })
    .toBe(true);
  // A second job on the same output is refused while this one runs.
  const link = join(folder, "link.jsonl");
  symlinkSync(output, link);
  for (const name of [output, link]) {
    const second = jauge(["batch", input, "-o", name, ...long]);
    expect(second.stderr).toContain("another job writes to it");
  }
  job.kill("SIGTERM");
  expect(await status).toBe(130);
  expect(said).toContain(`-o '${folder}/it'\\''s out.jsonl'`);
  const before = lines(output).length;
  expect(before).toBeLessThan(count);
  const end = jauge([...command, "--json"]);
  expect(end.status).toBe(0);
  const events = end.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events.at(-1)).toMatchObject({
    event: "done",
    done: count - before,
    skipped: before,
    isInterrupted: false,
  });
  const ids = lines(output).map(({ custom_id }) => custom_id);
  expect(new Set(ids).size).toBe(count);
  expect(ids.length).toBe(count);
});

it("says where a table could not be read on, and what it left aside, each time", () => {
  const folder = temporaryFolder();
  const input = join(folder, "in.csv");
  writeFileSync(input, 'prompt,max_tokens\nOnce,3\n"open,3\nlost,3\n');
  for (const done of ["1 answered, 1 failed", "0 answered, 0 failed"]) {
    const { status, stderr } = jauge(["batch", input, "-o", join(folder, "out.jsonl"), ...fast]);
    expect(stderr).toContain(done);
    expect(stderr).toContain("nothing from line 3 on was read");
    expect(stderr).toContain("left aside: max_tokens");
    expect(stderr).not.toContain("nothing is left to do");
    expect(status).toBe(3);
  }
});

it("estimates a job, and runs nothing", () => {
  const folder = temporaryFolder();
  const input = join(folder, "in.csv");
  const shared = "Lily and Tom went to the park and saw a big dog and a small cat. ".repeat(3);
  writeFileSync(input, `text\n${Array.from({ length: 50 }, (_, index) => `${shared}${index}\n`).join("")}`);
  const command = ["batch", input, "--estimate", ...fast, "--template", "Say: {text}"];
  const { stdout, status } = jauge([...command, "--json"]);
  expect(status).toBe(0);
  const estimate = JSON.parse(stdout);
  expect(estimate).toMatchObject({
    lines: 50,
    badLines: 0,
    sampledLines: 50,
    outputTokens: 400,
    sequences: 4,
    fits: true,
  });
  expect(estimate.promptTokens).toBeGreaterThan(50 * 60);
  expect(estimate.sharedTokens).toBeGreaterThan(estimate.promptTokens / 2);
  expect(estimate.seconds).toBeGreaterThan(0);
  expect(jauge(command).stdout).toContain("50 lines");
  const long = JSON.parse(jauge([...command, "-n", "100000", "-c", "256", "--json"]).stdout);
  expect(long.outputTokens).toBe(50 * 256 - long.promptTokens);
  expect(readdirSync(folder)).toEqual(["in.csv"]);
});

it.each([
  [["batch", "none.jsonl", "-o", "x"], 3, "none.jsonl"],
  [["batch", "package.json"], 2, "--output"],
  [["batch", "package.json", "-o", "x", "--template", "no field"], 2, "no field"],
  [["batch", "package.json", "-o", "package-lock.json", "--device", "none"], 3, "no result of a batch job"],
  [["batch", "package.json", "-o", "package.json", "--device", "none"], 3, "it is the input"],
  [["batch", "package.json", "-o", "-"], 3, "standard output"],
  // A pipe, as the harness reads it.
  [["batch", "package.json", "-o", "/dev/stdout"], 3, "no regular file"],
])("says what is wrong: %j", (command, status, text) => {
  const result = jauge(command);
  expect(result.stderr).toContain(text);
  expect(result.status).toBe(status);
});
