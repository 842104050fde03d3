import { CodeOwners } from "../linux/code-owner.ts";
import { fact } from "./sweep-facts.ts";

/** Whose each kernel address is, at the moment of the sweep. */
export const codeOwners = fact(({ kernel }) => new CodeOwners(kernel));
