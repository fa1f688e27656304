// The ranges of a new project's devDependencies. Written by the build, from this repository's manifests.
export const ranges: Readonly<Record<string, string>> = {
  "@changesets/cli": "^2.31.1",
  "@godwit/core": "^0.1.0",
  "@godwit/migration": "^0.1.0",
  "@godwit/testkit": "^0.1.0",
  "@godwit/transport": "^0.1.0",
  "@types/node": "^24",
  "fast-check": "^4.10.2",
  typescript: "^7.0.2",
  vitest: "^4.1.12",
};
