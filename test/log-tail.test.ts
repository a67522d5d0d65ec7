import { expect, it } from "vitest";
import { LogTail, logMark } from "../src/log-tail.js";

it("tells what each request's work wrote, wherever the pieces end", () => {
  const shown: string[] = [];
  const log = new LogTail((line) => shown.push(line));
  const text = `error of old\n${logMark(3)}\nerror of 3\nfine\n${logMark(4)}\nunknown to 4\n${logMark(5)}\nfailed in 5`;
  for (const character of text) log.add(character);
  expect([3, 4, 5].map((request) => log.errorsOf(request))).toEqual([
    "error of 3",
    "unknown to 4",
    "failed in 5",
  ]);
  expect(log.errorsOf(6)).toBe(log.errors);
  expect(log.text).toBe("error of old\nerror of 3\nfine\nunknown to 4\nfailed in 5");
  expect(shown).toEqual(["error of old", "error of 3", "fine", "unknown to 4"]);
});

it("does not lose what was wrong to requests that write nothing", () => {
  const log = new LogTail(undefined);
  log.add("error of old\n");
  for (let request = 0; request < 1000; request++) log.add(`${logMark(request)}\n`);
  expect(log.errors).toBe("error of old");
});
