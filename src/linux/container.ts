/** Names that container runtimes give the control group of one container; each is anchored. */
const NAMES: readonly { readonly runtime: string; readonly name: RegExp }[] = [
  { runtime: "docker", name: /^docker-([0-9a-f]{64})\.scope$/ },
  { runtime: "podman", name: /^libpod-([0-9a-f]{64})(?:\.scope)?$/ },
  { runtime: "containerd", name: /^(?:cri-containerd|nerdctl)-([0-9a-f]{64})\.scope$/ },
  { runtime: "containerd", name: /:cri-containerd:([0-9a-f]{64})$/ },
  { runtime: "cri-o", name: /^crio-([0-9a-f]{64})(?:\.scope)?$/ },
  { runtime: "lxc", name: /^lxc\.payload\.(.{1,64})$/ },
  { runtime: "nspawn", name: /^systemd-nspawn@(.{1,64})\.service$/ },
  { runtime: "lxc", name: /^machine-lxc\\x2d(.{1,64})\.scope$/ },
  // Virtual machines of libvirt are no containers.
  { runtime: "nspawn", name: /^machine-(?!qemu\\x2d)(.{1,64})\.scope$/ },
];
const IDENTIFIER = /^[0-9a-f]{64}$/;
/** As the runtimes' own commands show an identifier. */
const SHORT = 12;

/**
 * `docker:0123456789ab`, `lxc:NAME`: the innermost container that a control group's path leads
 * into; undefined for none. A helper of a runtime that runs outside (conmon, an LXC monitor) is
 * in none.
 */
export function containerOf(cgroupPath: string): string | undefined {
  let found: string | undefined;
  let parent = "";
  let inPods = false;
  for (const name of cgroupPath.split("/")) {
    found = byName(name) ?? byParent(parent, name, inPods) ?? found;
    inPods ||= name.startsWith("kubepods");
    parent = name;
  }
  return found;
}

function byName(name: string): string | undefined {
  for (const { runtime, name: pattern } of NAMES) {
    const id = pattern.exec(name)?.[1];
    if (id !== undefined) return `${runtime}:${IDENTIFIER.test(id) ? id.slice(0, SHORT) : id}`;
  }
  return undefined;
}

/** Without systemd the parent's name tells whose the bare identifier is. */
function byParent(parent: string, name: string, inPods: boolean): string | undefined {
  if (parent === "lxc" || parent === "lxc.payload") return `lxc:${name.slice(0, 64)}`;
  if (!IDENTIFIER.test(name)) return undefined;
  if (parent === "docker") return `docker:${name.slice(0, SHORT)}`;
  return inPods ? `kubernetes:${name.slice(0, SHORT)}` : undefined;
}
