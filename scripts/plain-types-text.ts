// The text of a declaration file without arguments that are the default.

/** `Uint8Array<ArrayBufferLike>` becomes `Uint8Array`, which means the same in every TypeScript. */
export function plainTypes(text: string): string {
  return text.replaceAll(/\b((?:Big)?(?:Ui|I)nt\d+(?:Clamped)?Array|Float\d+Array|DataView)<ArrayBufferLike>/g, "$1");
}
