import { formatBytes, formatWhole } from "../units.js";
import type { ErrorText } from "./error-text.js";

const isBareNumber = (text: string) => /^\d+([.,]\d+)?$/.test(text);

const en = {
  "budget-invalid": (f: { option: string; value: string; expected: string }): ErrorText => ({
    what: isBareNumber(f.value)
      ? `${f.option} ${f.value}: a unit is missing`
      : `${f.option} "${f.value}" cannot be read as a budget`,
    fix: `Give ${f.option} ${f.expected}.`,
  }),
  "budget-device-unknown": (f: { option: string; device: string; known: string[] }): ErrorText => ({
    what: `${f.option}: there is no device ${f.device}`,
    fix: `Devices here: ${f.known.join(", ") || "none"}. Use an index or a name of these.`,
  }),
  "budget-card-missing": (f: { hardware: string }): ErrorText => ({
    what: `${f.hardware} has no card whose speed another size could be planned with`,
    fix: "Name a machine with one: --hardware NAME, such as --hardware rtx-3060-12gb.",
  }),
  "plan-file-invalid": (f: { path: string; field: string; problem: string }): ErrorText => ({
    what: `${f.path}: ${f.field}: ${f.problem}`,
    fix: "Make the file anew: jauge plan MODEL --save FILE.",
  }),
  "plan-changed": (f: { what: string; planned: string; found: string }): ErrorText => ({
    what: `The saved plan does not hold any more: ${f.what} was "${f.planned}" and is "${f.found}"`,
    fix: "Plan again: jauge plan MODEL --save FILE.",
  }),
  "plan-does-not-fit": (f: {
    model: string;
    shortfalls: ShortfallFacts[];
    alternatives: string[];
  }): ErrorText => ({
    what: [
      `${f.model} does not fit the budgets`,
      ...f.shortfalls.map(
        (one) =>
          `  ${placeName(one.device)}: needs ${formatBytes(one.neededBytes)} of ${formatBytes(one.budgetBytes)}, ` +
          `${formatBytes(one.missingBytes)} (${formatWhole(one.missingBytes)} bytes) too much`,
      ),
    ].join("\n"),
    fix: `Any of these would fit:${f.alternatives.map((text) => `\n  ${text}`).join("")}`,
  }),
  "plan-exceeded": (f: ExceededFacts): ErrorText => ({
    what:
      `${placeName(f.device)}: ${formatBytes(f.usedBytes)} were taken, ${formatBytes(f.plannedBytes)} planned, ` +
      `${formatBytes(f.budgetBytes)} allowed; the model was unloaded`,
    fix: "Raise the budget, or run jauge doctor --force to measure this machine again.",
  }),
};

export interface ShortfallFacts {
  device: string;
  neededBytes: number;
  budgetBytes: number;
  missingBytes: number;
}

export interface ExceededFacts {
  device: string;
  usedBytes: number;
  plannedBytes: number;
  budgetBytes: number;
}

function placeName(device: string): string {
  return device === "host" ? "RAM" : device;
}

const fr: { [Code in keyof typeof en]: (typeof en)[Code] } = {
  "budget-invalid": (f) => ({
    what: isBareNumber(f.value)
      ? `${f.option} ${f.value} : il manque une unité`
      : `${f.option} « ${f.value} » ne se lit pas comme un budget`,
    fix: `Donnez à ${f.option} ${f.expected}.`,
  }),
  "budget-device-unknown": (f) => ({
    what: `${f.option} : aucun périphérique ne s'appelle ${f.device}`,
    fix: `Périphériques d'ici : ${f.known.join(", ") || "aucun"}. Prenez-en un numéro ou un nom.`,
  }),
  "budget-card-missing": (f) => ({
    what: `${f.hardware} n'a pas de carte dont la vitesse vaudrait pour une autre taille`,
    fix: "Nommez une machine qui en a une : --hardware NOM, comme --hardware rtx-3060-12gb.",
  }),
  "plan-file-invalid": (f) => ({
    what: `${f.path} : ${f.field} : ${f.problem}`,
    fix: "Refaites le fichier : jauge plan MODÈLE --save FICHIER.",
  }),
  "plan-changed": (f) => ({
    what: `Le plan enregistré ne vaut plus : ${f.what} était « ${f.planned} » et est « ${f.found} »`,
    fix: "Refaites le plan : jauge plan MODÈLE --save FICHIER.",
  }),
  "plan-does-not-fit": (f) => ({
    what: [
      `${f.model} ne tient pas dans les budgets`,
      ...f.shortfalls.map(
        (one) =>
          `  ${placeName(one.device)} : il faut ${formatBytes(one.neededBytes)} sur ${formatBytes(one.budgetBytes)}, ` +
          `${formatBytes(one.missingBytes)} (${formatWhole(one.missingBytes)} octets) de trop`,
      ),
    ].join("\n"),
    fix: `Chacune de ces voies tiendrait :${f.alternatives.map((text) => `\n  ${text}`).join("")}`,
  }),
  "plan-exceeded": (f) => ({
    what:
      `${placeName(f.device)} : ${formatBytes(f.usedBytes)} ont été pris, ${formatBytes(f.plannedBytes)} prévus, ` +
      `${formatBytes(f.budgetBytes)} permis ; le modèle a été déchargé`,
    fix: "Relevez le budget, ou lancez jauge doctor --force pour mesurer la machine à nouveau.",
  }),
};

export const planErrors = { en, fr };
