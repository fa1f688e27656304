// Globs over names of sections and paths of fields: `*` is any run of characters, `?` one, all else stands for itself.

/** Takes at most as many steps as glob and text are long, multiplied: a regular expression of many `.*` takes for ever. */
export function globMatcher(glob: string): (text: string) => boolean {
  return (text) => {
    let at = 0;
    let star = -1;
    let resume = 0;
    let i = 0;
    while (i < text.length) {
      if (glob[at] === "*") {
        star = at++;
        resume = i;
      } else if (at < glob.length && (glob[at] === "?" || glob[at] === text[i])) {
        at++;
        i++;
      } else if (star >= 0) {
        // The last star takes one character more.
        at = star + 1;
        i = ++resume;
      } else return false;
    }
    while (glob[at] === "*") at++;
    return at === glob.length;
  };
}

/** Whether a section is meant: by `idstr/instance`, or by the idstr alone. */
export function sectionMatcher(glob: string): (section: { idstr: string; instance: number }) => boolean {
  const matches = globMatcher(glob);
  return ({ idstr, instance }) => matches(`${idstr}/${instance}`) || matches(idstr);
}
