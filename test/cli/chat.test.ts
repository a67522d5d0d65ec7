import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { startCommand, Terminal, temporaryFolder } from "./harness.js";

const interrupt = "\x03";
const endOfInput = "\x04";

let terminal: Terminal | undefined;
afterEach(async () => {
  await terminal?.kill();
  terminal = undefined;
});

async function open(state: string, ...given: string[]): Promise<Terminal> {
  terminal = new Terminal(startCommand(...given), state);
  await terminal.sees(/\n> $/, 60_000);
  return terminal;
}

describe("npm start in a terminal", () => {
  it("greets, continues a story, shows its speed, and leaves", async () => {
    const chat = await open(temporaryFolder(), "--temp", "0", "-n", "40");
    expect(chat.text).toContain("It continues short stories");
    expect(chat.text).toContain("jauge run MODEL.gguf");
    const story = await chat.line("Once upon a time", /token limit/);
    expect(story).toContain(", there was a little girl named Lily. She loved to play");
    const stats = await chat.line("/stats", /memory RAM.*compute/);
    expect(stats).toMatch(/prompt +5 tokens/);
    expect(stats).toMatch(/generation +40 tokens +[\d.]+ tokens\/s/);
    chat.type("/exit\r");
    expect(await chat.exit()).toBe(0);
  });

  it("stops an answer at Ctrl-C and goes on; a second Ctrl-C at an empty prompt leaves", async () => {
    const chat = await open(temporaryFolder(), "--temp", "0", "--ignore-eos", "-c", "16000");
    chat.type("Once upon a time\r");
    await chat.sees(/there was/);
    chat.type(interrupt);
    await chat.sees(/\(interrupted\)\n> $/);
    chat.type("half a line");
    await chat.sees(/half a line$/);
    chat.type(interrupt);
    await chat.sees(/\n> $/);
    await chat.line("/set predict 5", /predict 5/);
    await chat.line("Lily", /token limit/);
    chat.type(interrupt);
    await chat.sees(/again to leave.*\n> $/);
    chat.type(interrupt);
    expect(await chat.exit()).toBe(0);
  });

  it("takes messages of several lines, typed, quoted and pasted, as one", async () => {
    const folder = temporaryFolder();
    const chat = await open(folder, "--temp", "0", "-n", "2");
    chat.type("one \\\r");
    await chat.sees(/… $/);
    await chat.line("two", /token limit/);
    chat.type('"""three\r');
    await chat.sees(/… $/);
    await chat.line('four"""', /token limit/);
    chat.type("\x1b[200~five\rsix\x1b[201~");
    await chat.sees(/six$/);
    await chat.line("", /token limit/);
    const path = join(folder, "conversation.json");
    await chat.line(`/save ${path}`, /6 messages saved/);
    const { messages } = JSON.parse(readFileSync(path, "utf8"));
    const asked = messages.filter(({ role }: { role: string }) => role === "user");
    expect(asked.map(({ content }: { content: string }) => content)).toEqual([
      "one \ntwo",
      "three\nfour",
      "five\nsix",
    ]);
    chat.type(endOfInput);
    expect(await chat.exit()).toBe(0);
  });

  it("carries out its commands, and survives their errors", async () => {
    const folder = temporaryFolder();
    const chat = await open(folder, "--temp", "0", "-n", "4");
    await chat.line("/help", /\/exit/);
    await chat.line("/nonsense", /no command \/nonsense/);
    await chat.line("/system You tell stories.", /is set/);
    await chat.line("/system", /You tell stories\./);
    await chat.line("/set temp warm", /expected a number/);
    await chat.line("/set warmth 3", /no setting "warmth"/);
    await chat.line("/set top_k 3", /top_k 3/);
    await chat.line("/set", /top-k +3[\s\S]*temp|temp[\s\S]*top-k +3/);
    await chat.line("/load /nowhere/at-all.json", /cannot be read/);
    const bad = join(folder, "bad.json");
    writeFileSync(bad, '{"version":1,"messages":[{"role":"pirate","content":"ahoy"}]}');
    await chat.line(`/load ${bad}`, /messages\.0\.role/);
    await chat.line("Once", /token limit/);
    const saved = join(folder, "saved.json");
    await chat.line(`/save ${saved}`, /3 messages saved/);
    await chat.line("/clear", /cleared/);
    await chat.line(`/load ${saved}`, /3 messages loaded/);
    await chat.line("/set grammar x", /grammar x/);
    await chat.line("Once", /grammar cannot be parsed/);
    await chat.line("/set grammar default", /grammar default/);
    await chat.line("Once", /token limit/);
    chat.type("/exit\r");
    expect(await chat.exit()).toBe(0);
  });

  it("says when the oldest turns no longer fit", async () => {
    const chat = await open(temporaryFolder(), "--temp", "0", "-n", "40", "-c", "128");
    await chat.line("Once upon a time", /token limit/);
    await chat.line("Then", /token limit/);
    await chat.line("And then", /oldest turns? (was|were) left out/);
    chat.type(endOfInput);
    expect(await chat.exit()).toBe(0);
  });

  it("keeps the lines typed for the next chat, for their owner only", async () => {
    const state = temporaryFolder();
    mkdirSync(join(state, "jauge"), { recursive: true });
    writeFileSync(join(state, "jauge", "history"), "/set temp 0.25\n", { mode: 0o644 });
    const chat = await open(state, "-n", "1");
    chat.type("\x1b[A"); // the arrow up
    await chat.sees(/\/set temp 0\.25/);
    await chat.line("", /temp 0\.25/);
    await chat.line("/set top-k 7", /top-k 7/);
    chat.type(endOfInput);
    expect(await chat.exit()).toBe(0);
    const history = join(state, "jauge", "history");
    expect(readFileSync(history, "utf8")).toBe("/set temp 0.25\n/set top-k 7\n");
    expect(statSync(history).mode & 0o777).toBe(0o600);
  });

  it("answers a first prompt and ends after one turn where asked to", async () => {
    const state = temporaryFolder();
    terminal = new Terminal(startCommand("-cnv", "-st", "-p", "Once", "-n", "3", "--temp", "0"), state);
    await terminal.sees(/token limit/, 60_000);
    expect(await terminal.exit()).toBe(0);
  });
});
