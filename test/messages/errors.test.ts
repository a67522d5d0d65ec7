import { describe, expect, it } from "vitest";
import { adapterErrors } from "../../src/messages/adapters.js";
import { batchErrors } from "../../src/messages/batch.js";
import { checkpointErrors } from "../../src/messages/checkpoint.js";
import { cliErrors } from "../../src/messages/cli-errors.js";
import { compareErrors } from "../../src/messages/compare.js";
import { convertErrors } from "../../src/messages/convert.js";
import { doctorErrors } from "../../src/messages/doctor.js";
import { engineErrors } from "../../src/messages/engine.js";
import type { ErrorText } from "../../src/messages/error-text.js";
import { executorErrors } from "../../src/messages/executor.js";
import { ggufErrors } from "../../src/messages/gguf.js";
import { hardwareErrors } from "../../src/messages/hardware.js";
import { legacyErrors } from "../../src/messages/legacy.js";
import { planErrors } from "../../src/messages/plan.js";
import { promptErrors } from "../../src/messages/prompt.js";
import { sourceErrors } from "../../src/messages/source.js";
import { tokenizerErrors } from "../../src/messages/tokenizer.js";
import { weightsErrors } from "../../src/messages/weights.js";

type Texts = Record<string, (facts: never) => ErrorText>;
const catalogues: Record<string, { en: Texts; fr: Texts }> = {
  adapters: adapterErrors,
  checkpoint: checkpointErrors,
  batch: batchErrors,
  cli: cliErrors,
  compare: compareErrors,
  convert: convertErrors,
  doctor: doctorErrors,
  engine: engineErrors,
  executor: executorErrors,
  gguf: ggufErrors,
  hardware: hardwareErrors,
  legacy: legacyErrors,
  plan: planErrors,
  prompt: promptErrors,
  source: sourceErrors,
  weights: weightsErrors,
  tokenizer: tokenizerErrors,
};

/** Facts with every field that a text may ask for. */
const facts = new Proxy({}, { get: (_, field) => fact(String(field)) });
function fact(field: string): unknown {
  if (field.endsWith("Bytes")) return 1000;
  if (["known", "devices", "names", "choices", "alternatives"].includes(field)) return ["one", "two"];
  if (field === "shortfalls") return [facts];
  // One of the reasons why an option is unused; to the other errors, a text.
  if (field === "reason") return "stated";
  // One of the problems of JSON schemas; to the other errors, a text.
  return field === "problem" ? "malformed" : `<${field}>`;
}

/** Errors that leave nothing to do: a person asked for them. */
const withoutFix = new Set(["cancelled"]);

describe.each(Object.entries(catalogues))("the %s errors", (_, { en, fr }) => {
  it("are the same in both languages, and say what happened and what to do", () => {
    expect(Object.keys(fr).toSorted()).toEqual(Object.keys(en).toSorted());
    for (const texts of [en, fr]) {
      for (const [code, render] of Object.entries(texts)) {
        const { what, fix } = render(facts as never);
        expect(what.trim(), code).not.toBe("");
        expect(`${what}${fix}`, code).not.toMatch(/undefined|\[object/);
        if (!withoutFix.has(code)) expect(fix.trim(), code).not.toBe("");
      }
    }
  });

  it("are written in their language", () => {
    for (const [code, render] of Object.entries(en)) {
      const [english, french] = [render(facts as never), fr[code]!(facts as never)];
      expect(`${french.what} ${french.fix}`, code).not.toBe(`${english.what} ${english.fix}`);
    }
  });
});

it("no code is used twice", () => {
  const codes = Object.values(catalogues).flatMap(({ en }) => Object.keys(en));
  expect(new Set(codes).size).toBe(codes.length);
});
