import { createInterface, type Interface } from "node:readline";
import { Writable } from "node:stream";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import { HistoryFile } from "./history-file.js";
import { MessageAssembler } from "./message-assembler.js";
import { note, styled } from "./terminal.js";

const { chat: texts } = localized(cliMessages);
const firstPrompt = styled(["bold", "green"], "> ");
const nextPrompt = styled("dim", "… ");

/**
 * The person's side of a chat: line editing, history, messages of several lines. While an answer is printed the
 * terminal stays in raw mode, so that Ctrl-C reaches this process as a key and nobody else as a signal; what is
 * typed meanwhile is not shown and comes next.
 */
export class ChatInput {
  /** Called for Ctrl-C while an answer is printed. */
  onInterrupt: () => void = () => {};
  private readonly lines: Interface;
  private readonly screen = new Screen();
  private readonly assembler = new MessageAssembler();
  private readonly history = new HistoryFile();
  private readonly ready: string[] = [];
  private waiting: ((message: string | undefined) => void) | undefined;
  private isClosed = false;
  private isPasting = false;
  private wasInterrupted = false;

  constructor() {
    this.lines = createInterface({
      input: process.stdin,
      output: this.screen as unknown as NodeJS.WritableStream,
      terminal: true,
      prompt: firstPrompt,
      history: [...this.history.lines].reverse(),
      historySize: 1000,
      removeHistoryDuplicates: true,
    });
    this.lines.on("line", (line) => this.onLine(line));
    this.lines.on("SIGINT", () => this.onControlC());
    this.lines.on("close", () => this.onClose());
    process.stdin.on("keypress", (_, key: { name?: string } | undefined) => {
      if (key?.name === "paste-start") this.isPasting = true;
      if (key?.name === "paste-end") this.isPasting = false;
    });
    process.stdout.write(bracketedPaste.on);
    process.once("exit", () => process.stdout.write(bracketedPaste.off));
  }

  /** The next message; undefined when the person left. */
  async next(): Promise<string | undefined> {
    const message = this.ready.shift();
    if (message !== undefined || this.isClosed) return message;
    this.screen.isMuted = false;
    this.showPrompt();
    const next = await new Promise<string | undefined>((resolve) => {
      this.waiting = resolve;
    });
    this.screen.isMuted = true;
    return next;
  }

  close(): void {
    this.lines.close();
  }

  private onLine(line: string): void {
    this.wasInterrupted = false;
    this.history.add(line);
    const message = this.assembler.add(line, this.isPasting);
    if (message === undefined) this.showPrompt();
    else this.give(message);
  }

  private give(message: string): void {
    const { waiting } = this;
    this.waiting = undefined;
    if (waiting) waiting(message);
    else this.ready.push(message);
  }

  private onControlC(): void {
    if (!this.waiting) {
      this.ready.length = 0;
      this.forgetTyped();
      this.onInterrupt();
      return;
    }
    const isEmpty = this.lines.line === "" && !this.assembler.isOpen;
    if (isEmpty && this.wasInterrupted) {
      this.lines.close();
      return;
    }
    this.wasInterrupted = isEmpty;
    this.forgetTyped();
    process.stdout.write("\n");
    if (isEmpty) note(texts.pressAgain);
    this.showPrompt();
  }

  private forgetTyped(): void {
    this.assembler.clear();
    this.lines.write(null, { ctrl: true, name: "e" });
    this.lines.write(null, { ctrl: true, name: "u" });
  }

  private showPrompt(): void {
    this.lines.setPrompt(this.assembler.isOpen ? nextPrompt : firstPrompt);
    this.lines.prompt(true);
  }

  private onClose(): void {
    this.isClosed = true;
    process.stdout.write(bracketedPaste.off);
    if (this.waiting) process.stdout.write("\n");
    this.waiting?.(undefined);
    this.waiting = undefined;
  }
}

/** Asks the terminal to mark what is pasted (xterm's mode 2004). */
const bracketedPaste = { on: "\x1b[?2004h", off: "\x1b[?2004l" };

/** Standard output as readline sees it, which can be silenced while an answer is printed. */
class Screen extends Writable {
  isMuted = true;
  readonly isTTY = true;

  constructor() {
    super({ decodeStrings: false });
    process.stdout.on("resize", () => this.emit("resize"));
  }

  get columns(): number {
    return process.stdout.columns;
  }

  get rows(): number {
    return process.stdout.rows;
  }

  override _write(chunk: string, _encoding: BufferEncoding, done: () => void): void {
    if (!this.isMuted) process.stdout.write(chunk);
    done();
  }
}
