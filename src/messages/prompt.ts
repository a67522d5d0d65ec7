import type { ErrorText } from "../errors.js";

const en = {
  "placeholder-prompt": (f: { value: string }): ErrorText => ({ what: f.value, fix: "" }),
};

const fr: typeof en = {
  "placeholder-prompt": (f) => ({ what: f.value, fix: "" }),
};

export const promptErrors = { en, fr };
