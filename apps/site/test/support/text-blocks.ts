// Blocks of text that are no program's output: the test that reads them from their page.
export const textBlocks: readonly {
  readonly page: string;
  readonly begins: string;
  readonly runBy: readonly [string, string];
}[] = [
  {
    page: "apps/cli/README.md",
    begins: '{"execute": ',
    runBy: ["apps/interop/test/live-vault-readme.test.ts", "startsWith('{\"execute\"')"],
  },
];
