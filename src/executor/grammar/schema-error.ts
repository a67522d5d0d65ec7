import { type ErrorFacts, JaugeError } from "../../errors.js";

/** Why a keyword is refused. */
export type SchemaProblem = ErrorFacts<"json-schema-unsupported">["problem"];

/** The error about one place in a schema. */
export function unsupported(path: string, keyword: string, problem: SchemaProblem): JaugeError {
  return new JaugeError("json-schema-unsupported", { path, keyword, problem });
}
