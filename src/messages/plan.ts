const en = {};

const fr: { [Code in keyof typeof en]: (typeof en)[Code] } = {};

export const planErrors = { en, fr };
