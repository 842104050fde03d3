import type { Kernel } from "./kernel.ts";

/** What a kernel may be built without, so that there is nothing to be tampered with. */
export type Feature = keyof typeof MARKS;

type Marks = {
  /** For people, with the option that builds it in. */
  readonly what: string;
  readonly symbols: readonly string[];
  readonly types: readonly string[];
};

/**
 * Names that a kernel with the feature has, from places that have nothing to do with each other: the
 * data, what others register through, what the rest of the kernel calls, and the type. Each kernel
 * from 5.10 to 7.3 has nearly all of them, so that one with the feature would have to have renamed
 * all at once to look like one without.
 */
const MARKS = {
  kprobes: {
    what: "kprobes (CONFIG_KPROBES)",
    symbols: ["kprobe_table", "register_kprobe", "arch_arm_kprobe", "kprobe_int3_handler"],
    // struct kprobe is declared in all kernels.
    types: ["optimized_kprobe"],
  },
  uprobes: {
    what: "uprobes (CONFIG_UPROBES)",
    symbols: ["uprobes_tree", "uprobe_mmap", "uprobe_munmap", "arch_uprobe_analyze_insn"],
    types: ["uprobe"],
  },
  livepatch: {
    what: "livepatches (CONFIG_LIVEPATCH)",
    symbols: ["klp_patches", "klp_enable_patch", "klp_update_patch_state"],
    types: ["klp_patch"],
  },
  security: {
    what: "security modules (CONFIG_SECURITY)",
    symbols: [
      "security_hook_heads",
      "static_calls_table",
      "security_add_hooks",
      "security_file_open",
      "security_bprm_check",
    ],
    types: ["security_hook_list"],
  },
  SELinux: {
    what: "SELinux (CONFIG_SECURITY_SELINUX)",
    symbols: ["selinux_state", "selinux_enabled_boot", "selinux_init", "avc_has_perm"],
    types: ["selinux_state"],
  },
  AppArmor: {
    what: "AppArmor (CONFIG_SECURITY_APPARMOR)",
    symbols: ["apparmor_enabled", "apparmor_initialized", "aa_g_profile_mode", "root_ns"],
    types: ["aa_profile"],
  },
  audit: {
    what: "auditing of system calls (CONFIG_AUDITSYSCALL)",
    symbols: ["audit_n_rules", "__audit_syscall_entry", "__audit_syscall_exit"],
    types: ["audit_context"],
  },
  cgroups: {
    what: "control groups (CONFIG_CGROUPS)",
    symbols: ["cgroup_roots", "css_set_table", "cgroup_attach_task", "cgroup_exit"],
    types: ["css_set", "cgroup_root"],
  },
  netfilter: {
    what: "netfilter (CONFIG_NETFILTER)",
    symbols: ["nf_hook_slow", "nf_register_net_hook", "nf_hook_entries_insert_raw"],
    types: ["nf_hook_entries"],
  },
  modules: {
    what: "loadable modules (CONFIG_MODULES)",
    symbols: ["modules", "load_module", "find_module", "module_put", "mod_tree"],
    types: ["load_info"],
  },
  bpf: {
    what: "the bpf system call (CONFIG_BPF_SYSCALL)",
    symbols: ["prog_idr", "map_idr", "bpf_prog_new_fd", "bpf_check", "bpf_prog_load"],
    // Each kernel with sockets has the verifier's.
    types: [],
  },
  "BPF JIT": {
    what: "a compiler of BPF programs (CONFIG_BPF_JIT)",
    symbols: ["bpf_kallsyms", "bpf_prog_kallsyms_add", "bpf_jit_binary_alloc", "bpf_jit_enable"],
    types: [],
  },
  ftrace: {
    what: "function tracing (CONFIG_FUNCTION_TRACER)",
    symbols: ["ftrace_ops_list", "register_ftrace_function", "ftrace_caller", "ftrace_list_end"],
    types: ["ftrace_ops_hash"],
  },
  tracepoints: {
    what: "tracepoints (CONFIG_TRACEPOINTS)",
    symbols: [
      "tracepoint_probe_register",
      "tracepoint_probe_unregister",
      "__tracepoint_sched_switch",
    ],
    types: [],
  },
} as const satisfies Readonly<Record<string, Marks>>;

/**
 * Says `this kernel was built without …` where it was, else undefined. That a name is missing proves
 * nothing, for the kernel may be newer than we: all marks have to be. The names are kallsyms' and
 * BTF's, which are constant data: whoever can change them shows in kernel-rodata.
 */
export function builtWithout(kernel: Kernel, feature: Feature): string | undefined {
  const { what, symbols, types }: Marks = MARKS[feature];
  const isThere =
    symbols.some((name) => !Number.isNaN(kernel.symbol(name))) ||
    types.some((name) => kernel.types.struct(name) !== 0);
  return isThere ? undefined : `this kernel was built without ${what}`;
}
