/** A system daemon, as it calls itself, and the programs that may rightly bear its name. */
type KnownDaemon = { readonly called: RegExp; readonly programs: RegExp | "itself" };

/**
 * Daemons whose names intruders borrow. Several are one program under many names: systemd's tools are
 * links to udevadm and resolvectl, busybox is all of them.
 */
const DAEMONS: readonly KnownDaemon[] = [
  { called: /^sshd(-session|-auth)?$/, programs: /^sshd|^dropbear/ },
  { called: /^systemd$/, programs: /^systemd/ },
  { called: /^systemd-[a-z]+d$/, programs: /^systemd|^udevadm$|^resolvectl$|^elogind/ },
  { called: /^udevd$/, programs: /udev/ },
  { called: /^(cron|crond|CRON)$/, programs: /cron/ },
  { called: /^(atd)$/, programs: /^atd$/ },
  { called: /^(r?syslogd|syslog-ng)$/, programs: /syslog/ },
  { called: /^dbus-(daemon|broker)$/, programs: /^dbus-/ },
  { called: /^(auditd|polkitd|irqbalance|NetworkManager|udisksd|acpid)$/, programs: "itself" },
  { called: /^(agetty|getty|mingetty)$/, programs: /getty|^login$/ },
  { called: /^(apache2|httpd)$/, programs: /^apache2|^httpd/ },
  { called: /^nginx$/, programs: /^nginx|^openresty/ },
  { called: /^(dockerd|containerd|cupsd|smbd|snmpd|ntpd|chronyd)$/, programs: "itself" },
];

/** Programs that run others in their name, or are many in one. */
const STAND_INS =
  /^(busybox|toybox|k3s|rke2|qemu-|box64|box86|valgrind|rosetta|ld-|ld\.so|memcheck|[\w-]+-linux$)/;

/** The daemon that a process is called after, where its program is not that daemon's. */
export function borrowedName(title: string, program: string): string | undefined {
  if (STAND_INS.test(program)) return undefined;
  // `sshd: alice [priv]`, `nginx: worker process`, `-bash`
  const name = title.replace(/^-/, "").split(/[\s:]/, 1)[0]!.split("/").at(-1)!;
  const daemon = DAEMONS.find(({ called }) => called.test(name));
  if (daemon === undefined) return undefined;
  const { programs } = daemon;
  const own = programs === "itself" ? program === name : programs.test(program);
  return own ? undefined : name;
}

/** Cyrillic and Greek letters that look like Latin ones, and signs that are not seen at all. */
const LOOK_ALIKES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    а: "a",
    с: "c",
    ԁ: "d",
    е: "e",
    һ: "h",
    і: "i",
    ј: "j",
    к: "k",
    ո: "n",
    о: "o",
    р: "p",
    ԛ: "q",
    г: "r",
    ѕ: "s",
    т: "t",
    υ: "u",
    ν: "v",
    ѡ: "w",
    ԝ: "w",
    х: "x",
    у: "y",
    ο: "o",
    α: "a",
    ι: "i",
    κ: "k",
    ρ: "p",
    τ: "t",
    ɡ: "g",
    ӏ: "l",
    ⅼ: "l",
    ꮪ: "s",
  }),
);
const UNSEEN = /[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff\u00a0\u2000-\u200a\u3000]/gu;

/**
 * What a name looks like to a reader, where that is not what it is: with letters of other scripts,
 * invisible signs and blanks around it.
 */
export function seemingName(name: string): string | undefined {
  const seen = [...name.normalize("NFKC").replace(UNSEEN, "")]
    .map((letter) => LOOK_ALIKES.get(letter) ?? letter)
    .join("")
    .trim();
  return seen === name ? undefined : seen;
}

/** Whether a name is one that a reader takes for the system's own. */
export function isDaemonName(name: string): boolean {
  return DAEMONS.some(({ called }) => called.test(name));
}
