/** Of the package, as `--version` tells it; a test compares it with package.json. */
export const version = "0.1.0";
