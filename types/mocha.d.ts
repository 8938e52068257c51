/** Mocha's globals, as far as our tests use them. */
declare namespace Mocha {
  interface Test { title: string; fullTitle(): string; readonly state?: "failed" | "passed" | "pending"; timeout(ms: number): this; slow(ms: number): this; retries(times: number): this }
  interface Context {
    readonly test?: Test;
    readonly currentTest?: Test;
    skip(): never;
    timeout(ms: number): this;
    timeout(): number;
    slow(ms: number): this;
    retries(times: number): this;
  }
  interface Suite { readonly title: string; timeout(ms: number): this; slow(ms: number): this; retries(times: number): this }
  type Run = (this: Context, done: (error?: unknown) => void) => unknown;
  interface TestFunction { (title: string, run?: Run): Test; only(title: string, run?: Run): Test; skip(title: string, run?: Run): Test }
  interface SuiteFunction { (title: string, build: (this: Suite) => void): Suite; only(title: string, build: (this: Suite) => void): Suite; skip(title: string, build: (this: Suite) => void): Suite }
  interface HookFunction { (run: Run): void; (title: string, run: Run): void }
}
declare const describe: Mocha.SuiteFunction;
declare const context: Mocha.SuiteFunction;
declare const it: Mocha.TestFunction;
declare const before: Mocha.HookFunction;
declare const after: Mocha.HookFunction;
declare const beforeEach: Mocha.HookFunction;
declare const afterEach: Mocha.HookFunction;
