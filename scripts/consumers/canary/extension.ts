// `nodenext` wants a file's extension; a bundler does not.
// biome-ignore lint/correctness/useImportExtensions: that it is missing is what the compiler is to see
import { broken } from "./broken"; // error TS2834

export const again: unknown = broken;
