import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { jauge, stories, temporaryFolder } from "../cli/harness.js";

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
      JSON.stringify({ custom_id: "tools", prompt: "x", tools: [{}] }),
    ].join("\n"),
  );
  const first = jauge(["batch", input, "-o", output, ...fast]);
  expect(first.stderr).toContain("2 answered, 3 failed");
  expect(first.status).toBe(0);
  const results = lines(output);
  expect(results.map(({ custom_id, error }) => [custom_id, error?.code ?? null]).toSorted()).toEqual(
    [
      ["line-2", null],
      ["line-3", "line-not-json"],
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
