/** Endings of file names by type: platforms and people look at them. */
const ENDINGS: Readonly<Record<string, readonly string[]>> = {
  "image/png": ["png"], "image/jpeg": ["jpg", "jpeg"], "image/gif": ["gif"], "image/webp": ["webp"], "image/tiff": ["tiff", "tif"], "image/avif": ["avif"], "image/heic": ["heic", "heif"],
  "audio/mpeg": ["mp3"], "audio/ogg": ["ogg", "oga", "opus"], "audio/mp4": ["m4a", "mp4"], "audio/wav": ["wav"], "audio/flac": ["flac"], "audio/aac": ["aac"], "audio/amr": ["amr"], "audio/webm": ["webm", "weba"],
  "video/mp4": ["mp4", "m4v"], "video/webm": ["webm", "mkv"], "video/quicktime": ["mov"], "video/3gpp": ["3gp"], "video/x-msvideo": ["avi"], "video/x-matroska": ["mkv"],
  "application/pdf": ["pdf"], "application/zip": ["zip"], "application/gzip": ["gz", "tgz"], "application/x-7z-compressed": ["7z"], "application/vnd.rar": ["rar"], "application/x-tgsticker": ["tgs"],
  "application/json": ["json"], "text/csv": ["csv"], "text/calendar": ["ics"], "text/vcard": ["vcf"],
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ["docx"], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ["xlsx"], "application/vnd.openxmlformats-officedocument.presentationml.presentation": ["pptx"],
};

/** A name whose ending says what the file is; `base` is cleaned already and may be "". A type without an ending of its own leaves the name alone. */
export function namedAs(base: string, mime: string, kind: string): string {
  const endings = ENDINGS[mime];
  const name = base === "" ? kind : base;
  const own = /\.([A-Za-z0-9]{1,8})$/.exec(name)?.[1]?.toLowerCase();
  if (endings === undefined || (own !== undefined && endings.includes(own))) return name;
  const known = own !== undefined && Object.values(ENDINGS).some((each) => each.includes(own));
  return `${known ? name.slice(0, -(own.length + 1)) : name}.${endings[0]}`;
}
