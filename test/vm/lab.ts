import { openConsole, waitForLogin } from "../../src/vm/console-link.ts";
import type { ConsoleLink } from "../../src/vm/console-link.ts";
import { createVm, deleteVm, listVms, openVm, startVm, stopVm } from "../../src/vm/guest-vm.ts";
import type { CreateOptions } from "../../src/vm/vm-create.ts";
import { kvmsec } from "./command-line.ts";
import type { CommandResult } from "./command-line.ts";
import { testHome } from "./golden-image.ts";
import type { TestHome } from "./golden-image.ts";

const BOOT_MS = 600_000;

/** A VM of kvmsec in a home of its own, which is KVMSEC_HOME, with somebody at its console. */
export class Lab implements AsyncDisposable {
  readonly home: TestHome;
  readonly name: string;

  private constructor(home: TestHome, name: string) {
    this.home = home;
    this.name = name;
  }

  /** Makes the VM and waits until it offers a login. */
  static async boot(name: string, options: Partial<CreateOptions> = {}): Promise<Lab> {
    const home = await testHome();
    process.env["KVMSEC_HOME"] = home.root;
    const lab = new Lab(home, name);
    try {
      await createVm(name, { image: home.image, memoryBytes: 512 * 2 ** 20, ...options }, home);
      await startVm(name, {}, home);
      using link = await openConsole(lab.vm, home);
      await waitForLogin(link, name, BOOT_MS);
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  get vm() {
    return openVm(this.name, this.home);
  }

  get pid(): number {
    return this.vm.run?.pid ?? 0;
  }

  /** Runs kvmsec as a user would. */
  run(...args: string[]): Promise<CommandResult> {
    return kvmsec(this.home.root, ...args);
  }

  /** Types a line at the console and returns what is printed between two marks that frame its output. */
  async type(line: string): Promise<string> {
    using link = await openConsole(this.vm, this.home);
    // The marks are typed in two halves, so that the echo of what was typed holds none.
    const said = between(link, "<<kv:", ":kv>>");
    link.write(`echo '<<''kv:'; ${line}; echo ':kv''>>'\r`);
    // The kernel speaks on the same line whenever it likes.
    return (await said).replaceAll(/^\[ *\d+\.\d+\] .*\n/gm, "").trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endVms(this.home);
    this.home[Symbol.dispose]();
  }
}

/** Ends and deletes every VM of a home. */
export async function endVms(home: TestHome): Promise<void> {
  for (const { name, run } of listVms(home)) {
    if (run !== undefined) await stopVm(name, { force: true }, home);
    await deleteVm(name, home);
  }
}

function between(link: ConsoleLink, open: string, close: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = "";
    link.onOutput((bytes) => {
      seen += Buffer.from(bytes).toString().replaceAll("\r", "");
      const end = seen.indexOf(close);
      if (end >= 0) resolve(seen.slice(seen.indexOf(open) + open.length, end));
    });
    void link.ended.then(() => reject(new Error(`the guest ended after: ${seen}`)));
  });
}
