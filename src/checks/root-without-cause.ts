import type { GuestVirtual } from "../base/address.ts";
import { AuxiliaryVectors } from "../linux/auxv.ts";
import type { StartedAs } from "../linux/auxv.ts";
import { CredentialRecords } from "../linux/credential-record.ts";
import { CredentialsDecoder } from "../linux/credentials.ts";
import type { Credentials } from "../linux/credentials.ts";
import { capabilityNames } from "../linux/capabilities.ts";
import type { Kernel } from "../linux/kernel.ts";
import { Tasks } from "../linux/task.ts";
import type { Check } from "./check.ts";
import type { Confidence } from "./finding.ts";
import { userThreads } from "./user-facts.ts";
import type { UserThread } from "./user-facts.ts";

/** CAP_SETUID (include/uapi/linux/capability.h). */
const CAP_SETUID = 2 ** 7;
const INIT = 1;
/** Deeper than any true tree of processes. */
const MAX_ANCESTORS = 64;

/** Nobody is root who cannot have become it. */
export const rootWithoutCause: Check = {
  id: "root-without-cause",
  proves:
    "Every thread with root's rights was root when its program was started, or was started from a setuid or capable file, or descends from one that was; and nobody carries credentials that the kernel makes for its own helpers only.",
  reads: "cred, saved_auxv, exec ids, flags and parents of every thread",
  attack: ["T1014", "T1548", "T1068"],
  shares: ["credentials"],
  limits:
    "Only the last program of a process is known, so root that came to an earlier one and was passed on through execve shows by its parent or its credentials, if at all. Rights inside a user namespace of its own are not judged.",
  run(context) {
    const { kernel, facts } = context;
    const { rows, problems } = facts.get(userThreads);
    for (const problem of problems) context.unseen(problem);
    const judge = new Origins(kernel);
    for (const thread of rows) {
      const cause = judge.suspicion(thread);
      if (cause === undefined) continue;
      const { pid, comm, exe, ppid, argv } = thread.process;
      context.report({
        severity: "critical",
        confidence: cause.confidence,
        title: `Process ${pid} (${comm}) is root without a cause: ${cause.says}.`,
        subject: { pid, task: kernel.format(thread.process.task), sign: cause.sign },
        evidence: {
          exe: exe ?? null,
          ppid,
          argv: argv ?? null,
          startedAs: cause.startedAs === undefined ? null : { ...cause.startedAs },
          cred: kernel.format(thread.cred),
          task: kernel.format(thread.task),
        },
      });
    }
    context.cover(rows.length);
  },
};

type Suspicion = {
  readonly sign: string;
  readonly says: string;
  readonly confidence: Confidence;
  readonly startedAs: StartedAs | undefined;
};

class Origins {
  readonly #tasks: Tasks;
  readonly #vectors: AuxiliaryVectors;
  readonly #records: CredentialRecords;
  readonly #decoder: CredentialsDecoder;
  readonly #decoded = new Map<GuestVirtual, Credentials>();
  readonly #initialNamespace: GuestVirtual;
  readonly #allCapabilities: number;
  readonly #execs: (task: GuestVirtual) => number;
  readonly #parentExecs: (task: GuestVirtual) => number;
  readonly #adopts: (signal: GuestVirtual) => number;

  constructor(kernel: Kernel) {
    this.#tasks = new Tasks(kernel);
    this.#vectors = new AuxiliaryVectors(kernel);
    this.#records = new CredentialRecords(kernel);
    this.#decoder = new CredentialsDecoder(kernel);
    this.#initialNamespace = kernel.requireSymbol("init_user_ns");
    const initial = this.#decoder.decode(kernel.requireSymbol("init_cred"));
    this.#allCapabilities = initial.capabilities.permitted;
    this.#execs = kernel.reader("task_struct", "self_exec_id");
    this.#parentExecs = kernel.reader("task_struct", "parent_exec_id");
    this.#adopts = kernel.reader("signal_struct", "is_child_subreaper");
  }

  suspicion({ task, cred }: UserThread): Suspicion | undefined {
    const rights = this.#credentials(cred);
    if (rights.userNamespace !== this.#initialNamespace || !this.#isRoot(rights)) return undefined;
    const startedAs = this.#startedAs(task);
    return (
      this.#sinceStart(rights, startedAs) ??
      this.#sinceFork(task, startedAs) ??
      this.#likeHelper(task, cred, startedAs)
    );
  }

  #credentials(cred: GuestVirtual): Credentials {
    let known = this.#decoded.get(cred);
    if (known === undefined) this.#decoded.set(cred, (known = this.#decoder.decode(cred)));
    return known;
  }

  #startedAs(task: GuestVirtual): StartedAs | undefined {
    const mm = this.#tasks.mm(task);
    return mm < 0 ? this.#vectors.startedAs(mm) : undefined;
  }

  #isRoot({ uid, euid, suid, capabilities }: Credentials): boolean {
    return [uid, euid, suid].includes(0) || capabilities.permitted === this.#allCapabilities;
  }

  /**
   * Its program, or that of the parent it was forked from, was executed by an ordinary user and
   * gained nothing by that (create_elf_tables); without CAP_SETUID nobody gets to root from there.
   * An ambient CAP_SETUID, as a service may be given, explains it.
   */
  #sinceStart(rights: Credentials, startedAs: StartedAs | undefined): Suspicion | undefined {
    if (startedAs === undefined || !isOrdinary(startedAs) || mayBecomeRoot(rights))
      return undefined;
    const { uid, euid, suid, capabilities } = rights;
    const has = [uid, euid, suid].includes(0)
      ? `has uid ${uid}, euid ${euid}, suid ${suid}`
      : `has ${capabilityNames(capabilities.permitted).join(" ")}`;
    return {
      sign: "since-start",
      says: `its program was started by uid ${startedAs.uid} and gained no rights by that, but ${has}`,
      confidence: "high",
      startedAs,
    };
  }

  /**
   * It executed one program since it was forked, and was root by then already; but its parent,
   * which has executed nothing since, is an ordinary user's and always was. Whoever adopts orphans
   * may not be the one that forked it.
   */
  #sinceFork(task: GuestVirtual, startedAs: StartedAs | undefined): Suspicion | undefined {
    if (startedAs === undefined || startedAs.uid !== 0 || startedAs.secure) return undefined;
    const parent = this.#tasks.parent(task);
    const forkedAt = this.#parentExecs(task);
    if (this.#execs(task) !== forkedAt + 1 || this.#execs(parent) !== forkedAt) return undefined;
    if (this.#tasks.tgid(parent) <= INIT || this.#adopts(this.#tasks.signal(parent)) !== 0) {
      return undefined;
    }
    const parentStarted = this.#startedAs(parent);
    const parentRights = this.#credentials(this.#tasks.realCred(parent));
    if (parentStarted === undefined || !isOrdinary(parentStarted)) return undefined;
    if (parentRights.userNamespace !== this.#initialNamespace) return undefined;
    if (this.#isRoot(parentRights) || mayBecomeRoot(parentRights)) return undefined;
    return {
      sign: "since-fork",
      says: `it was root before it executed anything, but its parent ${this.#tasks.tgid(parent)} is and was uid ${parentStarted.uid}`,
      confidence: "high",
      startedAs,
    };
  }

  /** Helpers of the kernel and what descends from them carry such credentials rightly. */
  #likeHelper(
    task: GuestVirtual,
    cred: GuestVirtual,
    startedAs: StartedAs | undefined,
  ): Suspicion | undefined {
    if (!this.#records.madeForKernel(cred)) return undefined;
    const ancestry = this.#ancestry(task);
    if (ancestry === "kernel") return undefined;
    return {
      sign: "kernel-made",
      says: "it carries credentials such as the kernel makes for its own helpers (prepare_kernel_cred)",
      // A helper's child may have been adopted by init.
      confidence: ancestry === "orphan" ? "medium" : "high",
      startedAs,
    };
  }

  #ancestry(task: GuestVirtual): "kernel" | "orphan" | "user" {
    let at = this.#tasks.parent(task);
    const isOrphan = this.#tasks.tgid(at) <= INIT;
    for (let step = 0; step < MAX_ANCESTORS && this.#tasks.tgid(at) > INIT; step++) {
      if (this.#tasks.isKernelThread(at)) return "kernel";
      at = this.#tasks.parent(at);
    }
    return isOrphan ? "orphan" : "user";
  }
}

function isOrdinary({ uid, euid, secure }: StartedAs): boolean {
  return uid !== 0 && euid !== 0 && !secure;
}

/** A service of an ordinary user that was given the right to change users. */
function mayBecomeRoot({ capabilities: { ambient } }: Credentials): boolean {
  return Math.floor(ambient / CAP_SETUID) % 2 === 1;
}
