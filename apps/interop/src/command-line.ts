// The machine that a supplied stream loads into, from the command line that it was saved under.

/** Options that a guest that goes on from a stream does not need, or that the runner gives itself; each has one value. */
const dropped = new Set(["-kernel", "-initrd", "-append", "-qmp", "-incoming", "-L"]);

/** Shell words, where only single quotes quote. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ""));
}

/** The options behind the binary's name, with `SERIAL` where the serial line went. `-S` is the runner's choice. */
export function machineOptions(commandLine: string): string[] {
  const given = words(commandLine).slice(1);
  const kept: string[] = [];
  for (let i = 0; i < given.length; i++) {
    const word = given[i] as string;
    if (dropped.has(word)) i++;
    else if (word !== "-S") kept.push(word.replace(/path=[^,]*serial$/, "path=SERIAL"));
  }
  return kept;
}
