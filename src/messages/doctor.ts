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

/** The texts of `jauge doctor`. */
const textsEn = {
  description: "Measure how fast this machine is, for jauge plan and jauge run; takes under 30 seconds, once",
  options: {
    force: "measure again what is known already",
    threads: "CPU threads to measure with; those that jauge computes with where absent",
    model: "measure the tensor types of this model",
    json: "print one JSON object instead",
  },
  measuring: "measuring",
  places: { host: "processor" } as Record<string, string>,
  known: (f: { date: string }) => `measured ${f.date}; --force measures again`,
  failed: (f: { device: string; problem: string }) => `${f.device} was left out: ${f.problem}`,
  compiled: (f: { device: string; seconds: number }) =>
    `${f.device}: its driver compiled shaders for ${f.seconds} s, which it keeps for the next time`,
  disturbed: (f: { percent: number }) =>
    `other programs took ${f.percent} % of the processor meanwhile: the speeds are too low; measure again with --force when they are done`,
  headings: { host: "Processor", device: "Device", disk: "Disk" },
  fields: {
    memory: "reads memory at",
    attention: "attention",
    node: "one operation",
    multiply: "one multiplication",
    passes: "small operations",
    norm: "one norm of 2,048",
    rope: "RoPE of one head",
    toDevice: "copies to it at",
    toHost: "copies from it at",
    crossing: "one hand-over",
    runtime: "runtime takes",
    disk: "is read at",
    load: "draws under load",
  },
  attention: (f: { one: string; batch: string }) =>
    `${f.one} multiply-adds/s for one token, ${f.batch} for a batch`,
  copies: (f: { pinned: string; pageable: string }) => `${f.pinned}, from ordinary memory ${f.pageable}`,
  weights: "GB of weights per second, by rows",
  experts: "GB of experts per second, by rows of each",
  repacked: "repacked",
};

const textsFr: typeof textsEn = {
  description:
    "Mesure la vitesse de cette machine, pour jauge plan et jauge run ; moins de 30 secondes, une seule fois",
  options: {
    force: "mesure de nouveau ce qui est déjà connu",
    threads: "fils du processeur pour la mesure ; ceux avec lesquels jauge calcule à défaut",
    model: "mesure les types de tenseurs de ce modèle",
    json: "affiche un seul objet JSON à la place",
  },
  measuring: "mesure",
  places: { host: "processeur" },
  known: (f) => `mesuré le ${f.date} ; --force mesure de nouveau`,
  failed: (f) => `${f.device} est laissé de côté : ${f.problem}`,
  compiled: (f) =>
    `${f.device} : son pilote a compilé des shaders pendant ${f.seconds} s, qu'il garde pour la prochaine fois`,
  disturbed: (f) =>
    `d'autres programmes ont pris ${f.percent} % du processeur pendant ce temps : les vitesses sont trop basses ; mesurez de nouveau avec --force quand ils auront fini`,
  headings: { host: "Processeur", device: "Périphérique", disk: "Disque" },
  fields: {
    memory: "lit la mémoire à",
    attention: "attention",
    node: "une opération",
    multiply: "une multiplication",
    passes: "petites opérations",
    norm: "une norme de 2 048",
    rope: "RoPE d'une tête",
    toDevice: "copies vers lui à",
    toHost: "copies depuis lui à",
    crossing: "un passage",
    runtime: "l'exécution prend",
    disk: "se lit à",
    load: "consomme en charge",
  },
  attention: (f) => `${f.one} multiplications-additions/s pour un jeton, ${f.batch} pour un lot`,
  copies: (f) => `${f.pinned}, en mémoire ordinaire ${f.pageable}`,
  weights: "Go de poids par seconde, selon les lignes",
  experts: "Go d'experts par seconde, selon les lignes de chacun",
  repacked: "réarrangé",
};

export const doctorMessages = { en: textsEn, fr: textsFr };
