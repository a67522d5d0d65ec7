import { expect, it } from "vitest";
import { VocabularyHost } from "../../src/engine/engine.js";
import { cpu, storiesPlan } from "./harness.js";

/** Processes that this one has started and that live. */
function childProcesses(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "ProcessWrap").length;
}

it("answers all that a dead host was asked from one new host, which ends with it", async () => {
  const before = childProcesses();
  const vocabulary = await VocabularyHost.open(storiesPlan(), cpu);
  const expected = await vocabulary.tokenize("Once upon a time");
  for (let round = 0; round < 2; round++) {
    process.kill(vocabulary.processId!, "SIGKILL");
    const answers = Array.from({ length: 20 }, () => vocabulary.tokenize("Once upon a time"));
    for (const tokens of await Promise.all(answers)) expect(tokens).toEqual(expected);
    expect(childProcesses()).toBe(before + 1);
  }
  await vocabulary.close();
  await expect.poll(childProcesses).toBe(before);
  await expect(vocabulary.tokenize("x")).rejects.toMatchObject({ code: "host-closed" });
});
