import { JaugeError } from "../errors.js";
import type { Connection } from "./connection.js";
import type { Answers, Asks, RequestName } from "./protocol.js";
import { Tokenizer } from "./tokenizer.js";

/** What a host process has loaded, and a new one loads again where that has died. */
export abstract class Hosted extends Tokenizer {
  protected restarting: Promise<void> | undefined;
  private isClosed = false;

  protected constructor(protected connection: Connection) {
    super();
  }

  /** Starts a host for the same, with nothing loaded yet. */
  protected abstract connectAgain(): Connection;
  protected abstract loadAgain(connection: Connection): Promise<void>;

  /** Process that holds the memory. */
  get processId(): number | undefined {
    return this.connection.processId;
  }

  /**
   * Starts a new host where the present one has died, or where `force` says that it must end. All calls that it died under
   * share one new host.
   */
  restart({ force = false } = {}): Promise<void> {
    this.restarting ??= this.startAgain(force).finally(() => {
      this.restarting = undefined;
    });
    return this.restarting;
  }

  /** Ends the host; all its memory is free when this resolves. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.connection.close();
  }

  protected ask<Name extends RequestName>(name: Name, asks: Asks<Name>): Promise<Answers<Name>> {
    return this.connection.ask(name, asks);
  }

  private async startAgain(force: boolean): Promise<void> {
    if (this.isClosed) throw new JaugeError("host-closed", {});
    if (this.connection.isOpen && !force) return;
    if (this.connection.isOpen) this.connection.kill();
    await this.connection.closed;
    const connection = this.connectAgain();
    this.connection = connection;
    await this.loadAgain(connection);
    // Closed while the new host was loading: it must not outlive us.
    if (this.isClosed) await connection.close();
  }
}
