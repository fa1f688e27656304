// Builds the documentation site.
export {};
