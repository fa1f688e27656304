// The version of this package, as package.json has it; the release script writes both.
export const version = "0.1.0";
