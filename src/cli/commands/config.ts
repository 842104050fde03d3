import { exitStatus } from "../../base/errors.ts";
import { configSchema } from "../../daemon/config.ts";
import { askGuard } from "../../daemon/control-client.ts";
import { configPath, readConfig } from "../../daemon/load-config.ts";
import { jsonSchemaOf } from "../../policy/load.ts";
import { rulesOf } from "../../policy/profiles.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandModule } from "../command.ts";
import { write, writeDocument } from "../output.ts";

type Options = { readonly json?: boolean };

/** `kvmsec config`: checks a configuration, says what may stand in it, has the guard read it anew. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .command("check")
    .description(
      "reads a configuration and what lies in FILE.d beside it, and says what it comes to, or what is wrong with it",
    )
    .argument("[file]", "YAML (default: $KVMSEC_CONFIG, else guard.yaml of the home)")
    .option("--json", "one JSON document")
    .action(async (file: string | undefined, options: Options) => {
      const { config, files } = readConfig(file);
      const rules = rulesOf(config);
      if (options.json === true) {
        return writeDocument(io, "kvmsec.config/1", { files, config: { ...config, rules } });
      }
      const source =
        files.length === 0
          ? `There is no ${configPath()}, so the defaults hold`
          : `${files.join(", ")}: valid`;
      const lines = [
        `${source}. Profile ${config.profile}${config.dryRun ? ", dry run" : ""}. Rules, in order:`,
        ...rules.map((rule) => `  ${rule.name}: ${rule.do.join(", ")}`),
        ...config.allow.map(({ name, reason }) => `Allowed: ${name} (${reason})`),
      ];
      await write(io.stdout, `${lines.join("\n")}\n`);
    });
  command
    .command("schema")
    .description("prints the JSON Schema of the configuration")
    .action(async () => {
      await write(io.stdout, `${JSON.stringify(jsonSchemaOf(configSchema), undefined, 2)}\n`);
    });
  command
    .command("reload")
    .description(
      "has the guard that runs read its configuration anew; one that is broken is not taken",
    )
    .option("--json", "one JSON document")
    .action(async (options: Options) => {
      const facts = await askGuard(openHome(), { ask: "reload" });
      if (facts === undefined) {
        io.exit(exitStatus.unobservable);
        return write(io.stderr, "kvmsec: KVMSEC_GUARD_ABSENT: No guard runs on this home.\n");
      }
      if (options.json === true) return writeDocument(io, "kvmsec.config-reload/1", facts);
      const changed = Array.isArray(facts["changed"]) ? facts["changed"].join(", ") : "";
      await write(io.stdout, `The guard has taken it; changed: ${changed || "nothing"}.\n`);
    });
};
