/** PDF files as small as they can be: one line of text for each page; with a lock only a password opens. */
export function makePdf(pages: readonly string[], locked = false): Buffer {
  const objects: string[] = [];
  const kids = pages.map((_, n) => `${4 + n * 2} 0 R`).join(" ");
  objects.push("<< /Type /Catalog /Pages 2 0 R >>", `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
  for (const [n, text] of pages.entries()) {
    const content = text === "" ? "" : `BT /F1 12 Tf 20 100 Td (${text.replace(/[()\\]/g, "\\$&")}) Tj ET`;
    objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 200] /Resources << /Font << /F1 3 0 R >> >> /Contents ${5 + n * 2} 0 R >>`, `<< /Length ${content.length} >>\nstream\n${content}\nendstream`);
  }
  if (locked) objects.push(`<< /Filter /Standard /V 1 /R 2 /O <${"ab".repeat(32)}> /U <${"cd".repeat(32)}> /P -4 >>`);
  let file = "%PDF-1.4\n";
  const places = objects.map((object, n) => { const at = file.length; file += `${n + 1} 0 obj\n${object}\nendobj\n`; return at; });
  const xref = file.length;
  file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("")}`;
  file += `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R${locked ? ` /Encrypt ${objects.length} 0 R /ID [<01> <01>]` : ""} >>\nstartxref\n${xref}\n%%EOF\n`;
  return Buffer.from(file, "latin1");
}
