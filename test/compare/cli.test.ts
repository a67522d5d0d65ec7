import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ended, jauge, startJauge, stories } from "../cli/harness.js";
import { temporaryFolder } from "../library/temporary.js";

describe("jauge imatrix", () => {
  it("says what it wrote, and replaces nothing unasked", () => {
    using folder = temporaryFolder();
    const output = join(folder.path, "out.gguf");
    const given = ["imatrix", stories, "-o", output, "-c", "128", "--chunks", "2", "-t", "1"];
    const { status, stdout } = jauge(given);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(/out\.gguf: 35 matrices, 2 windows, perplexity [\d.]+\n$/),
    });
    const again = jauge([...given, "--json"]);
    expect(again.status).toBe(2);
    expect(JSON.parse(again.stdout).error).toMatchObject({ code: "importance-exists" });
    const resumed = jauge([...given, "--resume"], { env: { LC_ALL: "fr_FR.UTF-8" } });
    expect(resumed.stdout).toMatch(/out\.gguf : 35 matrices, 2 fenêtres\n$/);
    const further = jauge([...given, "--chunks", "3", "--resume"]);
    expect(further.stdout).toMatch(/3 windows, perplexity [\d.]+ over the 1 computed now\n$/);
  });
});

it("an interrupted matrix keeps its windows, and its command goes on behind them", async () => {
  using folder = temporaryFolder();
  const output = join(folder.path, "out.gguf");
  const text = join(folder.path, "a text.txt");
  writeFileSync(text, "Once upon a time, there was a little girl. ".repeat(4000));
  const given = ["imatrix", stories, text, "-o", output, "-c", "128", "-t", "1", "--save-every", "1"];
  const child = startJauge([...given, "--force"]);
  const said: Buffer[] = [];
  child.stderr!.on("data", (data) => said.push(data));
  const watch = setInterval(() => {
    if (!existsSync(output)) return;
    clearInterval(watch);
    child.kill("SIGINT");
  }, 5);
  const status = await ended(child);
  const shown = Buffer.concat(said).toString();
  expect(status, shown).toBe(130);
  const [, kept] = /Interrupted: .*out\.gguf has (\d+) of \d+ windows\n/.exec(shown)!;
  const command = given.map((word) => (word === text ? `'${text}'` : word)).join(" ");
  expect(shown).toContain(`Go on behind them: jauge ${command} --resume\n`);
  const more = String(Number(kept) + 1);
  expect(jauge([...given, "--resume", "--chunks", more]).stdout).toContain(`${more} windows`);
});

describe("jauge compare", () => {
  it("prints a table, or with --json all figures", () => {
    const given = ["compare", stories, stories, "-c", "64", "--chunks", "1", "-t", "1"];
    const table = jauge(given);
    expect(table.status).toBe(0);
    const [head, , first, second] = table.stdout.split("\n");
    expect(head).toMatch(
      /\| model +\| type \| +size \| bits\/weight \| +perplexity \| +× first \| +mean KL \|/,
    );
    expect(first).toMatch(/\| stories260K\.gguf \| F32 +\| 1\.0 MB \| +32\.00 \| [\d.]+ ± [\d.]+ \| +\| /);
    expect(second).toMatch(/\| 1\.0000 ± 0\.0000 \| .* 100\.00 % \|/);
    expect(table.stderr).toContain("1 window of 64 tokens, 31 scored");
    const { models, ...facts } = JSON.parse(jauge([...given, "--json"]).stdout);
    expect(facts).toEqual({ windowSize: 64, windows: 1, scoredTokens: 31 });
    expect(models[1].divergence).toMatchObject({ topAgreement: 1, perplexityRatio: 1 });
  });

  it("refuses a text without a whole window", () => {
    const { status, stdout } = jauge(["compare", stories, "-c", "65000", "-t", "1", "--json"]);
    expect(status).toBe(2);
    expect(JSON.parse(stdout).error).toMatchObject({ code: "text-too-short" });
  });
});
