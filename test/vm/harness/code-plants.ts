import { startIntruder } from "./intruder.ts";
import type { ProcessPlant } from "./process-plant.ts";

/** Code that came into a process while it ran, by programs that do it to themselves. */
export const codePlants: readonly ProcessPlant[] = [
  scenario(
    "injected_page",
    "injected-code",
    /"low".*no runtime that makes code is mapped.*rwxp.*c3c3/,
  ),
  scenario(
    "injected_waiter",
    "injected-code",
    /"high".*waits in a system call.*makes system calls.*b822000000/,
  ),
  scenario("injected_dormant", "injected-code", /makes system calls of its own.*6a225831ff0f05c3/),
  scenario("injected_program", "injected-code", /holds a whole program.*7f454c46/),
  scenario("injected_heap", "injected-code", /"medium".*it is the heap/),
  scenario("injected_stack", "injected-code", /it is the stack, which no mapped file asked for/),
  scenario("memory_library", "injected-code", /a library was loaded.*\/memfd:library/),
  scenario("changed_code", "changed-code", /intruder differs in its memory.*"seen":"e900000000/),
];

function scenario(name: string, check: string, says: RegExp): ProcessPlant {
  return {
    title: name.replaceAll("_", " "),
    check,
    says,
    plant: async ({ guest, kernel }) => (await startIntruder(guest, kernel, name)).end,
  };
}
