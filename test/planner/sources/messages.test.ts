import { expect, it } from "vitest";
import type { ErrorText } from "../../../src/messages/error-text.js";
import { sourceErrors, sourceProblems } from "../../../src/messages/source.js";

/** Facts with every field that a text may ask for. */
const known: Record<string, unknown> = { known: ["one", "two"], path: "model/config.json", field: "a" };
const facts = new Proxy({}, { get: (_, field) => known[String(field)] ?? 1000 });
type Texts<T> = Record<string, (facts: never) => T>;

it("the errors of sources say what happened and what to do, in each language its own way", () => {
  const [en, fr]: [Texts<ErrorText>, Texts<ErrorText>] = [sourceErrors.en, sourceErrors.fr];
  expect(Object.keys(fr)).toEqual(Object.keys(en));
  for (const [code, render] of Object.entries(en)) {
    const [english, french] = [render(facts as never), fr[code]!(facts as never)];
    for (const { what, fix } of [english, french]) {
      expect(what).not.toMatch(/undefined|\[object/);
      expect(fix.length, code).toBeGreaterThan(10);
    }
    expect(french.what).not.toBe(english.what);
    expect(french.fix).not.toBe(english.fix);
  }
});

it("the problems of configurations are worded in each language", () => {
  const [en, fr]: [Texts<string>, Texts<string>] = [sourceProblems.en, sourceProblems.fr];
  for (const [name, render] of Object.entries(en))
    expect(fr[name]!(facts as never), name).not.toBe(render(facts as never));
});
