// What `verify --against` says.
import type { Terminal } from "../io/terminal.ts";
import type { AgainstReport, Reason } from "./against.ts";

export function printAgainst(
  { answer, reasons, doubts, notChecked }: AgainstReport,
  name: string,
  terminal: Terminal,
): void {
  const refused = answer === "refused";
  terminal.out(
    terminal.style(
      refused ? "red" : "green",
      refused ? `refused by ${name}, because` : `no reason found in ${name} to refuse it`,
    ),
  );
  for (const reason of reasons) printReason(reason, terminal);
  if (doubts.length > 0) terminal.out("perhaps:");
  for (const doubt of doubts) printReason(doubt, terminal);
  terminal.out("not checked:");
  for (const one of notChecked) terminal.out(`  ${one}`);
}

function printReason({ code, message, section, path, expected, found, remedy }: Reason, terminal: Terminal): void {
  terminal.out(`  section ${section}, field ${path}: ${message}: expected ${expected}, found ${found} (${code})`);
  terminal.out(`    ${remedy}`);
}
