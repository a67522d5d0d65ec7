import { isJaugeError } from "../src/errors.js";

/** Mesa's software device crashes now and then in its own threads, which the engine says: then all starts anew. */
export async function retried<Result>(work: () => Promise<Result>, attempts = 8): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isJaugeError(error, "host-crashed") || attempt === attempts) throw error;
    }
  }
}
