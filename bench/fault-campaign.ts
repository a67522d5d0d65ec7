import { type ChildProcess, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seeded } from "../test/gguf/random.js";
import { leadAtParting, leadsOf, nearTie, withAlternatives } from "./near-ties.js";
import { mount, remount, unmount } from "./small-disk.js";

/** What is done to a job while it runs. */
export const faults = ["kill-job", "kill-host", "torn-lines", "interrupt", "disk-full"] as const;
export type Fault = (typeof faults)[number];

export interface CampaignOptions {
  /** `dist/cli/main.js`, and the embedded model. */
  command: string;
  model: string;
  runs: number;
  seed: number;
  /** Faults to take turns with. */
  kinds: readonly Fault[];
  /** Requests of the job. */
  requests: number;
  onRun?: (report: RunReport) => void;
}

export interface RunReport {
  fault: Fault;
  /** Times the job was started until it was complete. */
  starts: number;
  /** Results that were there before the last start. */
  finishedBefore: number;
  /** From the signal to the end of the process, where one was asked to end. */
  leaveMs?: number;
  /** Answers that part from the undisturbed run's at a near tie: by how much the expected token led, in nats. */
  nearTies: number[];
  /** What is wrong with the output; none is what is expected. */
  problems: string[];
}

/** Answers should not depend on how micro-batches round: the KV cache is f32, and all is greedy. */
const settings = ["--temp", "0", "-ctk", "f32", "-ctv", "f32", "-np", "8", "-c", "512", "--threads", "1"];
const environment = { ...process.env, LC_ALL: "C", JAUGE_BACKEND: "cpu", NO_COLOR: "1" };

/**
 * Runs one job again and again, each time with another fault at a random point, until it is complete; then holds its
 * output against that of an undisturbed run: each `custom_id` exactly once, with the same result, or one that parts from
 * it where two tokens are as probable.
 */
export async function campaign(options: CampaignOptions): Promise<RunReport[]> {
  const random = seeded(options.seed);
  const folder = mkdtempSync(join(tmpdir(), "jauge-faults-"));
  try {
    const input = join(folder, "in.jsonl");
    const lines = requestLines(options.requests, random);
    writeFileSync(input, lines.join("\n"));
    const jobOf = (file: string) => (output: string) => [
      ...[options.command, "batch", file, "-o", output, "-m", options.model, ...settings],
    ];
    const command = jobOf(input);
    const undisturbed = join(folder, "undisturbed.jsonl");
    const start = performance.now();
    await ended(startJob(command(undisturbed)));
    const wholeMs = performance.now() - start;
    const expected = resultsOf(undisturbed).results;
    let leads: ReturnType<typeof leadsOf> | undefined;
    /** Asked for where an answer differs, which is rare. */
    const findLeads = async () => {
      if (!leads) {
        const asking = join(folder, "asking.jsonl");
        writeFileSync(asking, withAlternatives(lines).join("\n"));
        await ended(startJob(jobOf(asking)(join(folder, "asked.jsonl"))));
        leads = leadsOf(join(folder, "asked.jsonl"));
      }
      return leads;
    };
    const reports: RunReport[] = [];
    for (let run = 0; run < options.runs; run++) {
      const fault = options.kinds[run % options.kinds.length]!;
      const place = join(folder, `run-${run}`);
      const report = await disturbed({ fault, place, command, random, wholeMs, expected, findLeads });
      rmSync(place, { recursive: true, force: true });
      options.onRun?.(report);
      reports.push(report);
    }
    return reports;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Disturbed {
  fault: Fault;
  place: string;
  command: (output: string) => string[];
  random: () => number;
  /** What an undisturbed run takes. */
  wholeMs: number;
  expected: ReadonlyMap<string, Result>;
  findLeads: () => Promise<ReturnType<typeof leadsOf>>;
}

interface Result {
  /** All that must be the same, as JSON. */
  content: string;
  /** What was answered. */
  text: string;
}

const mostStarts = 30;
/** What a job may end with where this is done to it. */
const ownStatuses: Partial<Record<Fault, number>> = { interrupt: 130, "kill-host": 5 };

async function disturbed({
  fault,
  place,
  command,
  random,
  wholeMs,
  expected,
  findLeads,
}: Disturbed): Promise<RunReport> {
  mkdirSync(place);
  const output = join(place, "out.jsonl");
  const report: RunReport = { fault, starts: 0, finishedBefore: 0, nearTies: [], problems: [] };
  const disturbances = 1 + Math.floor(random() * 3);
  if (fault === "disk-full") mount(place, `${12 + 4 * Math.floor(random() * 6)}k`);
  try {
    for (let status: number | null = -1; status !== 0; ) {
      if (report.starts === mostStarts) throw new Error("it never ends");
      report.finishedBefore = existsSync(output) ? resultsOf(output).whole : 0;
      const isDisturbed = report.starts++ < disturbances;
      const job = startJob(command(output));
      const done = ended(job);
      if (fault === "disk-full") {
        status = await done;
        if (status !== 0 && status !== 3)
          report.problems.push(`status ${status} on a full disk: ${logOf(job)}`);
        if (status !== 0) remount(place, report.starts < 3 ? `${24 + 12 * report.starts}k` : "64m");
        continue;
      }
      if (isDisturbed) {
        // At any time, the load included; or when so many results are there.
        const isByTime = random() < 0.4;
        const moment = isByTime
          ? pause(wholeMs * 0.8 * random())
          : reached(output, expected.size * random(), job);
        await Promise.race([done, moment]);
        const leave = performance.now();
        disturb(job, fault);
        status = await done;
        if (fault === "interrupt" && status === 130) report.leaveMs = performance.now() - leave;
        if (fault === "torn-lines") {
          tear(output, random);
          // What is torn is not complete, also where the job was.
          status = null;
        }
      } else status = await done;
      // Before the model is loaded, the death of its process ends the job.
      const isExpected = status === 0 || status === null || (isDisturbed && status === ownStatuses[fault]);
      if (!isExpected) report.problems.push(`status ${status}: ${logOf(job)}`);
    }
    await judge(report, resultsOf(output), expected, findLeads);
    const left = readdirSync(place).filter((name) => name !== "out.jsonl" && name !== "out.jsonl.job.json");
    if (left.length > 0) report.problems.push(`left behind: ${left.join(", ")}`);
  } catch (error) {
    report.problems.push(String(error));
  } finally {
    if (fault === "disk-full") unmount(place);
  }
  return report;
}

function disturb(job: ChildProcess, fault: Fault): void {
  if (job.exitCode !== null || job.pid === undefined) return;
  if (fault === "interrupt") job.kill("SIGINT");
  else if (fault !== "kill-host") job.kill("SIGKILL");
  else for (const child of childrenOf(job.pid)) kill(child);
}

/** What a crash of the system may leave: the end of the last lines gone, or never written. */
function tear(output: string, random: () => number): void {
  if (!existsSync(output)) return;
  const { size } = statSync(output);
  const cut = Math.min(size, Math.floor(random() * 700));
  truncateSync(output, size - cut);
  if (random() < 0.5) writeFileSync(output, Buffer.alloc(Math.floor(random() * 100)), { flag: "a" });
  const partial = `${output}.partial`;
  if (existsSync(partial)) truncateSync(partial, Math.floor(statSync(partial).size * random()));
}

/** Adds to a report what is wrong with these results, and which are right though they differ. */
async function judge(
  { problems, nearTies }: RunReport,
  { results, repeated, whole }: ReturnType<typeof resultsOf>,
  expected: Disturbed["expected"],
  findLeads: Disturbed["findLeads"],
): Promise<void> {
  problems.push(...repeated.map((id) => `${id} is there twice`));
  for (const [id, wanted] of expected) {
    const found = results.get(id);
    if (found === undefined) problems.push(`${id} is missing`);
    else if (found.content !== wanted.content) {
      const lead = leadAtParting((await findLeads()).get(id) ?? [], wanted.text, found.text);
      if (lead !== undefined && lead <= nearTie) nearTies.push(lead);
      else
        problems.push(
          `${id} differs: ${found.content} instead of ${wanted.content}; the token led by ${lead}`,
        );
    }
  }
  if (problems.length === 0 && whole !== expected.size) problems.push(`${whole} results`);
}

/** Resolves when the output has this many lines, or the job has ended. */
async function reached(output: string, lines: number, job: ChildProcess): Promise<void> {
  while (job.exitCode === null && job.signalCode === null) {
    if (existsSync(output) && readFileSync(output, "latin1").split("\n").length - 1 >= lines) return;
    await pause(5);
  }
}

/** What each line answers, without times and probabilities: their last digits depend on what runs beside them. */
function resultsOf(path: string): { results: Map<string, Result>; repeated: string[]; whole: number } {
  const results = new Map<string, Result>();
  const repeated: string[] = [];
  let whole = 0;
  for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) {
    whole++;
    const { custom_id: id, response, error } = JSON.parse(line);
    const key = error?.code === "line-duplicate-id" ? `${id} (line ${error.line})` : id;
    if (results.has(key)) repeated.push(key);
    const { prompt_tokens, completion_tokens } = response?.body.usage ?? {};
    const { logprobs, ...choice } = response?.body.choices[0] ?? {};
    results.set(key, {
      content: JSON.stringify([error, choice, logprobs?.tokens, prompt_tokens, completion_tokens]),
      text: choice.text ?? choice.message?.content ?? "",
    });
  }
  return { results, repeated, whole };
}

const beginnings = [
  "Once upon a time",
  "Lily and Tom went to the park. They",
  "The old cat",
  "One day, a bird",
];

function requestLines(count: number, random: () => number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const text = beginnings[index % beginnings.length]!;
    const max_tokens = 4 + Math.floor(random() ** 2 * 240);
    if (index % 11 === 10) return "{ no JSON";
    if (index % 13 === 12) return JSON.stringify({ custom_id: "request-0", prompt: "again" });
    if (index % 3 === 0) return JSON.stringify({ custom_id: `request-${index}`, prompt: text, max_tokens });
    const body = { model: "any", prompt: `${text} ${"and ".repeat(index % 7)}`, max_tokens, logprobs: 1 };
    if (index % 3 === 1) delete (body as { logprobs?: number }).logprobs;
    return JSON.stringify({ custom_id: `request-${index}`, method: "POST", url: "/v1/completions", body });
  });
}

const logs = new WeakMap<ChildProcess, string[]>();

function startJob(command: string[]): ChildProcess {
  const job = spawn(process.execPath, command, { stdio: ["ignore", "ignore", "pipe"], env: environment });
  const log: string[] = [];
  logs.set(job, log);
  job.stderr!.setEncoding("utf8").on("data", (text: string) => log.push(text));
  return job;
}

function logOf(job: ChildProcess): string {
  return (logs.get(job) ?? []).join("").slice(-500);
}

function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("close", (code) => resolve(code)));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
      } catch {
        return false;
      }
    });
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It was gone already.
  }
}
