import type { Finding } from "../checks/finding.ts";
import type { Colours } from "./colour.ts";
import { printable } from "./text.ts";

/** A finding for people: what, how sure, and the evidence, indented below. */
export function describeFinding(finding: Finding, colours: Colours): string[] {
  const { severity, confidence, title, id, attack, evidence } = finding;
  const head = `${severity.toUpperCase()} (${confidence} confidence)`;
  return [
    `${colours.red(head)} ${printable(title)}`,
    `    ${id}  ${attack.join(" ")}`,
    ...Object.entries(evidence).map(([name, value]) => {
      const text = typeof value === "string" ? value : JSON.stringify(value);
      return `    ${name}: ${printable(text)}`;
    }),
  ];
}
