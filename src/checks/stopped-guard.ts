import { withoutDeleted } from "./paths.ts";
import type { Check } from "./check.ts";
import { processes } from "./user-facts.ts";

/** Programs that keep logs of a system or watch over it, by the last part of their paths. */
const GUARDS =
  /^(auditd|rsyslogd|syslog-ng|syslogd|systemd-journald|falco|osqueryd|ossec-\w+|wazuh-\w+|clamd|freshclam|fail2ban-server|(audit|file|packet|metric)beat|suricata|zeek|snort|tetragon|tracee|sysmon|falcon-sensor|wdavdaemon|aide|samhain|crowdsec)$/;

/** What keeps the logs and watches over the system has not been stopped. */
export const stoppedGuard: Check = {
  id: "stopped-guard",
  proves: "No daemon that keeps logs or watches over the system is held by a stop signal.",
  reads: "state and program of every process",
  attack: ["T1685", "T1562.001", "T1489"],
  limits:
    "Common guards are known by the names of their programs. One that was killed, or never started, is not missed: that takes a baseline.",
  run(context) {
    const { rows, problems } = context.facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    for (const { pid, comm, exe, state, task, uid } of rows) {
      const program =
        withoutDeleted(exe ?? "")
          .split("/")
          .at(-1) ?? "";
      if (state !== "T" || !GUARDS.test(program)) continue;
      context.report({
        severity: "high",
        confidence: "medium",
        title: `Process ${pid} (${comm}) is stopped: ${program} guards this system no more.`,
        subject: { pid, task: context.kernel.format(task), program },
        evidence: { exe: exe ?? null, uid, state },
      });
    }
    context.cover(rows.length);
  },
};
