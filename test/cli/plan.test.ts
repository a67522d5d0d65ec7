import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { budgetOptions, planOptions } from "../../src/cli/options.js";
import { isJaugeError } from "../../src/errors.js";
import { optionMessages } from "../../src/messages/cli-options.js";
import { planErrors } from "../../src/messages/plan.js";
import { modelPlanSchema } from "../../src/plan/saved-plan-schema.js";
import { jauge, stories, temporaryFolder } from "./harness.js";

const folder = temporaryFolder();
const file = (name: string) => join(folder, name);

describe("jauge plan", () => {
  it("shows memory, layers, settings and speed of a model", () => {
    const { status, stdout } = jauge(["plan", stories, "-c", "256"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^RAM {2}.* of \d+\.\d GB$/m);
    expect(stdout).toMatch(/^ {2}all {2}\.{5}$/m);
    expect(stdout).toMatch(/context of 256 tokens · 1 sequence/);
    expect(stdout).toMatch(/^ {2}decode +[\d,.]+ tokens\/s$/m);
    expect(stdout).toMatch(/^ {2}-c 256 -np 1 /m);
  });

  it("speaks French", () => {
    const { stdout } = jauge(["plan", stories, "-c", "256"], { env: { LC_ALL: "fr_FR.UTF-8" } });
    expect(stdout).toMatch(/^Mémoire$/m);
    expect(stdout).toMatch(/contexte de 256 jetons · 1 séquence/);
  });

  it("prints the contract's object with --json, and saves the same", () => {
    const path = file("plan.json");
    const { status, stdout } = jauge(["plan", stories, "--json", "--save", path, "--ram", "2GiB", "-t", "1"]);
    expect(status).toBe(0);
    const plan = modelPlanSchema.parse(JSON.parse(stdout));
    expect(plan).toMatchObject({ fits: true, devices: [], settings: { threads: 1 }, objective: "chat" });
    expect(plan.host.budgetBytes).toBe(2 * 2 ** 30);
    expect(plan.host.plannedBytes).toBeLessThanOrEqual(plan.host.budgetBytes);
    const { weights, ...others } = plan.host.breakdown;
    expect(Object.values(others).reduce((sum, part) => sum + part, weights)).toBe(plan.host.plannedBytes);
    expect(Object.values(plan.host.weights).reduce((sum, part) => sum + part, 0)).toBe(weights);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(plan);
  });

  it("says what is missing and ends with status 4 where it does not fit, and saves nothing", () => {
    const path = file("misfit.json");
    const given = ["plan", stories, "--ram", "10MB", "--save", path];
    const { status, stdout, stderr } = jauge(given);
    expect(status).toBe(4);
    expect(stdout).toMatch(/RAM: needs .* allowed are 10\.0 MB: .* missing \([\d,]+\s+bytes\)/);
    expect(stdout).toMatch(/^What would fit\n {2}- /m);
    expect(stderr).toContain("does not fit");
    expect(existsSync(path)).toBe(false);
    const json = jauge(["plan", stories, "--ram", "10MB", "--json"]);
    expect(json.status).toBe(4);
    const plan = JSON.parse(json.stdout);
    expect(plan).toMatchObject({ fits: false, host: { budgetBytes: 10_000_000 } });
    expect(plan.shortfalls[0].missingBytes).toBe(plan.host.plannedBytes - 10_000_000);
  });

  it("answers what-ifs as a table and as rows", () => {
    const given = ["plan", stories, "--what-if", "--type", "q8_0", "-c", "128"];
    const { status, stdout } = jauge(given);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^ +128 tokens\nQ8_0 +\d+\.\d kB +[\d,.]+\n\nTokens\/s of decoding/),
    });
    const rows = JSON.parse(jauge([...given, "--json"]).stdout);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      type: "Q8_0",
      contextLength: 128,
      cardBytes: null,
      fits: true,
      devices: [],
    });
  });

  it.each([
    [["--ram", "lots"], "budget-invalid"],
    [["--vram", "11"], "budget-invalid"],
    [["--vram", "CUDA9=8GB"], "budget-device-unknown"],
    [["--vram", "8GB,12GB"], "option-needs"],
    [["--what-if", "--vram", "8GB,12GB"], "budget-card-missing"],
    [["--what-if", "--vram", "8GB"], "budget-card-missing"],
    [["--what-if", "--save", file("table.json")], "options-conflict"],
    [["--for", "speed"], "option-invalid"],
    [["--type", "4 bits"], "option-invalid"],
    [["--hardware", "cray-1"], "profile-unknown"],
  ])("%j is refused: %s", (given, code) => {
    const { status, stdout } = jauge(["plan", stories, ...given, "--json"]);
    expect(JSON.parse(stdout).error.code).toBe(code);
    expect(status).not.toBe(0);
  });

  it.each([
    ["en_US.UTF-8", "en"],
    ["fr_FR.UTF-8", "fr"],
  ] as const)("explains every option in its help (%s)", (LC_ALL, language) => {
    const { status, stdout } = jauge(["plan", "--help"], { env: { LC_ALL } });
    expect(status).toBe(0);
    const text = stdout.replace(/\s+/g, " ");
    const descriptions = { ...optionMessages[language].budget, ...optionMessages[language].plan };
    for (const [name, { flags }] of Object.entries(planOptions)) {
      expect(text).toContain(`${flags} ${descriptions[name as keyof typeof planOptions]}`);
    }
    expect(text).toContain("jauge plan model.gguf --what-if --vram 8GB,12GB,16GB,24GB");
  });
});

describe("the options of budgets", () => {
  it("read what they are given", () => {
    const read = (name: "vram" | "ram" | "for", text: string) =>
      budgetOptions[name].parse!(text, `--${name}`);
    expect(read("vram", "0=8GiB")).toEqual({
      kind: "by-device",
      wishes: [{ device: "0", wish: { kind: "bytes", bytes: 8 * 2 ** 30 } }],
    });
    expect(read("ram", "90%")).toEqual({ kind: "share", share: 0.9 });
    expect(read("for", "batch")).toBe("batch");
    expect(planOptions.vram.parse!("8GB,12GB", "--vram")).toEqual({ kind: "cards", sizes: [8e9, 12e9] });
    expect(planOptions.vram.parse!("8GB", "--vram")).toEqual({ kind: "bytes", bytes: 8e9 });
    try {
      read("vram", "8GB,12GB");
      expect.unreachable();
    } catch (error) {
      expect(isJaugeError(error, "budget-invalid") && error.fix).toContain("--what-if");
    }
  });

  it("are described, each in both languages", () => {
    for (const language of ["en", "fr"] as const) {
      expect(Object.keys(optionMessages[language].budget).sort()).toEqual(Object.keys(budgetOptions).sort());
    }
    for (const [name, text] of Object.entries(optionMessages.en.budget)) {
      expect(text).not.toBe(optionMessages.fr.budget[name as keyof typeof optionMessages.fr.budget]);
    }
  });

  it("have errors that say what happened and what to do, in both languages", () => {
    expect(Object.keys(planErrors.fr)).toEqual(Object.keys(planErrors.en));
    const facts = {
      option: "--vram",
      value: "x",
      expected: "y",
      device: "d",
      known: ["a", "b"],
      hardware: "h",
    };
    for (const code of ["budget-invalid", "budget-device-unknown", "budget-card-missing"] as const) {
      const [english, french] = [planErrors.en[code](facts), planErrors.fr[code](facts)];
      expect(english.what).not.toBe(french.what);
      expect(`${english.what}${english.fix}${french.what}${french.fix}`).not.toContain("undefined");
    }
  });
});
