// Globs over names of sections and paths of fields: `*` is any run of characters, `?` one, all else stands for itself.

export function globMatcher(glob: string): (text: string) => boolean {
  const pattern = glob
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*")
    .replaceAll("?", ".");
  const expression = new RegExp(`^${pattern}$`, "s");
  return (text) => expression.test(text);
}

/** Whether a section is meant: by `idstr/instance`, or by the idstr alone. */
export function sectionMatcher(glob: string): (section: { idstr: string; instance: number }) => boolean {
  const matches = globMatcher(glob);
  return ({ idstr, instance }) => matches(`${idstr}/${instance}`) || matches(idstr);
}
