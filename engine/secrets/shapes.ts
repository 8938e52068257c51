/** What looks like a secret, whoever's it is: tokens of known make, and values that stand behind a telling name. */

interface Shape { readonly id: string; readonly pattern: RegExp; /** The first group stays. */ readonly keep?: true }

/** Every pattern starts at a rare mark or takes whole runs, so that a text is read in linear time. */
const SHAPES: readonly Shape[] = [
  { id: "private key", pattern: /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:[\s\S]*?-----END [A-Z0-9 ]{0,40}-----|[\s\S]*)/g },
  { id: "password in an address", pattern: /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@:]{0,256}:[^\s/@]{1,256}(?=@)/gi, keep: true },
  { id: "JSON web token", pattern: /(?<![\w-])eyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?/g },
  { id: "OpenAI, Anthropic, OpenRouter, Stripe …", pattern: /\b(?:sk|rk|pk)[-_][\w-]{16,}/g },
  { id: "Slack", pattern: /\bx(?:ox[a-z]|app)-[\w-]{8,}/g },
  { id: "GitHub", pattern: /\b(?:gh[a-z]_|github_pat_)\w{16,}/g },
  { id: "GitLab, npm, Hugging Face, Groq, xAI, DigitalOcean, SendGrid, Standard Webhooks", pattern: /\b(?:glpat-|npm_|hf_|gsk_|xai-|dop_v1_|SG\.|whsec_)[\w.+/=-]{16,}/g },
  { id: "Google", pattern: /\bAIza[\w-]{30,}/g },
  { id: "AWS", pattern: /\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g },
  { id: "Telegram", pattern: /(?<!\d)\d{6,12}:[\w-]{30,}/g },
  { id: "Discord", pattern: /(?<![\w-])[\w-]{23,30}\.[\w-]{6,7}\.[\w-]{25,}/g },
  // After the others a digit, two capitals or a "=" tells a token from a word, as in "a bot understanding".
  { id: "authorization header", pattern: /\b((?:[Bb]earer|BEARER)\s{1,8}|(?:[Bb]asic|BASIC|[Bb]ot|BOT|[Tt]oken|TOKEN)\s{1,8}(?=[\w.~+/=-]{0,200}?(?:[\d=]|[A-Z]{2})))[\w.~+/=-]{12,}/g, keep: true },
  { id: "query parameter", pattern: /([?&](?:access_token|token|api_?key|key|secret|password|sig|signature)=)[^&\s"'#]{6,2000}/gi, keep: true },
];

/** The text with everything of these shapes replaced by `hidden`; the very same text where nothing is. */
export function hideTokens(text: string, hidden: string): string {
  let clean = text;
  for (const { pattern, keep } of SHAPES) clean = clean.replace(pattern, keep ? `$1${hidden}` : hidden);
  return clean;
}
