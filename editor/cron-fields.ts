/** Does a text look like a cron expression: five or six fields of the allowed characters. The runtime checks the rest. */
export function cronFields(text: string): boolean {
  const fields = text.trim().split(/\s+/);
  return (fields.length === 5 || fields.length === 6) && fields.every((field) => /^[0-9A-Za-z*,/?#-]+$/.test(field));
}
