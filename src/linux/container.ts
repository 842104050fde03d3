const CONTAINERS: readonly { readonly runtime: string; readonly pattern: RegExp }[] = [
  { runtime: "docker", pattern: /\/docker[-/]([0-9a-f]{12,64})/ },
  { runtime: "podman", pattern: /\/libpod-(?:conmon-)?([0-9a-f]{12,64})/ },
  { runtime: "containerd", pattern: /\/cri-containerd-([0-9a-f]{12,64})/ },
  { runtime: "cri-o", pattern: /\/crio-([0-9a-f]{12,64})/ },
  { runtime: "kubernetes", pattern: /\/kubepods[^/]*\/.*?([0-9a-f]{64})/ },
  { runtime: "lxc", pattern: /\/lxc(?:\.payload)?[./]([^/]+)/ },
  {
    runtime: "nspawn",
    pattern: /\/machine\.slice\/(?:systemd-nspawn@|machine-)([^/]+?)\.(?:service|scope)/,
  },
];

/** `docker:0123456789ab`, by the names that container runtimes give their control groups. */
export function containerOf(cgroupPath: string): string | undefined {
  for (const { runtime, pattern } of CONTAINERS) {
    const id = pattern.exec(cgroupPath)?.[1];
    if (id !== undefined) return `${runtime}:${/^[0-9a-f]{13,}$/.test(id) ? id.slice(0, 12) : id}`;
  }
  return undefined;
}
