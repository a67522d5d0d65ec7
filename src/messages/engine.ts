import type { ErrorText } from "../errors.js";

const en = {
  "placeholder-engine": (f: { value: string }): ErrorText => ({ what: f.value, fix: "" }),
};

const fr: typeof en = {
  "placeholder-engine": (f) => ({ what: f.value, fix: "" }),
};

export const engineErrors = { en, fr };
