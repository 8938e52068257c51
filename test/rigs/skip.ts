/** Skips the running test, or in a hook all tests after it, and says why in one line. */
export function skip(context: Mocha.Context, reason: string): never {
  console.log(`skipped: ${reason}`);
  return context.skip();
}
