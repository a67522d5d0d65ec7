import type { ErrorText } from "./error-text.js";

const en = {
  "calibration-failed": (f: { device: string; reason: string }): ErrorText => ({
    what: `${f.device} could not be measured: ${f.reason}`,
    fix: "Update the device's driver, or leave the device out: jauge doctor --backend cpu.",
  }),
};

const fr: typeof en = {
  "calibration-failed": (f) => ({
    what: `${f.device} n'a pas pu être mesuré : ${f.reason}`,
    fix: "Mettez à jour le pilote du périphérique, ou laissez-le de côté : jauge doctor --backend cpu.",
  }),
};

export const doctorErrors = { en, fr };
