import type { ErrorText } from "./error-text.js";

const en = {
  "placeholder-cli-errors": (f: { value: string }): ErrorText => ({ what: f.value, fix: "" }),
};

const fr: typeof en = {
  "placeholder-cli-errors": (f) => ({ what: f.value, fix: "" }),
};

export const cliErrors = { en, fr };
