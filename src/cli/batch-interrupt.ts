import { batchMessages } from "../messages/batch-view.js";
import { localized } from "../messages/locale.js";
import type { Model } from "../model.js";
import { commandAgain } from "./command-again.js";
import { exitCodes } from "./errors.js";

const texts = localized(batchMessages);

/** Everything must be written and left by then, whatever the engine is at. */
const mostMs = 1800;
/** How long the engine may take to end by itself. */
const closeMs = 200;

/**
 * Ctrl-C and SIGTERM: the first asks the job to keep what runs and to end, which takes two seconds at most; the second
 * ends the process at once. What is written is whole either way.
 */
export class Interrupt {
  private readonly controller = new AbortController();
  private readonly onSignal = () => {
    if (this.signal.aborted) process.exit(exitCodes.interrupted);
    setTimeout(() => process.exit(exitCodes.interrupted), mostMs).unref();
    this.controller.abort();
  };

  constructor() {
    process.on("SIGINT", this.onSignal).on("SIGTERM", this.onSignal);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** How to go on. */
  continueText(): string[] {
    return [texts.interrupted, `  ${commandAgain()}`];
  }

  /** Ends the process; a step of the engine that is under way is not waited for. */
  async leave(model: Model | undefined): Promise<never> {
    if (model) {
      const late = new Promise((resolve) => setTimeout(resolve, closeMs));
      await Promise.race([model.close().catch(() => {}), late]);
    }
    // The engine's process ends with its channel to this one.
    process.exit(exitCodes.interrupted);
  }

  done(): void {
    process.off("SIGINT", this.onSignal).off("SIGTERM", this.onSignal);
  }
}
