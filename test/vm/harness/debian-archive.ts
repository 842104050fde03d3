import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { command } from "./command.ts";

/** A Debian release or pocket, as `sources.list` names it: `bookworm`, `trixie-backports`, `sid`. */
export type Release = string;

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Downloads packages, which apt checks by their signatures, and unpacks them into a new folder. */
export async function unpackPackages(
  apt: readonly string[],
  packages: readonly string[],
  into: string,
): Promise<void> {
  const fetched = `${into}.download`;
  for (const directory of [fetched, into]) {
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
  }
  await command("apt-get", [...apt, "download", ...packages], { cwd: fetched });
  for (const file of readdirSync(fetched)) {
    await command("dpkg-deb", ["-x", join(fetched, file), into]);
  }
  rmSync(fetched, { recursive: true, force: true });
}

/** apt's options for a private root that knows one release; its lists are freshly updated. */
export async function privateApt(
  release: Release,
  root: string,
  architecture = "amd64",
): Promise<string[]> {
  for (const part of ["lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(root, part), { recursive: true });
  }
  writeFileSync(join(root, "status"), "");
  // Of a foreign architecture the release as it was made is enough.
  const lines = await sourceLines(release);
  const used = architecture === "amd64" ? lines : `${lines.split("\n")[0]}\n`;
  writeFileSync(join(root, "sources.list"), used);
  const options = {
    "Dir::State": root,
    "Dir::State::status": join(root, "status"),
    "Dir::Cache": join(root, "cache"),
    "Dir::Etc::sourcelist": join(root, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    "APT::Sandbox::User": "",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
  };
  const apt = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  await command("apt-get", [...apt, "update"]);
  return apt;
}

function line(mirror: string, suite: string): string {
  return `deb [signed-by=${keyring}] ${mirror} ${suite} main\n`;
}

/** What has no suites beside it. */
const rolling = new Set(["experimental", "sid", "unstable", "forky", "testing"]);

/** A stable release has its updates and its security fixes in suites of their own. */
async function sourceLines(release: Release): Promise<string> {
  const mirrors = await debianMirrors();
  if (rolling.has(release) || release.includes("-")) return line(mirrors.main, release);
  return [
    line(mirrors.main, release),
    line(mirrors.main, `${release}-updates`),
    line(mirrors.security, `${release}-security`),
  ].join("");
}

/** The mirrors that this machine's own apt uses; fixes come from the main one where it lists no other. */
async function debianMirrors(): Promise<{ main: string; security: string }> {
  const format = "$(LABEL)|$(REPO_URI)|$(RELEASE)";
  const listed = await command("apt-get", ["indextargets", "--format", format]).catch(() => "");
  const rows = listed.split("\n").map((row) => row.split("|"));
  const mirrorOf = (label: string) => rows.find((row) => row[0] === label)?.[1];
  const main = mirrorOf("Debian");
  if (main === undefined) {
    throw new Error("apt here knows no Debian archive: add one to its sources, or run on Debian");
  }
  return { main, security: mirrorOf("Debian-Security") ?? `${main.replace(/\/*$/, "")}-security` };
}
