import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** A third of a second of a tone, as a phone records it, in base64; undefined without an ffmpeg that knows Opus. */
export function voiceNote(): string | undefined {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-note-"));
  const made = spawnSync("ffmpeg", ["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=0.3", "-c:a", "libopus", "-b:a", "16k", path.join(folder, "note.ogg")]);
  const bytes = made.status === 0 ? readFileSync(path.join(folder, "note.ogg")).toString("base64") : undefined;
  rmSync(folder, { recursive: true, force: true });
  return bytes;
}
