import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";

/** What a template wrote, or why it wrote nothing. */
export type TemplateOutcome =
  | { kind: "text"; text: string }
  /** The template raised an exception of its own about the conversation. */
  | { kind: "refused"; problem: string }
  /** The template has a mistake, or took too much time or memory. */
  | { kind: "invalid"; problem: string };

/** What to render, and how much it may write. */
export interface TemplateRequest {
  template: string;
  variables: Record<string, unknown>;
  maxCharacters: number;
}

/** Real templates take a millisecond and a few megabytes. */
const timeLimitMs = 5000;
const memoryLimitMegabytes = 128;
/** How long the process stays for the next template. */
const idleMs = 10_000;

/**
 * Renders a Jinja template in a small process of its own. Templates come with model files, so they are hostile: a loop
 * without end or without measure ends with that process. (A worker thread does not do: V8 ends the whole process when a
 * thread grows one array beyond its heap.) The process starts with the first template, in about 0.1 s, serves those that
 * follow, ends when it has been idle for a while, and does not keep this one alive.
 */
export function renderTemplate(request: TemplateRequest): Promise<TemplateOutcome> {
  const outcome = queue.then(() => renderAlone(request));
  queue = outcome;
  return outcome;
}

let queue: Promise<unknown> = Promise.resolve();
let idle: { child: ChildProcess; timer: NodeJS.Timeout } | undefined;

function renderAlone(request: TemplateRequest): Promise<TemplateOutcome> {
  const child = takeIdle() ?? startProcess();
  return new Promise((resolve) => {
    // The process stops itself at the time limit; this is for the built-in functions that it cannot interrupt.
    const timer = setTimeout(() => finish(tooSlow), timeLimitMs + 1000);
    const onMessage = (outcome: TemplateOutcome) => finish(outcome, true);
    const onExit = () => finish({ kind: "invalid", problem: `needs more than ${memoryLimitMegabytes} MB` });
    const onError = (error: Error) => finish({ kind: "invalid", problem: error.message });

    function finish(outcome: TemplateOutcome, reusable = false): void {
      clearTimeout(timer);
      child.off("message", onMessage).off("exit", onExit).off("error", onError);
      if (reusable) putIdle(child);
      else end(child);
      resolve(outcome);
    }

    child.ref();
    child.channel?.ref();
    child.once("message", onMessage).once("exit", onExit).once("error", onError);
    child.send(
      { ...request, timeLimitMs },
      (error) => error && finish({ kind: "invalid", problem: error.message }),
    );
  });
}

const tooSlow: TemplateOutcome = { kind: "invalid", problem: `not finished after ${timeLimitMs / 1000} s` };

function startProcess(): ChildProcess {
  const jinja = createRequire(import.meta.url).resolve("@huggingface/jinja");
  return spawn(
    process.execPath,
    [`--max-old-space-size=${memoryLimitMegabytes}`, "--input-type=commonjs", "-e", childSource, jinja],
    {
      stdio: ["ignore", "ignore", "ignore", "ipc"],
      env: { ...process.env, NODE_OPTIONS: "" },
      windowsHide: true,
    },
  );
}

function takeIdle(): ChildProcess | undefined {
  const child = idle?.child;
  clearTimeout(idle?.timer);
  idle = undefined;
  return child?.connected ? child : undefined;
}

function putIdle(child: ChildProcess): void {
  child.unref();
  child.channel?.unref();
  idle = { child, timer: setTimeout(() => end(child), idleMs).unref() };
}

function end(child: ChildProcess): void {
  child.on("error", () => {}); // it is not wanted any more, however it ends
  child.unref();
  child.channel?.unref();
  child.kill("SIGKILL");
}

/** Source text and not a file, so that it runs the same from sources and from a build. It ends with its parent. */
const childSource = `
const { Template } = require(process.argv[1]);
const { Script } = require("node:vm");

const script = new Script("renderRequest()");
let last = { template: undefined, parsed: undefined };

process.on("message", (request) => process.send(outcomeOf(request)));

function outcomeOf({ template, variables, maxCharacters, timeLimitMs }) {
  let refusal;
  const refuse = (problem) => {
    refusal = String(problem);
    throw new Error(refusal);
  };
  globalThis.renderRequest = () => {
    if (last.template !== template) last = { template, parsed: parse(template) };
    return last.parsed.render({ ...variables, refuse });
  };
  try {
    const text = script.runInThisContext({ timeout: timeLimitMs });
    return text.length <= maxCharacters
      ? { kind: "text", text }
      : { kind: "invalid", problem: "writes " + text.length + " characters" };
  } catch (error) {
    if (refusal !== undefined) return { kind: "refused", problem: refusal.slice(0, 500) };
    if (error && error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return ${JSON.stringify(tooSlow)};
    return { kind: "invalid", problem: String(error && error.message).slice(0, 500) };
  }
}

// The library's own raise_exception cannot be told from a mistake in the template.
function parse(template) {
  const parsed = new Template(template);
  parsed.parsed.body.unshift(...new Template("{% set raise_exception = refuse %}").parsed.body);
  return parsed;
}
`;
