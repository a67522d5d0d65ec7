import type { ErrorText } from "../errors.js";

const en = {
  "file-unreadable": (f: { path: string; reason: string }): ErrorText => ({
    what: `${f.path}: cannot be read (${f.reason})`,
    fix: "Check the path and that you may read the file.",
  }),
  "gguf-malformed": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${f.path}: ${f.field}: ${f.problem}`,
    fix: "The file is damaged or was not written as GGUF. Download or convert it again.",
  }),
};

const fr: typeof en = {
  "file-unreadable": (f) => ({
    what: `${f.path} : lecture impossible (${f.reason})`,
    fix: "Vérifiez le chemin et vos droits de lecture sur le fichier.",
  }),
  "gguf-malformed": (f) => ({
    what: `${f.path} : ${f.field} : ${f.problem}`,
    fix: "Le fichier est abîmé ou n'est pas un GGUF correct. Téléchargez-le ou convertissez-le de nouveau.",
  }),
};

export const ggufErrors = { en, fr };
