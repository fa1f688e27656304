// Commands by name and by number.
import { commands } from "@godwit/core/stream";
import { CliFault } from "../faults.ts";
import { hintOf, nearest } from "../model/nearest.ts";

/** As the wire reference names it; a number where nothing does. */
export const commandName = (command: number): string => commands[command]?.name ?? `0x${command.toString(16)}`;

/** A command's number from its name or number. Exit 2 where it is none. */
export function commandOf(text: string): number {
  const number = Number(text);
  if (text.trim() !== "" && Number.isInteger(number) && number >= 0 && number <= 0xffff) return number;
  const names = Object.entries(commands).map(([key, { name }]) => [name, Number(key)] as const);
  const found = names.find(([name]) => name === text.toUpperCase());
  if (found !== undefined) return found[1];
  const hint = hintOf(
    nearest(
      text.toUpperCase(),
      names.map(([name]) => name),
    ),
  );
  throw new CliFault("EDIT_COMMAND_UNKNOWN", `there is no command ${text}`, { exit: 2, hint });
}
