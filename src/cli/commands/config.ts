import { loadConfig, configSchema } from "../../daemon/config.ts";
import { jsonSchemaOf } from "../../policy/load.ts";
import { rulesOf } from "../../policy/profiles.ts";
import type { CommandModule } from "../command.ts";
import { write, writeDocument } from "../output.ts";

/** `kvmsec config`: checks a configuration of `kvmsec serve`, and says what may stand in it. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .command("check")
    .description("reads a configuration and says what it comes to, or what is wrong with it")
    .argument("<file>", "YAML")
    .option("--json", "one JSON document")
    .action(async (file: string, options: { readonly json?: boolean }) => {
      const config = loadConfig(file);
      const rules = rulesOf(config);
      if (options.json === true) {
        return writeDocument(io, "kvmsec.config/1", { config: { ...config, rules } });
      }
      const lines = rules.map((rule) => `  ${rule.name}: ${rule.do.join(", ")}`);
      const head = `${file} is valid: profile ${config.profile}${config.dryRun ? ", dry run" : ""}. Rules, in order:`;
      await write(io.stdout, `${[head, ...lines].join("\n")}\n`);
    });
  command
    .command("schema")
    .description("prints the JSON Schema of the configuration")
    .action(async () => {
      await write(io.stdout, `${JSON.stringify(jsonSchemaOf(configSchema), undefined, 2)}\n`);
    });
};
