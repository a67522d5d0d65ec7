import type { ErrorText } from "./error-text.js";

const en = {
  "placeholder-executor": (f: { value: string }): ErrorText => ({ what: f.value, fix: "" }),
};

const fr: typeof en = {
  "placeholder-executor": (f) => ({ what: f.value, fix: "" }),
};

export const executorErrors = { en, fr };
