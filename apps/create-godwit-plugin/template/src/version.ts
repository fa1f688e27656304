// This package's version, as package.json has it: `version-packages` writes both.
export const version = "0.1.0";
