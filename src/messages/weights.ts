import type { ErrorText } from "./error-text.js";

const en = {
  "weights-missing": (f: { path: string; tensor: string; architecture: string }): ErrorText => ({
    what: `${f.path}: has no tensor "${f.tensor}", which a ${f.architecture} model needs`,
    fix: "Download the missing weight files again, or check that config.json is of the same model.",
  }),
  "weights-unexpected": (f: {
    path: string;
    tensor: string;
    others: number;
    architecture: string;
  }): ErrorText => ({
    what: `${f.path}: "${f.tensor}"${f.others === 0 ? " has" : ` and ${f.others} more ${f.others === 1 ? "tensor" : "tensors"} have`} no place in a ${f.architecture} model`,
    fix: "Check that config.json is of the same model. If it is, this variant of the architecture is not known here.",
  }),
  "weights-shape": (f: { path: string; tensor: string; found: string; expected: string }): ErrorText => ({
    what: `${f.path}: "${f.tensor}" is [${f.found}], and the configuration says [${f.expected}]`,
    fix: "Check that config.json (params.json) is of the same model as the weights (vocab_size, hidden_size, heads), and that all files of the weights are there.",
  }),
  "weights-type": (f: { path: string; tensor: string; type: string }): ErrorText => ({
    what: `${f.path}: "${f.tensor}" holds ${f.type}, no floating-point weights`,
    fix: "Take the model's original weights (BF16, F16 or F32) rather than quantised ones.",
  }),
  "weights-quantised": (f: { path: string; method: string }): ErrorText => ({
    what: `${f.path}: its weights are quantised by "${f.method}"`,
    fix: "Take the model's original weights (BF16, F16 or F32): quantising them once gives a better model.",
  }),
};

const fr: typeof en = {
  "weights-missing": (f) => ({
    what: `${f.path} : le tenseur « ${f.tensor} », nécessaire à un modèle ${f.architecture}, est absent`,
    fix: "Téléchargez de nouveau les fichiers de poids manquants, ou vérifiez que config.json est du même modèle.",
  }),
  "weights-unexpected": (f) => ({
    what: `${f.path} : « ${f.tensor} »${f.others === 0 ? " n'a pas sa place" : ` et ${f.others} ${f.others === 1 ? "autre tenseur" : "autres tenseurs"} n'ont pas leur place`} dans un modèle ${f.architecture}`,
    fix: "Vérifiez que config.json est du même modèle. Si c'est le cas, cette variante de l'architecture n'est pas connue ici.",
  }),
  "weights-shape": (f) => ({
    what: `${f.path} : « ${f.tensor} » est [${f.found}], et la configuration dit [${f.expected}]`,
    fix: "Vérifiez que config.json (params.json) est du même modèle que les poids (vocab_size, hidden_size, têtes), et que tous les fichiers des poids sont là.",
  }),
  "weights-type": (f) => ({
    what: `${f.path} : « ${f.tensor} » contient du ${f.type}, pas des poids à virgule flottante`,
    fix: "Prenez les poids d'origine du modèle (BF16, F16 ou F32) plutôt que des poids quantifiés.",
  }),
  "weights-quantised": (f) => ({
    what: `${f.path} : ses poids sont quantifiés par « ${f.method} »`,
    fix: "Prenez les poids d'origine du modèle (BF16, F16 ou F32) : quantifiés une seule fois, ils donnent un meilleur modèle.",
  }),
};

/** What can be wrong with the weights of a model whose kind is known. */
export const weightsErrors = { en, fr };
