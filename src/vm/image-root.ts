import { writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { KvmsecError } from "../base/errors.ts";
import { aptSettingsHook, backportsHook, customizeHook, essentialHook } from "./guest-setup.ts";
import { sourceLine } from "./image-mirror.ts";
import type { AptSource } from "./image-mirror.ts";
import { baseRelease, wantedPackages } from "./image-recipe.ts";
import type { ImageRecipe } from "./image-recipe.ts";
import { tryTool } from "./run-tool.ts";
import type { ToolOptions } from "./run-tool.ts";

export type RootOptions = {
  readonly sources: readonly AptSource[];
  /** Lines of apt.conf(5) that hold while the packages are fetched, and are not kept. */
  readonly aptSettings: readonly string[];
  /** The keys to trust instead of those that the host's apt trusts, which may not be Debian's. */
  readonly keyring?: string | undefined;
  /** Where to keep all that mmdebstrap said, when it fails. */
  readonly log: string;
  readonly signal?: AbortSignal | undefined;
  /** Told each line that mmdebstrap says. */
  readonly onLine: (line: string) => void;
};

/**
 * Installs the recipe's packages into a root file system, as a tar archive. mmdebstrap chooses how:
 * as root, in a user namespace, or under fakechroot.
 */
export async function makeRootArchive(
  recipe: ImageRecipe,
  archive: string,
  options: RootOptions,
): Promise<void> {
  const args = mmdebstrapArguments(recipe, archive, options);
  if (hasOwnNames(recipe) && !addsBackports(recipe, options.sources)) {
    // Without hooks, so not where one of them is needed to find the packages. Else a wrong name would be told only after the whole basic system was installed.
    await mustSucceed(["mmdebstrap", "--simulate", ...args], options, recipe);
  }
  const confined = process.geteuid?.() === 0 && (await canConfine(options.signal));
  // Its work lies beside the archive, so that what a killed build leaves is swept with it. Without
  // namespaces of its own its mounts could be left there too, and with a user namespace other user
  // ids do the work, which cannot enter there.
  const env = confined ? { TMPDIR: dirname(archive) } : {};
  const command = [...(confined ? CONFINE : []), "mmdebstrap", ...args];
  await mustSucceed(command, { ...options, env }, recipe);
}

async function mustSucceed(
  command: readonly string[],
  options: RootOptions & ToolOptions,
  recipe: ImageRecipe,
): Promise<void> {
  const [name, ...args] = command;
  const { status, stderr } = await tryTool(name!, args, options);
  if (status === 0) return;
  writeFileSync(options.log, stderr, { mode: 0o600 });
  throw explainFailure(stderr, recipe, options.log);
}

/**
 * As root mmdebstrap mounts the host's /dev, /proc and /sys into its work. In namespaces of its own
 * these mounts end with it, however it ends, and so do all its children.
 */
const CONFINE: readonly string[] = [
  "unshare",
  "--mount",
  "--propagation=private",
  "--pid",
  "--fork",
  "--kill-child",
  "--mount-proc",
];

async function canConfine(signal: AbortSignal | undefined): Promise<boolean> {
  const [name, ...words] = [...CONFINE, "true"];
  return (await tryTool(name!, words, { signal })).status === 0;
}

/** Whether the user named packages, who may err. */
function hasOwnNames({ kernel, packages }: ImageRecipe): boolean {
  return packages.length > 0 || kernel.startsWith("linux-image-");
}

/** The host's archives come with the backports among them, mmdebstrap's own choice does not. */
function addsBackports(recipe: ImageRecipe, sources: readonly AptSource[]): boolean {
  return sources.length === 0 && recipe.release !== baseRelease(recipe);
}

/** mmdebstrap's command line. */
export function mmdebstrapArguments(
  recipe: ImageRecipe,
  archive: string,
  { sources, aptSettings, keyring }: Pick<RootOptions, "sources" | "aptSettings" | "keyring">,
): string[] {
  const release = baseRelease(recipe);
  return [
    "--variant=apt",
    "--architectures=amd64",
    "--format=tar",
    '--aptopt=Acquire::Languages "none"',
    // What dpkg would sync to the disk is thrown away when the build fails, so it need not.
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    `--include=${wantedPackages(recipe).join(",")}`,
    ...(keyring === undefined ? [] : [`--keyring=${keyring}`]),
    ...(aptSettings.length === 0 ? [] : [`--setup-hook=${aptSettingsHook(aptSettings)}`]),
    ...(addsBackports(recipe, sources)
      ? [`--setup-hook=${backportsHook(release, recipe.release)}`]
      : []),
    `--essential-hook=${essentialHook()}`,
    `--customize-hook=${customizeHook(recipe)}`,
    release,
    archive,
    ...sources.map(sourceLine),
  ];
}

type Explanation = {
  readonly pattern: RegExp;
  readonly code: `KVMSEC_${string}`;
  readonly message: (match: RegExpExecArray, recipe: ImageRecipe) => string;
  readonly hint: string;
};

const explanations: readonly Explanation[] = [
  {
    pattern: /no space left on device/i,
    code: "KVMSEC_HOST_DISK",
    message: () => "The disk ran full while the image was built.",
    hint: "Make room in the temporary folder (TMPDIR) and in KVMSEC_HOME.",
  },
  {
    pattern: /Unable to locate package (\S+)|Package '(\S+)' has no installation candidate/,
    code: "KVMSEC_IMAGE_PACKAGE",
    message: (match, recipe) => `${recipe.release} has no package ${match[1] ?? match[2]}.`,
    hint: "Check the names after --packages and --kernel.",
  },
  {
    pattern: /NO_PUBKEY|is not signed|no keyring|signed-by .*not (?:exist|found)/i,
    code: "KVMSEC_IMAGE_KEYRING",
    message: () => "The Debian archive's signature cannot be checked on this host.",
    hint: "Install Debian's keys: sudo apt-get install debian-archive-keyring (also on Ubuntu).",
  },
  {
    pattern: /Failed to fetch (\S+) +404 +Not Found/,
    code: "KVMSEC_IMAGE_ARCHIVE",
    message: (match) => `The archive lists ${basename(match[1]!)}, but does not have it.`,
    hint: "It is being updated, or is an incomplete mirror: try later, or choose another kernel or release.",
  },
  {
    pattern: /Release file for \S+ is (expired|not valid yet)/,
    code: "KVMSEC_IMAGE_ARCHIVE",
    message: (match, recipe) => `The archive's list of ${recipe.release} is ${match[1]}.`,
    hint: "Check this host's clock. A mirror that stands still on purpose needs Acquire::Check-Valid-Until \"false\"; in apt's configuration.",
  },
  {
    pattern: /does not have a Release file|404 +Not Found/,
    code: "KVMSEC_IMAGE_RELEASE",
    message: (_match, recipe) => `The archive has no release ${recipe.release}.`,
    hint: "Name a Debian release by its codename: bookworm, trixie, sid.",
  },
  {
    pattern:
      /Temporary failure resolving|Could not (?:connect|resolve)|Failed to fetch|Unable to connect/,
    code: "KVMSEC_IMAGE_NETWORK",
    message: () => "The Debian archive could not be reached.",
    hint: "Check the network and apt's proxy: sudo apt-get update must succeed.",
  },
  {
    pattern: /unshare\S*(?: syscall)? failed: Operation not permitted/,
    code: "KVMSEC_IMAGE_PRIVILEGE",
    message: () =>
      "This system gives ordinary users no name spaces, which a root file system needs.",
    hint: "Run kvmsec as root, or allow it: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), kernel.unprivileged_userns_clone=1 (older Debian). In a chroot or container only root will do.",
  },
  {
    pattern: /subuid|subgid|newuidmap|unable to pick|user namespace|unshare/i,
    code: "KVMSEC_IMAGE_PRIVILEGE",
    message: () => "This user may not make a root file system.",
    hint: "Install uidmap and give yourself subordinate ids (sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER), or run kvmsec as root.",
  },
];

/** The error behind mmdebstrap's words, all of which `log` holds. */
export function explainFailure(stderr: string, recipe: ImageRecipe, log: string): KvmsecError {
  // What begins with I: tells how it goes, also how it went well.
  const lines = stderr.split("\n").filter((line) => line !== "" && !line.startsWith("I: "));
  const words = lines.join("\n");
  for (const { pattern, code, message, hint } of explanations) {
    const match = pattern.exec(words);
    if (match !== null) return new KvmsecError(code, message(match, recipe), { hint });
  }
  const first = lines.findIndex((line) => line.startsWith("E: "));
  const reason = lines[first]?.slice(3) ?? "it gave no reason";
  const before = lines[first - 1];
  return new KvmsecError(
    "KVMSEC_IMAGE_BUILD_FAILED",
    `mmdebstrap failed: ${reason}${before === undefined ? "" : ` (after: ${before})`}`,
    { hint: `${log} holds all that it said.` },
  );
}
