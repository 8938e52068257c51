/** A name as it stands in folders, addresses and names of tools: small letters, digits and "-", at most 40. Editor and runtime come to the same. */
export function slugOf(text: string): string {
  return text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40) || "home";
}
