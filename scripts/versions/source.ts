// `repository` of a manifest.

/** The manifest's text with the repository and the package's folder in it; one that has a repository stays as it is. */
export function withSource(text: string, url: string, directory: string): string {
  const manifest = JSON.parse(text) as Record<string, unknown>;
  if (manifest["repository"] !== undefined) return text;
  return `${JSON.stringify({ ...manifest, repository: { type: "git", url, directory } }, undefined, 2)}\n`;
}
