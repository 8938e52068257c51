/** How long recordings are: of files that ffmpeg writes, and of files that lie. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { soundLength } from "../../engine/media/length.ts";
import { skip } from "../rigs/skip.ts";

const FORMATS: readonly (readonly [mime: string, ending: string, options: readonly string[]])[] = [
  ["audio/ogg", "ogg", ["-c:a", "libopus", "-b:a", "16k"]], ["audio/ogg", "vorbis.ogg", ["-c:a", "libvorbis"]], ["audio/wav", "wav", ["-ar", "16000"]],
  ["audio/mpeg", "mp3", ["-c:a", "libmp3lame", "-q:a", "4"]], ["audio/mpeg", "low.mp3", ["-c:a", "libmp3lame", "-b:a", "32k", "-ar", "22050", "-write_xing", "0"]], ["audio/mp4", "m4a", ["-c:a", "aac"]],
  ["audio/flac", "flac", ["-c:a", "flac"]],
];

describe("the length of a recording", () => {
  it("stands in the file, in every format that tells it", function () {
    this.timeout(120_000);
    const folder = mkdtempSync(path.join(tmpdir(), "clawflow-length-"));
    let seen = 0;
    try {
      for (const [mime, ending, options] of FORMATS) {
        const file = path.join(folder, `note.${ending}`);
        if (spawnSync("ffmpeg", ["-nostdin", "-y", "-f", "lavfi", "-i", "sine=frequency=440:duration=7.5", ...options, file]).status !== 0) continue;
        seen++;
        const { seconds, exact } = soundLength(readFileSync(file), mime);
        assert.ok(exact && Math.abs(seconds - 7.5) < 0.2, `${ending}: ${seconds} s, ${exact ? "told" : "guessed"}`);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    if (seen === 0) skip(this, "no ffmpeg on this machine");
  });

  it("is the longest it can be where the file tells nothing, or calls itself shorter than it can be", () => {
    const noise = new Uint8Array(200_000).fill(7);
    assert.deepEqual(soundLength(noise, "audio/aac"), { seconds: 100, exact: false });
    for (const mime of ["audio/ogg", "audio/wav", "audio/mpeg", "audio/mp4", "audio/flac"]) assert.deepEqual(soundLength(noise, mime), { seconds: 100, exact: false }, mime);
    const lie = Buffer.alloc(400_000);
    lie.write("OggS", 0);
    lie.write("OpusHead", 28);
    assert.deepEqual(soundLength(new Uint8Array(lie), "audio/ogg"), { seconds: 200, exact: false }, "no samples in 400 kB");
    for (const mime of ["audio/ogg", "audio/wav", "audio/mpeg", "audio/mp4", "audio/flac"]) for (const text of ["", "OggS", "OpusHead", "fmt data", "mvhd", "fLaC", "ID3", "\u00ff\u00fb"]) assert.ok(soundLength(new Uint8Array(Buffer.from(text, "latin1")), mime).seconds >= 0, `${mime} ${text}`);
  });
});
