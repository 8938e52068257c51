/** Why a request to us is not served, with the HTTP status and headers that say so. */
import { ClawError, type ErrorCode } from "./errors.ts";

export class HttpFault extends ClawError {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, code: ErrorCode, text: string, headers: Readonly<Record<string, string>> = {}) {
    super(code, {}, text);
    this.status = status;
    this.headers = headers;
  }
}
