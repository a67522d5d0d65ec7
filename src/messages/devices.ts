/** The texts of `jauge devices`. */
const en = {
  description: "Show what this machine computes with: devices, memory, processor and disk",
  json: "print one JSON object instead",
  headings: { devices: "Devices", host: "This machine" },
  columns: { name: "name", kind: "kind", description: "description", total: "total", free: "free" },
  kinds: {
    cpu: "processor",
    gpu: "card",
    "integrated-gpu": "integrated",
    accelerator: "accelerator",
    meta: "combined",
  },
  unified: "memory of the host",
  usedBy: "used by",
  unknownBytes: "unknown",
  process: (f: { name: string; pid: number; size: string }) => `${f.name || "?"} (${f.pid}) ${f.size}`,
  fields: { memory: "RAM", swap: "swap", processor: "processor", disk: "disk" },
  memory: (f: { available: string; total: string }) => `${f.available} available of ${f.total}`,
  swap: (f: { free: string; total: string }) => `${f.free} free of ${f.total}`,
  noSwap: "none",
  cores: (f: { physical: number; performance: number; logical: number; threads: number }) =>
    `${f.physical} cores${f.performance < f.physical ? `, ${f.performance} of them fast` : ""}, ${f.logical} hardware threads; computes with ${f.threads} threads`,
  quota: (f: { cores: string }) => `granted the time of ${f.cores} cores`,
  disk: (f: { free: string; path: string }) => `${f.free} free in ${f.path}`,
};

const fr: typeof en = {
  description: "Montre avec quoi cette machine calcule : périphériques, mémoire, processeur et disque",
  json: "écrire un seul objet JSON à la place",
  headings: { devices: "Périphériques", host: "Cette machine" },
  columns: { name: "nom", kind: "genre", description: "description", total: "total", free: "libre" },
  kinds: {
    cpu: "processeur",
    gpu: "carte",
    "integrated-gpu": "intégré",
    accelerator: "accélérateur",
    meta: "combiné",
  },
  unified: "mémoire de l'hôte",
  usedBy: "utilisé par",
  unknownBytes: "inconnu",
  process: (f) => `${f.name || "?"} (${f.pid}) ${f.size}`,
  fields: { memory: "RAM", swap: "échange", processor: "processeur", disk: "disque" },
  memory: (f) => `${f.available} disponibles sur ${f.total}`,
  swap: (f) => `${f.free} libres sur ${f.total}`,
  noSwap: "aucun",
  cores: (f) =>
    `${f.physical} cœurs${f.performance < f.physical ? `, dont ${f.performance} rapides` : ""}, ${f.logical} fils matériels ; calcule avec ${f.threads} fils`,
  quota: (f) => `temps accordé : ${f.cores} cœurs`,
  disk: (f) => `${f.free} libres dans ${f.path}`,
};

export const devicesMessages = { en, fr };
