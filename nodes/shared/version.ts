/** Which ClawFlow this is, for those that it talks to. */
import manifest from "../../package.json" with { type: "json" };

export const VERSION: string = manifest.version;
