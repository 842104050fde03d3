import type { GuestVirtual } from "../base/address.ts";
import { CredentialRecords } from "../linux/credential-record.ts";
import { CredentialsDecoder } from "../linux/credentials.ts";
import type { Credentials } from "../linux/credentials.ts";
import type { Kernel } from "../linux/kernel.ts";
import { SlabOwners } from "../linux/slab.ts";
import { Tasks } from "../linux/task.ts";
import type { Check } from "./check.ts";
import type { Json } from "./finding.ts";
import { userThreads } from "./user-facts.ts";
import type { UserThread } from "./user-facts.ts";

/** SECURE_ALL_BITS | SECURE_ALL_LOCKS, with the four of 6.14 (include/uapi/linux/securebits.h). */
const SECUREBITS = 0xfff;
/** create_user_ns (kernel/user_namespace.c) lets them nest 33 deep. */
const MAX_NAMESPACES = 34;

/** Every set of credentials is one that the kernel's own functions can have made. */
export const forgedCredentials: Check = {
  id: "forged-credentials",
  proves:
    "No thread's credentials contradict themselves: their account and counters belong to their uid and user namespace, their capability sets are within each other and exist, and the memory and the references are those that the kernel gives them.",
  reads: "struct cred of every thread, its user_struct, ucounts, user namespace and slab page",
  attack: ["T1014", "T1548", "T1068"],
  shares: ["credentials"],
  limits:
    "Credentials that were made by the kernel's own functions at an intruder's wish are consistent; root-without-cause looks at those.",
  run(context) {
    const { kernel, facts } = context;
    const { rows, problems } = facts.get(userThreads);
    for (const problem of problems) context.unseen(problem);
    const judge = new Judge(kernel);
    const initCred = kernel.symbol("init_cred");
    let looked = 0;
    for (const [cred, holders] of byCredentials(rows)) {
      looked++;
      // Whoever carries the kernel's own is told by shared-credentials.
      if (cred === initCred) continue;
      const faults = judge.faults(cred, holders);
      const [first] = holders;
      if (faults.length === 0 || first === undefined) continue;
      const { pid, comm, exe, ppid } = first.process;
      context.report({
        severity: "critical",
        confidence: "high",
        title: `Process ${pid} (${comm}) has forged credentials: ${faults.map(({ says }) => says).join("; ")}.`,
        subject: { pid, task: kernel.format(first.process.task) },
        evidence: {
          cred: kernel.format(cred),
          uid: first.process.uid,
          exe: exe ?? null,
          ppid,
          faults: faults.map(({ says, seen }) => ({ says, seen })),
        },
      });
    }
    context.cover(looked);
  },
};

type Fault = { readonly says: string; readonly seen: Json };

function byCredentials(threads: readonly UserThread[]): Map<GuestVirtual, UserThread[]> {
  const sets = new Map<GuestVirtual, UserThread[]>();
  for (const thread of threads) {
    const known = sets.get(thread.cred);
    if (known === undefined) sets.set(thread.cred, [thread]);
    else known.push(thread);
  }
  return sets;
}

class Judge {
  readonly #kernel: Kernel;
  readonly #tasks: Tasks;
  readonly #records: CredentialRecords;
  readonly #decoder: CredentialsDecoder;
  readonly #slabs: SlabOwners;
  readonly #jar: GuestVirtual;
  readonly #known: number;
  readonly #parent: (namespace: GuestVirtual) => GuestVirtual;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#tasks = new Tasks(kernel);
    this.#records = new CredentialRecords(kernel);
    this.#decoder = new CredentialsDecoder(kernel);
    this.#slabs = new SlabOwners(kernel);
    this.#jar = this.#slabs.named("cred_jar");
    this.#parent = kernel.reader("user_namespace", "parent");
    // CAP_FULL_SET is all that a kernel knows, and what its first task has (init/init_task.c).
    const initial = this.#decoder.decode(kernel.requireSymbol("init_cred"));
    this.#known = initial.capabilities.permitted;
  }

  faults(cred: GuestVirtual, holders: readonly UserThread[]): Fault[] {
    const row = this.#decoder.decode(cred);
    return [
      ...this.#account(cred, row),
      ...this.#rights(row),
      ...this.#place(cred),
      ...this.#references(cred, holders),
    ];
  }

  /** set_user and set_cred_ucounts (kernel/sys.c, kernel/cred.c) go along with every change of uid. */
  #account(cred: GuestVirtual, { uid, userNamespace }: Credentials): Fault[] {
    const account = this.#records.accountUid(cred);
    const counted = this.#records.countedUid?.(cred) ?? uid;
    const namespace = this.#records.countedNamespace?.(cred) ?? userNamespace;
    return [
      ...fault(
        differs(account, uid),
        `its uid is ${uid} but its account is that of ${account}`,
        account,
      ),
      ...fault(differs(counted, uid), `its uid is ${uid} but it counts as ${counted}`, counted),
      ...fault(
        differs(namespace, userNamespace),
        "it is counted in another user namespace",
        this.#kernel.format(namespace),
      ),
      ...fault(!this.#isNamespace(userNamespace), "its user namespace is none", null),
    ];
  }

  #rights({ capabilities, securebits }: Credentials): Fault[] {
    const { effective, permitted, inheritable, bounding, ambient } = capabilities;
    const all = [effective, permitted, inheritable, bounding, ambient];
    return [
      ...fault(
        !within(effective, permitted),
        "effective capabilities that are not permitted",
        hex(effective),
      ),
      ...fault(
        !within(ambient, permitted) || !within(ambient, inheritable),
        "ambient capabilities that are not permitted and inheritable",
        hex(ambient),
      ),
      ...fault(
        all.some((set) => !within(set, this.#known)),
        "capabilities that this kernel does not know",
        all.map(hex),
      ),
      ...fault(securebits > SECUREBITS, "securebits that do not exist", hex(securebits)),
    ];
  }

  /** All come from `cred_jar`, wherever that was merged into. */
  #place(cred: GuestVirtual): Fault[] {
    const cache = this.#slabs.of(cred);
    const wrong = differs(cache, this.#jar);
    return fault(
      wrong,
      "they do not lie where the kernel keeps credentials",
      this.#kernel.format(cred),
    );
  }

  /** Each task holds its own by `real_cred`, and by `cred` where it has not borrowed others. */
  #references(cred: GuestVirtual, holders: readonly UserThread[]): Fault[] {
    const usage = this.#records.usage(cred);
    const held = holders.reduce(
      (sum, { task }) => sum + (this.#tasks.cred(task) === cred ? 2 : 1),
      0,
    );
    return fault(usage < held, `${held} references are held but ${usage} counted`, usage);
  }

  #isNamespace(namespace: GuestVirtual): boolean {
    const initial = this.#kernel.symbol("init_user_ns");
    let at = namespace;
    for (let depth = 0; depth < MAX_NAMESPACES; depth++) {
      if (at === initial) return true;
      at = this.#parent(at);
    }
    return false;
  }
}

function fault(isWrong: boolean, says: string, seen: Json): Fault[] {
  return isWrong ? [{ says, seen }] : [];
}

/** What could not be read differs from nothing. */
function differs(seen: number, wanted: number): boolean {
  return seen === seen && wanted === wanted && seen !== wanted;
}

/** Sets are up to 64 bits wide, of which a double holds those that exist. */
function within(part: number, whole: number): boolean {
  const a = BigInt(Number.isFinite(part) ? part : 0);
  const b = BigInt(Number.isFinite(whole) ? whole : 0);
  return (a & ~b) === 0n;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
