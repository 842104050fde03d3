/** How one ability of the host stands. */
export type AbilityStatus =
  /** As good as it gets. */
  | "ok"
  /** It works, but slower, less of it, or not for everybody; `meaning` says what is lost. */
  | "warning"
  /** It does not work. */
  | "missing";

/** What `kvmsec doctor` says of one ability. */
export type Ability = {
  /** A stable name for scripts. */
  readonly id: string;
  readonly title: string;
  readonly status: AbilityStatus;
  /** What was found. */
  readonly found: string;
  /** What it means for the user where it is not `ok`. */
  readonly meaning?: string;
  /** The command that mends it, where one does. */
  readonly mend?: string;
  /** Without it a guest can be neither started nor read. */
  readonly essential: boolean;
};

/** The answer of one probe, before its name and weight are put to it. */
export type Finding = Pick<Ability, "status" | "found" | "meaning" | "mend">;

/** One thing that the doctor looks at. A probe never throws: what it cannot find out it says. */
export type Probe = {
  readonly id: string;
  readonly title: string;
  readonly essential?: boolean;
  readonly look: (host: Host) => Finding | Promise<Finding>;
};

/** What probes need to know of the host to name the right command. */
export type Host = {
  readonly root: boolean;
  readonly user: string;
  /** Debian and its kin, where packages have the names that are used here. */
  readonly apt: boolean;
  readonly qemu: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
};

/** A command as this user has to type it to run it as root. */
export function asRoot(host: Host, command: string): string {
  return host.root ? command : `sudo ${command}`;
}

/** How to get a package, under Debian's name where apt is at hand. */
export function install(host: Host, name: string): string {
  return host.apt
    ? asRoot(host, `apt-get install -y --no-install-recommends ${name}`)
    : `install the package that Debian calls ${name}`;
}

export function ok(found: string): Finding {
  return { status: "ok", found };
}

/** `mend` may be undefined: not everything has a command that mends it. */
export function warning(found: string, meaning: string, mend?: string): Finding {
  return { status: "warning", found, meaning, ...(mend === undefined ? {} : { mend }) };
}

export function missing(found: string, meaning: string, mend?: string): Finding {
  return { status: "missing", found, meaning, ...(mend === undefined ? {} : { mend }) };
}
