/** What `jauge plan` shows, and what budgets and saved plans say about themselves. */
const en = {
  description:
    "Say what will go where, what it will weigh and how fast it will run, before anything is loaded",
  model: "a GGUF file, its URL, or the config.json of an unconverted model; the embedded model where absent",
  helpNote: "Exit code 4 says that it does not fit.",
  expected: {
    vram: "a size with its unit (11.5GB is 10⁹ bytes each, 8GiB 2³⁰), 90% or free-512MiB, or these by device: 0=11.5GB,1=8GiB",
    ram: "a size with its unit (56GB is 10⁹ bytes each, 56GiB 2³⁰), 90% or free-2GiB",
    oneSize: "one size, or DEVICE=SIZE for each device (several sizes are cards, for jauge plan --what-if)",
    cards: (f: { item: string }) =>
      `for --what-if the sizes of cards with their units, 8GB,12GB,24GB ("${f.item}" is none), or otherwise one budget, or DEVICE=SIZE for each device`,
    once: "each device once",
    mix: "a quantisation mix, such as Q4_K_M",
  },
  clamped: (f: { device: string; asked: string; free: string }) =>
    `${f.device}: ${f.asked} allowed, but only ${f.free} are free`,
  saved: {
    contradiction: "does not go with the rest of the plan",
    otherThan: (f: { value: string; field: string; other: string }) =>
      `${f.value}, and ${f.field} is ${f.other}`,
    tooLarge: (limit: string) => `is larger than ${limit}`,
    model: "the model",
    version: "the version of llama.cpp",
    device: (name: string) => `the device ${name}`,
    none: "not there",
    written: (f: { path: string }) => `plan saved to ${f.path}`,
    notWritten: (f: { path: string }) => `${f.path} was not written: the plan does not fit`,
  },
  ram: "RAM",
  used: (f: { used: string; budget: string; unit: string }) => `${f.used} of ${f.budget} ${f.unit}`,
  vram: "VRAM",
  kinds: {
    attention: "attention",
    feedForward: "feed-forward",
    experts: "experts",
    output: "output",
    embedding: "embedding",
    other: "other weights",
    kv: "KV cache",
    compute: "compute",
    runtime: "runtime",
    shared: "used by devices",
    free: "free",
  },
  headings: {
    memory: "Memory",
    layers: (from: number, to: number) => `Layers ${from} to ${to}`,
    rows: (from: number, to: number) => `${from} to ${to}`,
    settings: "Settings",
    predicted: "Predicted",
    notes: "Notes",
    flags: "For llama.cpp",
    misfit: "It does not fit",
    alternatives: "What would fit",
  },
  origins: { measured: "measured here", profile: "from published figures", assumed: "assumed" },
  objectives: { chat: "for one chat", batch: "for a batch of prompts", context: "for a long context" },
  exactness: {
    measured: "bytes from the engine's own dry run",
    formula: "bytes from formulas: the device is not in this machine",
  },
  thisMachine: "this machine",
  hardware: (f: { name: string; origin: string }) => `${f.name}: speeds ${f.origin}`,
  between: { facts: " · ", clauses: "; " },
  withFlags: (f: { text: string; flags: string }) => `${f.text}: ${f.flags}`,
  modelLine: {
    parameters: (count: string) => `${count} parameters`,
    layers: (count: number) => (count === 1 ? "1 layer" : `${count} layers`),
    experts: (f: { used: number; count: number }) => `${f.used} of ${f.count} experts per token`,
  },
  strip: {
    all: "all",
    split: "on several",
    other: (list: string) => `outside the layers: ${list}`,
    at: (f: { kind: string; place: string }) => `${f.kind} ${f.place}`,
  },
  settings: {
    context: (tokens: string) => `context of ${tokens} tokens`,
    sequences: (count: string) => (count === "1" ? "1 sequence" : `${count} sequences`),
    microBatch: (tokens: string) => `micro-batch of ${tokens}`,
    kv: (f: { k: string; v: string }) => (f.k === f.v ? `KV cache ${f.k}` : `KV cache ${f.k}/${f.v}`),
    flashAttention: { auto: "flash attention auto", on: "flash attention", off: "no flash attention" },
    loadMode: {
      auto: "loaded as the device prefers",
      mmap: "mapped file",
      mlock: "locked in RAM",
      direct: "read past the page cache",
      read: "read into memory",
    },
    threads: (f: { one: string; batch: string }) =>
      f.one === f.batch
        ? f.one === "1"
          ? "1 thread"
          : `${f.one} threads`
        : `${f.one} threads, ${f.batch} for prompts`,
  },
  predicted: {
    prefill: "prefill",
    decode: "decode",
    firstToken: "first token",
    speed: (speed: string) => `${speed} tokens/s`,
    about: (speed: string) => `about ${speed} tokens/s`,
    forPrompt: (f: { time: string; tokens: string }) => `${f.time} after a prompt of ${f.tokens} tokens`,
  },
  tokens: (f: { tokens: string; sequences: string }) =>
    f.sequences === "1" ? `${f.tokens} tokens` : `${f.sequences} × ${f.tokens} tokens`,
  shortfall: (f: { device: string; needed: string; budget: string; missing: string; bytes: string }) =>
    `${f.device}: needs ${f.needed}, allowed are ${f.budget}: ${f.missing} missing (${f.bytes} bytes)`,
  whatIf: {
    card: (f: { size: string; device: string }) => `A card of ${f.size}, as fast as ${f.device}`,
    cards: (f: { tokens: string; device: string }) => `Cards as fast as ${f.device}, ${f.tokens} of context`,
    tokens: (tokens: string) => `${tokens} tokens`,
    fits: (f: { share: string; speed: string }) => `${f.share} %  ${f.speed}`,
    missing: (size: string) => `${size} missing`,
    legend: "Share of the weights on devices, and tokens/s of decoding; or what is missing.",
    legendWithoutDevices: "Tokens/s of decoding; or what is missing.",
    progress: (f: { done: number; all: number; cell: string }) => `planning ${f.done} of ${f.all}: ${f.cell}`,
  },
};

const fr: typeof en = {
  description: "Dire ce qui ira où, ce que cela pèsera et à quelle vitesse cela ira, avant de rien charger",
  model:
    "un fichier GGUF, son URL, ou le config.json d'un modèle non converti ; sans lui, le modèle embarqué",
  helpNote: "Le code de sortie 4 dit que cela ne tient pas.",
  expected: {
    vram: "une taille avec son unité (11,5GB : 10⁹ octets chacun, 8GiB : 2³⁰), 90% ou free-512MiB, ou l'une d'elles par périphérique : 0=11,5GB,1=8GiB",
    ram: "une taille avec son unité (56GB : 10⁹ octets chacun, 56GiB : 2³⁰), 90% ou free-2GiB",
    oneSize:
      "une seule taille, ou PÉRIPHÉRIQUE=TAILLE pour chacun (plusieurs tailles sont des cartes, pour jauge plan --what-if)",
    cards: (f) =>
      `pour --what-if les tailles des cartes avec leur unité, 8GB,12GB,24GB (« ${f.item} » n'en est pas une), ou sinon un seul budget, ou PÉRIPHÉRIQUE=TAILLE pour chacun`,
    once: "chaque périphérique une seule fois",
    mix: "un mélange de quantification, comme Q4_K_M",
  },
  clamped: (f) => `${f.device} : ${f.asked} permis, mais seuls ${f.free} sont libres`,
  saved: {
    contradiction: "ne s'accorde pas avec le reste du plan",
    otherThan: (f) => `${f.value}, et ${f.field} est ${f.other}`,
    tooLarge: (limit) => `dépasse ${limit}`,
    model: "le modèle",
    version: "la version de llama.cpp",
    device: (name) => `le périphérique ${name}`,
    none: "absent",
    written: (f) => `plan enregistré dans ${f.path}`,
    notWritten: (f) => `${f.path} n'a pas été écrit : le plan ne tient pas`,
  },
  ram: "RAM",
  used: (f) => `${f.used} sur ${f.budget} ${f.unit}`,
  vram: "VRAM",
  kinds: {
    attention: "attention",
    feedForward: "feed-forward",
    experts: "experts",
    output: "sortie",
    embedding: "embedding",
    other: "autres poids",
    kv: "cache KV",
    compute: "calcul",
    runtime: "exécution",
    shared: "pris par les GPU",
    free: "libre",
  },
  headings: {
    memory: "Mémoire",
    layers: (from, to) => `Couches ${from} à ${to}`,
    rows: (from, to) => `${from} à ${to}`,
    settings: "Réglages",
    predicted: "Prévision",
    notes: "Remarques",
    flags: "Pour llama.cpp",
    misfit: "Cela ne tient pas",
    alternatives: "Ce qui tiendrait",
  },
  origins: { measured: "mesurées ici", profile: "tirées de chiffres publiés", assumed: "supposées" },
  objectives: {
    chat: "pour une discussion",
    batch: "pour un lot d'invites",
    context: "pour un long contexte",
  },
  exactness: {
    measured: "octets d'après l'essai à vide du moteur",
    formula: "octets d'après les formules : le périphérique n'est pas dans cette machine",
  },
  thisMachine: "cette machine",
  hardware: (f) => `${f.name} : vitesses ${f.origin}`,
  between: { facts: " · ", clauses: " ; " },
  withFlags: (f) => `${f.text} : ${f.flags}`,
  modelLine: {
    parameters: (count) => `${count} de paramètres`,
    layers: (count) => (count === 1 ? "1 couche" : `${count} couches`),
    experts: (f) => `${f.used} experts sur ${f.count} par jeton`,
  },
  strip: {
    all: "tout",
    split: "sur plusieurs",
    other: (list) => `hors des couches : ${list}`,
    at: (f) => `${f.kind} ${f.place}`,
  },
  settings: {
    context: (tokens) => `contexte de ${tokens} jetons`,
    sequences: (count) => (count === "1" ? "1 séquence" : `${count} séquences`),
    microBatch: (tokens) => `micro-lot de ${tokens}`,
    kv: (f) => (f.k === f.v ? `cache KV ${f.k}` : `cache KV ${f.k}/${f.v}`),
    flashAttention: { auto: "flash attention auto", on: "flash attention", off: "sans flash attention" },
    loadMode: {
      auto: "chargé comme le préfère le périphérique",
      mmap: "fichier projeté",
      mlock: "fixé en RAM",
      direct: "lu sans le cache de pages",
      read: "lu en mémoire",
    },
    threads: (f) =>
      f.one === f.batch
        ? f.one === "1"
          ? "1 fil"
          : `${f.one} fils`
        : `${f.one} fils, ${f.batch} pour les invites`,
  },
  predicted: {
    prefill: "invite",
    decode: "réponse",
    firstToken: "premier jeton",
    speed: (speed) => `${speed} jetons/s`,
    about: (speed) => `environ ${speed} jetons/s`,
    forPrompt: (f) => `${f.time} après une invite de ${f.tokens} jetons`,
  },
  tokens: (f) => (f.sequences === "1" ? `${f.tokens} jetons` : `${f.sequences} × ${f.tokens} jetons`),
  shortfall: (f) =>
    `${f.device} : il faut ${f.needed}, permis : ${f.budget} ; il manque ${f.missing} (${f.bytes} octets)`,
  whatIf: {
    card: (f) => `Une carte de ${f.size}, aussi rapide que ${f.device}`,
    cards: (f) => `Des cartes aussi rapides que ${f.device}, contexte de ${f.tokens}`,
    tokens: (tokens) => `${tokens} jetons`,
    fits: (f) => `${f.share} %  ${f.speed}`,
    missing: (size) => `manque ${size}`,
    legend: "Part des poids sur les périphériques, et jetons/s de la réponse ; ou ce qui manque.",
    legendWithoutDevices: "Jetons/s de la réponse ; ou ce qui manque.",
    progress: (f) => `plan ${f.done} sur ${f.all} : ${f.cell}`,
  },
};

export const planViewMessages = { en, fr };
