import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KvmsecError } from "../base/errors.ts";
import { tryTool } from "./run-tool.ts";

/** One line of an apt source list. */
export type AptSource = { readonly uri: string; readonly suite: string };

const APT_HELPER = "/usr/lib/apt/apt-helper";

/**
 * Where to get a Debian release from: the archives that this host's own apt uses, with those of
 * the release's updates, security and backports suites that are there. Empty where the host's apt
 * knows no Debian archive (Ubuntu, no apt at all): then mmdebstrap's own default serves.
 * Throws KVMSEC_IMAGE_RELEASE where the archive has no such release.
 */
export async function hostMirror(release: string, signal?: AbortSignal): Promise<AptSource[]> {
  const archives = await hostArchives(signal);
  const main = archives.find(({ label }) => label === "Debian")?.uri;
  if (main === undefined) return [];
  const security = archives.find(({ label }) => label === "Debian-Security")?.uri;
  const base = release.replace(/-backports$/, "");
  const wanted: AptSource[] = [
    { uri: main, suite: base },
    { uri: main, suite: `${base}-updates` },
    ...(security === undefined ? [] : [{ uri: security, suite: `${base}-security` }]),
    ...(release === base ? [] : [{ uri: main, suite: release }]),
  ];
  const present = await Promise.all(wanted.map((source) => suiteExists(source, signal)));
  for (const [index, source] of wanted.entries()) {
    const required = source.suite === base || source.suite === release;
    if (required && present[index] !== true) throw noRelease(source);
  }
  return wanted.filter((_, index) => present[index]);
}

const KEYRINGS = [
  "/usr/share/keyrings/debian-archive-keyring.gpg",
  "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/** The keys that Debian's archives are signed with, as its package installs them. */
export function debianKeyring(): string | undefined {
  return KEYRINGS.find((path) => existsSync(path));
}

/** `deb URI SUITE main`, as sources.list(5) has it. */
export function sourceLine(source: AptSource): string {
  return `deb ${source.uri} ${source.suite} main`;
}

type Archive = { readonly uri: string; readonly label: string };

async function hostArchives(signal: AbortSignal | undefined): Promise<Archive[]> {
  const format = "$(LABEL)|$(ORIGIN)|$(REPO_URI)";
  const args = ["indextargets", "--format", format, "Created-By: Packages"];
  return parseArchives(await aptWords("apt-get", args, signal));
}

/** The Debian archives among `LABEL|ORIGIN|URI` lines of `apt-get indextargets`. */
export function parseArchives(text: string): Archive[] {
  return text
    .split("\n")
    .map((line) => line.split("|"))
    .filter(([, origin]) => origin === "Debian")
    .map(([label, , uri]) => ({ label: label!, uri: uri! }));
}

/** What of the host's settings tells how to fetch, in apt.conf(5)'s words. */
const FETCHING =
  /^Acquire::(?:Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|https?::(?:Proxy|Proxy-Auto-Detect|Timeout)(?:::\S+)?) "[^"\n]*";$/;

/** Lines of apt.conf(5) with which this host's apt fetches: proxies, patience, trust in dates. */
export async function hostAptSettings(signal?: AbortSignal): Promise<string[]> {
  const args = ["dump", "--no-empty", "--format", '%F "%v";%n', "Acquire"];
  return parseSettings(await aptWords("apt-config", args, signal));
}

/** Of `apt-config dump` the settings that hold for any archive. */
export function parseSettings(text: string): string[] {
  return text.split("\n").filter((line) => FETCHING.test(line));
}

/** What an apt tool prints, or nothing on a host without apt. */
async function aptWords(
  name: string,
  args: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string> {
  try {
    return (await tryTool(name, args, { signal })).stdout;
  } catch (error) {
    if (error instanceof KvmsecError && error.code === "KVMSEC_TOOL_MISSING") return "";
    throw error;
  }
}

/** Asks the archive through apt's own download methods, so that proxies and credentials hold. */
async function suiteExists(source: AptSource, signal: AbortSignal | undefined): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-mirror-"));
  const url = `${source.uri.replace(/\/*$/, "/")}dists/${source.suite}/InRelease`;
  try {
    const args = ["download-file", url, join(folder, "InRelease")];
    return (await tryTool(APT_HELPER, args, { signal })).status === 0;
  } catch (error) {
    if (error instanceof KvmsecError && error.code === "KVMSEC_TOOL_MISSING") return true;
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function noRelease({ uri, suite }: AptSource): KvmsecError {
  return new KvmsecError(
    "KVMSEC_IMAGE_RELEASE",
    `The archive at ${uri}, which this host's apt uses, has no release ${suite}, or cannot be reached.`,
    { hint: "Check the release's name and the network: sudo apt-get update must succeed." },
  );
}
