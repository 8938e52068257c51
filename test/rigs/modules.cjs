/** For `node --require`: writes the address of each module into the file CLAWFLOW_MODULES when it is loaded, one a line. */
const { appendFileSync } = require("node:fs");
const { registerHooks } = require("node:module");

registerHooks({
  load(url, context, nextLoad) {
    appendFileSync(process.env.CLAWFLOW_MODULES, `${url}\n`);
    return nextLoad(url, context);
  },
});
